"""Imports of many accounts: which are checked, which are inserted, and which ids they get."""

import asyncio
import datetime
import threading

import pytest

from store.account import NewAccount
from store.errors import Unavailable
from store.transfer import imports
from store.transfer.imports import Import, open_import
from store.transfer.incoming import Incoming, Kind, Problem, Tally
from tests.program import wait_for
from tests.store.databases import ask

EPOCH = "(extract(epoch from clock_timestamp()) * 1000000)::bigint"


@pytest.fixture
def importing(core, settings):
    """An import into a database with no account."""
    with open_import(settings.database_url) as importing:
        yield importing


def line(number, username=None, email=None, *, is_sound=True, **values):
    names = {"username": username, "email": email}
    return Incoming(number, {**names, "password": "!", **values}, is_sound)


def judged(importing: Import, *lines, problems=()):
    importing.add(lines, problems)
    tally = importing.check()
    return tally, list(importing.problems())


def rows(database, columns="id, username, email", where="true"):
    with database.cursor() as cursor:
        cursor.execute(f"select {columns} from account where {where} order by id")
        return cursor.fetchall()


def insert(importing, **options):
    return [(count, [each.line for each in lost]) for count, lost in importing.insert(**options)]


def test_what_is_given_is_kept_and_the_rest_is_as_the_table_has_it(importing, database, settings):
    when = datetime.datetime(2021, 1, 9, 12, tzinfo=datetime.UTC)
    odd = "a\tb\\n\nc\r\\N \U0001f511"
    given = {
        "id": 7,
        "password": "a hash",
        "first_name": "",
        "address": odd,
        "is_active": False,
        "created": when,
        "towns": [3, -1, 2**63 - 1],
        "days_count": -7,
    }
    [[before]] = ask(settings.database_url, f"select {EPOCH}")
    tally, problems = judged(importing, line(1, "Kim", "KIM@example.com", **given), line(2, "lee"))
    assert (tally, problems) == (Tally(2, 2, 0, 0), [])
    assert rows(database) == []
    assert insert(importing) == [(2, [])]
    columns = ", ".join(given)
    assert rows(database, columns, "username = 'Kim'") == [tuple(given.values())]
    folded = "username_folded, email_folded"
    assert rows(database, folded) == [("kim", "kim@example.com"), ("lee", None)]
    ours, there = rows(database, "is_active, days_count, towns, address, last_login", "id <> 7"), []
    assert ours == [(True, 3, there, "", None)]
    [[after]] = ask(settings.database_url, f"select {EPOCH}")
    assert all(before < epoch < after for (epoch,) in rows(database, "session_epoch"))


def test_names_and_ids_that_stand_in_two_lines(importing, database):
    tally, problems = judged(
        importing,
        line(1, "kim", "a@example.com", id=5),
        line(2, "KIM", "b@example.com"),
        line(3, "lee", "A@EXAMPLE.com"),
        line(4, "ｋｉｍ", id=5),
        line(5, "noa"),
    )
    assert problems == [
        Problem(2, Kind.TWICE, "username", "KIM", 1),
        Problem(3, Kind.TWICE, "email", "A@EXAMPLE.com", 1),
        Problem(4, Kind.TWICE, "id", "5", 1),
        Problem(4, Kind.TWICE, "username", "ｋｉｍ", 1),
    ]
    assert tally == Tally(lines=5, new=2, already_there=0, with_problems=3)
    assert importing.problems_by_kind() == [
        (Kind.TWICE, "username", 2),
        (Kind.TWICE, "email", 1),
        (Kind.TWICE, "id", 1),
    ]
    assert insert(importing) == [(2, [])]
    assert rows(database) == [(5, "kim", "a@example.com"), (6, "noa", None)]


