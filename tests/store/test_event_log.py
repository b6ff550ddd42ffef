"""Readers of events miss none, however late it commits, and see those of an account in order."""

import asyncio
import contextlib
import random
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest

from store.account import NewAccount
from store.all_accounts import AllAccounts
from store.core import Core
from store.errors import CursorExpired, Unavailable
from store.event_log import START, Cursor, EventLog
from store.event_writer import SESSIONS_ENDED, EventWriter
from store.pruning import Pruner
from store.webhook_states import WebhookStates
from tests.program import wait_for_async

MANY = 2**62
WRITER = EventWriter(is_on=True)
CHANGE = f"""with written as (update account set city = 'Kyiv'{WRITER.assignment} where id = %s
        returning id, username{WRITER.returning}),
    logged as ({WRITER.insertion(SESSIONS_ENDED, "written")}) select from written"""
"""A change of an account, for a transaction that the test keeps open."""


@pytest.fixture
async def recording(connect):
    async with connect(events="on") as core:
        yield core


@contextlib.contextmanager
def transaction(url: str) -> Iterator[Any]:
    """An open transaction that has its number already; it commits in the end."""
    with contextlib.closing(psycopg2.connect(url)) as connection:
        cursor = connection.cursor()
        cursor.execute("select pg_current_xact_id()")
        yield cursor
        connection.commit()


async def register(core: Core, name: str) -> int:
    identity = await core.accounts.new_identity()
    account = await core.accounts.insert(identity, NewAccount(name), "!", logged_in=False)
    assert account
    return account.id


async def names(log: EventLog, after: Cursor | None) -> tuple[list[str | None], Cursor]:
    events, cursor = await log.read(after, 1000)
    return [event.username for event in events], cursor


async def test_an_event_that_commits_late_is_not_skipped(recording, settings):
    """The transaction of the first change is the older one, and commits after the second."""
    log = recording.events
    kim = await register(recording, "kim")
    _, cursor = await names(log, None)
    with transaction(settings.database_url) as late:
        late.execute(CHANGE, (kim,))
        await register(recording, "lee")
        assert await names(log, cursor) == ([], cursor)
    assert (await names(log, cursor))[0] == ["kim", "lee"]


async def test_the_events_of_an_account_stay_in_order_when_the_later_change_has_the_older_number(
    recording, settings
):
    """Transactions 1 and 2 are open, 3 changes the account, then 1 does, and 2 ends last.

    By the numbers alone, the event of 1 would be read while 2 still holds back that of 3.
    """
    log = recording.events
    kim = await register(recording, "kim")
    _, cursor = await names(log, None)
    with contextlib.ExitStack() as stack:
        with transaction(settings.database_url) as first:
            stack.enter_context(transaction(settings.database_url))
            await recording.accounts.change(kim, {"username": "lee"})
            first.execute(CHANGE, (kim,))
        events, cursor = await log.read(cursor, 10)
        assert events == []
    events, _ = await log.read(cursor, 10)
    assert [event.type for event in events] == ["account.changed", "sessions.ended"]


async def test_ten_writers_commit_late_and_a_reader_sees_all_in_order(recording, settings):
    """Each changes one of three accounts in a transaction that it keeps open for a while."""
    log = recording.events
    accounts = [await register(recording, name) for name in ("kim", "lee", "max")]
    _, cursor = await names(log, None)
    made: dict[int, list[int]] = {account: [] for account in accounts}
    lock = threading.Lock()

    def write(seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311
        with contextlib.closing(psycopg2.connect(settings.database_url)) as connection:
            for _ in range(20):
                account = chance.choice(accounts)
                with connection, connection.cursor() as change:
                    change.execute("select pg_current_xact_id()")
                    time.sleep(chance.uniform(0, 0.01))
                    change.execute(CHANGE, (account,))
                    change.execute("select max(id) from event where account_id = %s", (account,))
                    [(event,)] = change.fetchall()
                    with lock:  # the account's row is locked: this is the order of its changes
                        made[account].append(event)
                    time.sleep(chance.uniform(0, 0.02))

    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(10)]
    for writer in writers:
        writer.start()
    read: dict[int, list[int]] = {account: [] for account in accounts}
    pages = 0
    while True:
        ended = not any(writer.is_alive() for writer in writers)
        events, cursor = await log.read(cursor, 7)
        for event in events:
            read[event.account_id].append(event.id)
        pages += bool(events)
        if ended and not events:
            break
        await asyncio.sleep(0.002)
    assert read == made
    assert sum(map(len, made.values())) == 200
    assert pages > 28


