"""Imports accounts in bulk: first all of them are checked, then they are inserted in batches.

The lines are copied into a temporary table, so that neither their number nor that of the problems
needs memory here, and standard input is read once. What is taken is then found by joins. Nothing
is written to the accounts before `insert`.
"""

import contextlib
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from store.event_writer import CREATED, EventWriter
from store.names import FOLD
from store.transfer.bulk import bulk_connection
from store.transfer.exports import KEPT
from store.transfer.incoming import OF_THE_FILE, Incoming, Kind, Problem, Tally
from store.transfer.pictures import (
    GALLERY_COLUMNS,
    PICTURE_COLUMNS,
    PICTURE_TABLES,
    GalleryPicture,
    add_to_gallery,
    gallery_row,
    picture_row,
)

BATCH = 5_000
"""Accounts in one transaction."""
HIGHEST_ID = 2**62
"""Of an account that comes with its id: registrations need as many above it."""
BURNT = 100_000
"""Ids that are taken one by one: see `_raise_sequence`."""

PREVIEW_CHARS = 80
"""Characters of a value that a problem shows, at most."""

_GIVEN = (*KEPT, "password")
_FOLDED = ("username_folded", "email_folded")
_COLUMNS = ", ".join((*_GIVEN, *_FOLDED))
_LOCK = 0x696D706F7274  # "import"
_NAMES = ("username", "email")
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})

_CLOCK = "(extract(epoch from clock_timestamp()) * 1000000)::bigint"
"""The session epoch of a new account, as in store/account_sql.py: the clock in microseconds."""

_TABLES = f"""
create temp table incoming as
    select 0::bigint as line, true as is_sound, {_COLUMNS} from account limit 0;
create temp table problem (line bigint, kind text, field text, value text, other bigint);
create temp table there (line bigint primary key);
create temp table fresh (place bigint primary key, line bigint, id bigint)"""

# The same account: both names, and the id if one is given.
_THERE = """
insert into there
select line from incoming join account using (username_folded)
 where account.email_folded is not distinct from incoming.email_folded
   and account.id = coalesce(incoming.id, account.id) and is_sound
union
select line from incoming join account using (email_folded)
 where account.username_folded is not distinct from incoming.username_folded
   and account.id = coalesce(incoming.id, account.id) and is_sound"""

_TWICE = """
insert into problem
select line, %(kind)s, %(field)s, {field}, first_line from incoming join (
       select {key}, min(line) as first_line from incoming
        where {key} is not null group by {key} having count(*) > 1) as repeated using ({key})
 where line > first_line"""

_TAKEN = """
insert into problem
select line, %(kind)s, %(field)s, incoming.{field}, account.id from incoming
  join account on account.{key} = incoming.{key}
 where not exists (select from there where there.line = incoming.line)"""

_FRESH = """
insert into fresh
select row_number() over (order by line), line, coalesce(id, nextval('account_id')) from incoming
 where not exists (select from problem where problem.line = incoming.line)
   and not exists (select from there where there.line = incoming.line)
 order by line"""