def test_servers_do_not_go_on_with_plans_for_a_small_table(importing, database):
    """Else each look-up would read all that was imported, until PostgreSQL comes round to it."""
    insert_one = "insert into account (id, session_epoch, password) values (1, 1, '!')"
    with database.cursor() as cursor:
        cursor.execute(insert_one)
        cursor.execute("vacuum (full, analyze) account")  # other tests have left empty pages
        cursor.execute("prepare kept(bigint) as select username from account where id = $1")

        def plan() -> str:
            for _ in range(6):  # PostgreSQL keeps a plan from the sixth time on
                cursor.execute("execute kept(1)")
            cursor.execute("explain execute kept(1)")
            return "".join(row for (row,) in cursor.fetchall())

        try:
            assert "Seq Scan" in plan()
            judged(importing, *[line(number, f"user{number}") for number in range(1000)])
            insert(importing)
            assert "Index Scan" in plan()
        finally:
            cursor.execute("deallocate kept")


async def register(core, *names):
    for username, email in names:
        await core.access.register(NewAccount(username, email), "password")


async def test_who_is_there_already_is_told_from_who_has_what_is_taken(core, importing, database):
    """An account is the same by both names, whatever their case, and by the id if one is given."""
    names = [("a", "a@x.example"), ("b", None), (None, "c@x.example"), ("d", "d@x.example")]
    await register(core, *names, ("e", None), (None, "f@x.example"), ("g", "g@x.example"))
    tally, problems = judged(
        importing,
        line(1, "A", "A@X.example"),
        line(2, "B", id=2),
        line(3, None, "C@x.example"),
        line(4, "d"),
        line(5, "E", "new@x.example"),
        line(6, "new", "f@X.example"),
        line(7, "g", "g@x.example", id=9),
        line(8, "newer", id=1),
        line(9, "newest"),
    )
    assert tally == Tally(lines=9, new=1, already_there=3, with_problems=5)
    assert [(each.line, each.kind, each.field, each.other) for each in problems] == [
        (4, Kind.TAKEN, "username", 4),
        (5, Kind.TAKEN, "username", 5),
        (6, Kind.TAKEN, "email", 6),
        (7, Kind.TAKEN, "email", 7),
        (7, Kind.TAKEN, "username", 7),
        (8, Kind.TAKEN, "id", 1),
    ]
    assert insert(importing) == [(1, [])]
    assert [name for _, name, _ in rows(database)][-2:] == ["g", "newest"]


def test_the_names_of_a_line_that_is_not_sound_count_though_it_is_left_out(importing, database):
    bad = Problem(1, Kind.BAD_VALUE, "created", "yesterday")
    unreadable = Problem(3, Kind.UNREADABLE, value="no JSON")
    lines = (line(1, "kim", is_sound=False), line(2, "Kim"), line(4, "lee"))
    tally, problems = judged(importing, *lines, problems=[unreadable, bad])
    assert problems == [bad, Problem(2, Kind.TWICE, "username", "Kim", 1), unreadable]
    assert tally == Tally(lines=4, new=1, already_there=0, with_problems=3)
    assert insert(importing) == [(1, [])]
    assert [name for _, name, _ in rows(database)] == ["lee"]


def test_what_a_problem_shows_is_short_and_can_be_shown(importing):
    value = "\0\udcff" + "x" * 1000
    _, [found] = judged(importing, problems=[Problem(1, Kind.UNSTORABLE, "city", value)])
    assert found.value == "\\x00\\udcff" + "x" * (imports.PREVIEW_CHARS - 2)


def test_a_problem_of_the_whole_file_is_no_lines(importing):
    whole = Problem(1, Kind.UNKNOWN_COLUMN, "ratings")
    tally, problems = judged(importing, line(2, "kim"), problems=[whole])
    assert (tally, problems) == (Tally(1, 1, 0, 0), [whole])
    assert importing.concerns_all()
    assert importing.problems_by_kind() == [(Kind.UNKNOWN_COLUMN, "", 1)]