async def test_pages_begin_where_the_last_ended(recording):
    written = [f"kim{number}" for number in range(7)]
    for name in written:
        await register(recording, name)
    read, cursor = [], None
    for _ in range(3):
        events, cursor = await recording.events.read(cursor, 3)
        read.append([event.username for event in events])
    assert read == [written[:3], written[3:6], written[6:]]
    assert (await names(recording.events, Cursor.parse(str(cursor))))[0] == []


async def test_events_of_an_account_or_a_type(recording):
    kim, _ = await register(recording, "kim"), await register(recording, "lee")
    await recording.accounts.raise_epoch(kim)
    log = recording.events
    for read in (lambda **only: log.read(START, 10, **only), lambda **only: log.latest(10, **only)):
        events, _ = await read(account_id=kim)
        assert [event.type for event in events] == ["account.created", "sessions.ended"]
        events, _ = await read(type="account.created")
        assert [event.username for event in events] == ["kim", "lee"]
    events, cursor = await log.latest(2)
    assert [event.username for event in events] == ["lee", "kim"]
    assert (await names(log, cursor))[0] == []
    await register(recording, "max")
    assert (await names(log, cursor))[0] == ["max"]


def age(database, days: int, *those: str) -> None:
    with database.cursor() as cursor:
        cursor.execute(
            "update event set time = now() - make_interval(days => %s) where username = any(%s)",
            (days, list(those)),
        )


async def test_old_events_are_deleted_and_their_cursors_expire(recording, database):
    log = EventLog(recording.database, days=30)
    await register(recording, "kim")
    _, first = await names(log, None)
    for name in ("lee", "max", "ann"):
        await register(recording, name)
    events, _ = await log.read(first, 1000)
    after_lee, after_max = events[0].cursor, events[1].cursor
    age(database, 29, "ann")
    age(database, 31, "kim", "lee", "max")
    assert await log.prune() == 3
    assert await log.prune() == 0
    for cursor in (first, after_lee, START):
        with pytest.raises(CursorExpired):
            await log.read(cursor, 10)
    assert (await names(log, after_max))[0] == ["ann"]
    assert (await names(log, None))[0] == ["ann"]


async def test_a_cursor_of_another_database_has_expired(recording):
    _, cursor = await names(recording.events, None)
    for ahead in (1_000_000, 2**63):
        with pytest.raises(CursorExpired):
            await recording.events.read(Cursor(cursor.transaction + ahead, 0), 10)


AHEAD = "1000000000000"


async def test_after_a_restore_from_a_dump_events_can_be_read(recording, database):
    """The numbers of transactions begin again there: those that are stored may be far ahead."""
    log, states = recording.events, WebhookStates(recording.database)
    await states.add("app")
    kim = await register(recording, "kim")
    await register(recording, "lee")
    with database.cursor() as cursor:
        cursor.execute(f"update event set transaction = '{AHEAD}'")
        cursor.execute(f"update account set last_event = '{AHEAD}'")
        cursor.execute(f"""update event_retention set transaction = '{AHEAD}', event_id = 0;
            update webhook set transaction = '{AHEAD}', event_id = (select min(id) from event)""")
    assert (await names(log, None))[0] == []
    await log.rebase()
    await AllAccounts(recording.database, WRITER).raise_epochs(0, 10)
    await recording.accounts.change(kim, {"username": "max"})
    restored = ["kim", "lee", "kim", "lee", "max"]
    assert (await names(log, None))[0] == restored
    got = await states.due("app", "one")
    assert (await names(log, got))[0] == restored[1:]
    _, cursor = await names(log, None)
    await log.rebase()  # nothing is ahead: nothing changes
    assert await states.due("app", "one") == got
    assert (await names(log, cursor))[0] == []