class Import:
    """One import: `add` every line, `check`, read the `problems`, `insert`."""

    def __init__(self, connection: Any, events: EventWriter) -> None:
        self._events = events
        self._cursor = connection.cursor()
        self._connection = connection
        self._cursor.execute(f"{_TABLES}; {PICTURE_TABLES}")

    def is_alone(self) -> bool:
        """Return whether no other import is running; then none starts until this one has ended."""
        self._cursor.execute("select pg_try_advisory_lock(%s)", (_LOCK,))
        return bool(self._cursor.fetchone()[0])

    def wait_for_others(self) -> None:
        """Wait until no other import is running: one that was killed ends its batch first."""
        self._cursor.execute("select pg_advisory_lock(%s)", (_LOCK,))

    def add(self, lines: Iterable[Incoming], problems: Iterable[Problem]) -> None:
        """Add some of the lines, and the problems of any."""
        lines = list(lines)
        self._copy(f"incoming (line, is_sound, {_COLUMNS})", map(_row, lines))
        pictures = ((each.line, each.picture) for each in lines if each.picture)
        self._copy(f"incoming_picture ({PICTURE_COLUMNS})", map(picture_row, pictures))
        self._copy(
            "problem", ((each.line, each.kind, *_shown(each), each.other) for each in problems)
        )

    def add_gallery(self, pictures: Iterable[GalleryPicture]) -> None:
        """Add pictures of the gallery from which the accounts chose."""
        self._copy(f"incoming_gallery ({GALLERY_COLUMNS})", map(gallery_row, pictures))

    def check(self) -> Tally:
        """Find accounts that exist, and names and ids of other accounts or other lines."""
        self._cursor.execute("create unique index on incoming (line); analyze incoming")
        self._cursor.execute(_THERE)
        self._cursor.execute("analyze there")
        for field, key in (*zip(_NAMES, _FOLDED, strict=True), ("id", "id")):
            for sql, kind in ((_TWICE, Kind.TWICE), (_TAKEN, Kind.TAKEN)):
                self._cursor.execute(
                    sql.format(field=field, key=key), {"kind": kind, "field": field}
                )
        self._cursor.execute("create index on problem (line); analyze problem")
        return self._tally()

    def problems(self) -> Iterator[Problem]:
        """Yield every problem, by line. It must be read to its end."""
        with self._connection.cursor("problems", withhold=True) as cursor:
            cursor.execute(
                """select line, kind, field, value, other from problem
                    order by line, kind, field, other"""
            )
            for line, kind, field, value, other in cursor:
                yield Problem(line, Kind(kind), field, value, other)

    def problems_by_kind(self) -> list[tuple[Kind, str, int]]:
        """Return how many problems there are of each kind and field, the most frequent first."""
        self._cursor.execute(
            """select kind, case when kind = any(%s) then '' else field end as of_field, count(*)
                 from problem group by kind, of_field order by count(*) desc, kind, of_field""",
            (list(OF_THE_FILE),),
        )
        return [(Kind(kind), field, count) for kind, field, count in self._cursor]

    def concerns_all(self) -> bool:
        """Return whether a problem concerns the whole file: leaving out lines does not help."""
        self._cursor.execute(
            "select exists (select from problem where kind = any(%s))", (list(OF_THE_FILE),)
        )
        return bool(self._cursor.fetchone()[0])

    def insert(self, batch: int = BATCH) -> Iterator[tuple[int, list[Problem]]]:
        """Insert the accounts that are new and have no problem, a transaction a batch.

        Yield, after each, how many were inserted, and the lines whose names or id somebody took
        since they were judged.
        """
        self._raise_sequence()
        add_to_gallery(self._cursor)
        self._cursor.execute(_FRESH)
        self._cursor.execute("analyze fresh; select coalesce(max(place), 0) from fresh")
        [(count,)] = self._cursor.fetchall()
        insert = self._insert_sql()
        for after in range(0, count, batch):
            self._cursor.execute(insert, {"after": after, "last": after + batch})
            lost = [Problem(line, Kind.LOST) for (line,) in self._cursor.fetchall()]
            if after == 0:  # servers keep their look-ups planned: for a small table, to read it all
                self._cursor.execute("analyze account")
            yield min(batch, count - after) - len(lost), lost

    def _raise_sequence(self) -> None:
        """Raise the sequence above all ids of the file, so that no registration gets one of them.

        That includes the ids of lines that are left out, which belong to accounts of the source.
        The sequence is never lowered: `setval` is only used when it raises the sequence by at least
        BURNT, because concurrent registrations cannot take that many ids. The remaining ids are
        taken one by one.
        """
        if self._below_highest() > 2 * BURNT:
            self._cursor.execute(
                "select setval('account_id', last_value + %s) from account_id",
                (self._below_highest() - BURNT,),
            )
        self._cursor.execute(
            "select count(nextval('account_id')) from generate_series(1, %s)",
            (self._below_highest(),),
        )

    def _below_highest(self) -> int:
        """Return how far the sequence is below the highest given id; negative if it is above."""
        self._cursor.execute(
            """select coalesce(max(incoming.id), 0) - (
                      select case when is_called then last_value else 0 end from account_id)
                 from incoming"""
        )
        [(gap,)] = self._cursor.fetchall()
        return int(gap)

    def _insert_sql(self) -> str:
        """Return the statement that inserts a batch and answers the lines that it could not."""
        self._cursor.execute(
            """select attname, pg_get_expr(adbin, adrelid)
                 from pg_attribute join pg_attrdef on adrelid = attrelid and adnum = attnum
                where attrelid = 'account'::regclass"""
        )
        defaults = dict(self._cursor.fetchall())
        kept = [each for each in (*_GIVEN, *_FOLDED) if each != "id"]
        values = [f"coalesce({each}, {defaults.get(each, 'null')})" for each in kept]
        column, position = self._events.returning, self._events.position
        return f"""
            with moved as (
                insert into account (id, session_epoch, picture_id, {", ".join(kept)}{column})
                select fresh.id, {_CLOCK}, incoming_picture.id, {", ".join(values)}{position}
                  from fresh join incoming using (line) left join incoming_picture using (line)
                 where place > %(after)s and place <= %(last)s
                    on conflict do nothing returning id, picture_id, username{column}),
            logged as ({self._events.insertion(CREATED, "moved")}),
            pictures as (
                insert into picture (id, account_id, side_512, side_256, side_64)
                select shown.id, moved.id, side_512, side_256, side_64
                  from moved join incoming_picture as shown on shown.id = moved.picture_id
                 where side_512 is not null)
            select line from fresh
             where place > %(after)s and place <= %(last)s
               and not exists (select from moved where moved.id = fresh.id) order by line"""

    def _tally(self) -> Tally:
        self._cursor.execute(
            """with bad as (select distinct line from problem where kind <> all(%s))
                select (select count(*) from incoming),
                       (select count(*) from there
                         where not exists (select from bad where bad.line = there.line)),
                       (select count(*) from bad
                         where exists (select from incoming where incoming.line = bad.line)),
                       (select count(*) from bad)""",
            (list(OF_THE_FILE),),
        )
        [(copied, there, bad_copied, bad)] = self._cursor.fetchall()
        lines, new = copied + bad - bad_copied, copied - there - bad_copied
        return Tally(lines=lines, new=new, already_there=there, with_problems=bad)

    def _copy(self, where: str, rows: Iterable[Sequence[Any]]) -> None:
        text = "".join("\t".join(map(_written, row)) + "\n" for row in rows)
        self._cursor.copy_expert(f"copy {where} from stdin", io.StringIO(text))


def _row(each: Incoming) -> list[Any]:
    values = each.values
    names = {field: values.get(field) for field in _NAMES}
    folded = [None if name is None else FOLD[field](name) for field, name in names.items()]
    return [each.line, each.is_sound, *map(values.get, _GIVEN), *folded]


def _shown(problem: Problem) -> tuple[str, str]:
    value = problem.value[:PREVIEW_CHARS].encode(errors="backslashreplace").decode()
    return problem.field, value.replace("\0", "\\x00")


def _written(value: Any) -> str:
    """Write a value as COPY reads it."""
    if value is None:
        return r"\N"
    if isinstance(value, list):
        return f"{{{','.join(map(str, value))}}}"
    return str(value).translate(_ESCAPES)


@contextlib.contextmanager
def open_import(
    url: str,
    events: EventWriter = EventWriter(),  # noqa: B008  # it is frozen
) -> Iterator[Import]:
    """Begin an import into a database whose tables are there. Raises Unavailable.

    Each account that is inserted has an event, as one that was registered.
    """
    with bulk_connection(url) as connection:
        yield Import(connection, events)