def test_lines_come_in_chunks_and_go_in_batches(importing, database):
    for first in (1, 4):
        importing.add([line(n, f"n{n}") for n in range(first, first + 3)], [])
    assert importing.check() == Tally(6, 6, 0, 0)
    assert not importing.concerns_all()
    done = importing.insert(batch=4)
    assert next(done) == (4, [])
    assert len(rows(database)) == 4  # committed, and seen by others
    assert list(done) == [(2, [])]
    assert [name for _, name, _ in rows(database)] == [f"n{n}" for n in range(1, 7)]


@pytest.mark.parametrize("burnt", [100_000, 10, 1])
@pytest.mark.parametrize("before", [0, 40, 400])
async def test_new_ids_are_above_all_that_are_given(
    core, importing, database, monkeypatch, burnt, before
):
    """Whether the sequence is set, or its ids are taken one by one; and it is never lowered."""
    monkeypatch.setattr(imports, "BURNT", burnt)
    for _ in range(before):
        await core.accounts.new_identity()
    judged(importing, line(1, "a"), line(2, "b", id=300), line(3, "c", id=2))
    done = importing.insert(batch=2)
    next(done)
    next_id, _ = await core.accounts.new_identity()
    list(done)
    highest = max(300, before)
    assert [(id, name) for id, name, _ in rows(database)] == sorted(
        [(highest + 1, "a"), (300, "b"), (2, "c")]
    )
    assert next_id == highest + 2


async def test_the_id_of_a_line_that_is_left_out_is_given_to_nobody(core, importing):
    """In the source, and in tables that name accounts by id, it is another account's."""
    bad = Problem(1, Kind.HASHLESS)
    judged(importing, line(1, "kim", id=10**6, is_sound=False), problems=[bad])
    assert insert(importing) == []
    assert (await core.accounts.new_identity())[0] == 10**6 + 1


async def test_a_name_that_is_taken_after_it_was_judged_is_told(core, importing, database):
    judged(importing, line(1, "kim"), line(2, "lee"), line(3, "noa", id=50))
    await register(core, ("LEE", None))
    assert insert(importing) == [(2, [2])]
    assert sorted(name for _, name, _ in rows(database)) == ["LEE", "kim", "noa"]


def test_a_registration_that_is_not_done_yet_is_waited_for(importing, database, settings):
    """It took its name before the import did, and is committed only then."""
    judged(importing, line(1, "kim"), line(2, "lee"))
    cursor = database.cursor()
    cursor.execute(
        """begin; insert into account (id, username, username_folded, password, session_epoch)
           values (99, 'Lee', 'lee', '!', 1)"""
    )
    done = []
    thread = threading.Thread(target=lambda: done.extend(insert(importing)))
    thread.start()
    waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
    assert wait_for(lambda: ask(settings.database_url, waits) == [(1,)])
    cursor.execute("commit")
    thread.join()
    assert done == [(1, [2])]
    assert rows(database) == [(1, "kim", None), (99, "Lee", None)]


async def test_registrations_beside_an_import_get_ids_of_their_own(core, importing, database):
    """Both take ids while the other does."""
    judged(importing, *(line(n, f"n{n}", id=n if n % 2 else None) for n in range(1, 401)))
    names = [(f"r{n}", None) for n in range(40)]
    done, _ = await asyncio.gather(
        asyncio.to_thread(insert, importing, batch=20), register(core, *names)
    )
    lost = sum(len(lines) for _, lines in done)
    assert len(rows(database)) == 400 + 40 - lost
    assert lost <= 20  # ids that registrations had before the import said which it would use


def test_a_database_that_is_away_or_refuses_is_unavailable(settings):
    with pytest.raises(Unavailable), open_import("postgresql://127.0.0.1:1/x"):
        pass
    url = settings.database_url.replace("/postgres?", "/template1?")  # it has no such table
    with pytest.raises(Unavailable, match="account"), open_import(url):
        pass