async def test_a_restore_is_complete_while_events_are_off(recording, database):
    """They may be switched on later."""
    kim = await register(recording, "kim")
    with database.cursor() as cursor:
        cursor.execute(f"update account set last_event = '{AHEAD}'")
    await AllAccounts(recording.database, EventWriter()).raise_epochs(0, 10)
    await recording.accounts.change(kim, {"username": "max"})
    assert (await names(recording.events, None))[0] == ["kim", "max"]


async def test_a_reader_waits_for_the_next_event(recording):
    log, stopped = recording.events, asyncio.Event()
    _, cursor = await names(log, None)
    waiting = asyncio.create_task(log.wait(cursor, 10, 20, stopped))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await register(recording, "kim")
    events, cursor = await asyncio.wait_for(waiting, 5)
    assert [event.username for event in events] == ["kim"]
    assert (await log.wait(cursor, 10, 0.1, stopped))[0] == []
    waiting = asyncio.create_task(log.wait(cursor, 10, 20, stopped))
    stopped.set()
    assert (await asyncio.wait_for(waiting, 5))[0] == []


async def test_the_server_deletes_old_events_and_outlives_an_outage(
    recording, database, monkeypatch, caplog
):
    log = recording.events
    await register(recording, "kim")
    age(database, 31, "kim")
    prune, fails = log.prune, iter([Unavailable("postgresql", "none"), ValueError("a bug")])

    async def failing() -> int:
        for error in fails:
            raise error
        return await prune()

    monkeypatch.setattr(log, "prune", failing)
    pruner = Pruner("events", log.prune, first=0.01, every=0.01)
    pruner.start()

    def count() -> int:
        with database.cursor() as cursor:
            cursor.execute("select count(*) from event")
            return cursor.fetchone()[0]

    assert await wait_for_async(lambda: count() == 0)
    await pruner.close()
    assert [record.getMessage() for record in caplog.records] == [
        "old events are not deleted: postgresql: none",
        "old events could not be deleted",
    ]


@pytest.mark.parametrize("text", ["", "1", "1-", "-1", "1-1-1", "g-1", "1-8" + 15 * "0", " 1-1"])
def test_what_is_no_cursor(text):
    assert Cursor.parse(text) is None


NUMBERED = """insert into event (transaction, type, account_id, username, actor_type)
    select number::text::xid8, 'account.created', number, number, 'account'
      from generate_series({}) as number"""


async def test_transactions_are_in_the_order_of_their_numbers(recording, database):
    """The transaction 9 comes before 10, although its text does not."""
    with database.cursor() as cursor:
        cursor.execute(NUMBERED.format("12, 8, -1"))
    assert (await names(recording.events, None))[0] == ["8", "9", "10", "11", "12"]
    assert (await names(recording.events, Cursor(9, MANY)))[0] == ["10", "11", "12"]
    events, _ = await recording.events.latest(3)
    assert [event.username for event in events] == ["10", "11", "12"]


@pytest.mark.parametrize("read", ["read", "latest"])
async def test_a_page_is_read_through_the_index(recording, database, read, monkeypatch):
    """However many events there are before the cursor."""
    statements: list[tuple[str, Any]] = []
    rows = recording.database.rows

    async def watched(sql: str, parameters: Any = ()) -> Any:
        statements.append((sql, parameters))
        return await rows(sql, parameters)

    with database.cursor() as cursor:
        cursor.execute(NUMBERED.format("1, 20000") + "; analyze event")
        monkeypatch.setattr(recording.database, "rows", watched)
        after = (Cursor(300, 5),) if read == "read" else ()
        await getattr(recording.events, read)(*after, 100)
        [(sql, parameters)] = statements
        cursor.execute("explain " + sql, parameters)
        plan = "\n".join(line for (line,) in cursor.fetchall())
        cursor.execute("delete from event; analyze event")
    assert re.search(r"Index Scan (Backward )?using event_position", plan)
    assert "Sort" not in plan
