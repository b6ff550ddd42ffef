"""Each change writes exactly its event, in the statement of the change; reads and logins none."""

from collections.abc import Awaitable, Callable
from typing import Any

import psycopg2
import pytest

from store.account import Login, NewAccount
from store.all_accounts import AllAccounts
from store.core import Core
from store.errors import BadToken, Taken
from store.event_log import Event
from store.event_writer import Actor, EventWriter
from store.link_effects import LinkEffects
from store.session_record import SessionSpec
from store.transfer.imports import open_import
from store.transfer.incoming import Incoming

KUST = SessionSpec("kust")
KIM = NewAccount("kim", "kim@example.com")
OPERATOR = Actor("operator", "ann")


@pytest.fixture
async def recording(connect):
    async with connect(events="on") as core:
        yield core


@pytest.fixture
def written(recording, database) -> Callable[[], Awaitable[list[Event]]]:
    """Return the events that were written since the last call, and read through the log."""
    cursor = None

    async def written() -> list[Event]:
        nonlocal cursor
        events, cursor = await recording.events.read(cursor, 1000)
        return events

    return written


def facts(events: list[Event]) -> list[tuple[Any, ...]]:
    return [(each.type, each.account_id, each.username, each.data) for each in events]


async def registered(core: Core) -> Any:
    account, [issued] = await core.access.register(KIM, "old", [KUST])
    return account, await core.access.authenticate(issued.token)


async def test_a_registration_is_an_event_and_a_login_is_none(recording, written):
    account, caller = await registered(recording)
    [event] = await written()
    assert facts([event]) == [("account.created", account.id, "kim", {})]
    assert event.actor == Actor("account", "kim")
    await recording.access.log_in(Login("kim"), "old", [KUST])
    await recording.access.log_out(caller)
    with pytest.raises(Taken):
        await recording.access.register(KIM, "old", [KUST])
    assert await written() == []


@pytest.mark.parametrize(
    ("changes", "type"),
    [
        ({"first_name": "Kim", "email": "other@example.com"}, "account.changed"),
        ({"username": "lee"}, "account.changed"),
        ({"password": "hash"}, "account.password_changed"),
        ({"password": "hash", "city": "Kyiv"}, "account.password_changed"),
        ({"is_active": False}, "account.disabled"),
        ({"is_active": True, "is_staff": True}, "account.enabled"),
        ({"email_verified_at": "2026-11-26T00:00:00Z"}, "account.email_verified"),
        ({"email_verified_at": None}, "account.changed"),
    ],
)
async def test_a_change_is_one_event_with_the_names_of_its_fields(
    recording, written, changes, type
):
    account, _ = await registered(recording)
    await written()
    assert await recording.accounts.change(account.id, changes)
    name = changes.get("username", "kim")
    assert facts(await written()) == [(type, account.id, name, {"fields": sorted(changes)})]


async def test_what_changes_nothing_is_no_event(recording, written):
    account, _ = await registered(recording)
    await recording.access.register(NewAccount("lee"), "old")
    await written()
    assert await recording.accounts.change(account.id, {"city": "Kyiv"}, epoch=1) is None
    with pytest.raises(Taken):
        await recording.accounts.change(account.id, {"username": "LEE"})
    assert await recording.accounts.raise_epoch(account.id, 1) is None
    assert not await recording.accounts.delete(account.id, 1)
    await recording.accounts.replace_hash(account.id, "hash", "fresh")
    assert await written() == []


async def test_all_sessions_that_end_are_one_event(recording, written):
    account, caller = await registered(recording)
    await written()
    await recording.access.end_others(caller)
    ended = ("sessions.ended", account.id, "kim", {})
    assert facts(await written()) == [ended]
    await recording.access.end_all(await recording.access.confirm(caller))
    assert facts(await written()) == [ended]
    with pytest.raises(BadToken):
        await recording.access.end_all(caller)
    assert await written() == []
    await recording.access.register(NewAccount("lee"), "old")
    await written()
    writer = EventWriter(is_on=True, actor=OPERATOR)
    await AllAccounts(recording.database, writer).raise_epochs(0, 10)
    events = await written()
    assert [each.username for each in events] == ["kim", "lee"]
    assert {(each.type, each.actor) for each in events} == {("sessions.ended", OPERATOR)}


async def test_a_deletion_is_an_event_that_outlives_the_account(recording, written):
    account, caller = await registered(recording)
    await recording.access.delete(caller)
    assert facts(await written()) == [
        ("account.created", account.id, "kim", {}),
        ("account.deleted", account.id, "kim", {}),
    ]


async def test_what_an_admin_does_has_its_actor(recording, written):
    account, _ = await registered(recording)
    await written()
    admin = recording.admin.acting_as(Actor("service", "billing"))
    other = await admin.register(NewAccount("lee"), "old")
    await admin.set_password(account.id, "new")
    await admin.end_all(account.id)
    await admin.remove(other.id)
    events = await written()
    assert [(each.type, each.account_id) for each in events] == [
        ("account.created", other.id),
        ("account.password_changed", account.id),
        ("sessions.ended", account.id),
        ("account.deleted", other.id),
    ]
    assert {each.actor for each in events} == {Actor("service", "billing")}
    await recording.admin.end_all(account.id)
    [event] = await written()
    assert event.actor == Actor("account", "kim")


async def test_what_links_do_are_events(recording, written):
    account, _ = await registered(recording)
    await written()
    effects = LinkEffects(recording.database, recording.mail, EventWriter(is_on=True))
    verified = ("account.email_verified", account.id, "kim", {"fields": ["email_verified_at"]})
    assert await effects.verify(account)
    assert facts(await written()) == [verified]
    assert await effects.verify(account)
    assert await written() == []
    assert await effects.change_email(account, "new@example.com", 2**33)
    fields = {"fields": ["email", "email_verified_at"]}
    assert facts(await written()) == [("account.changed", account.id, "kim", fields)]
    account = await recording.accounts.get(account.id)
    account = await effects.reset_password(account, "hash")
    reset = ("account.password_changed", account.id, "kim", {"fields": ["password"]})
    assert facts(await written()) == [reset]
    await recording.accounts.change(account.id, {"email_verified_at": None})
    await written()
    assert await effects.reset_password(account, "hash")
    fields = {"fields": ["email_verified_at", "password"]}
    assert facts(await written()) == [("account.password_changed", account.id, "kim", fields)]


async def test_each_imported_account_is_an_event(recording, written, settings):
    writer = EventWriter(is_on=True, actor=OPERATOR)
    names = [f"kim{number}" for number in range(5)]
    with open_import(settings.database_url, writer) as importing:
        importing.add(
            [
                Incoming(line, {"username": name, "password": "!"}, True, None)
                for line, name in enumerate(names, 1)
            ],
            [],
        )
        importing.check()
        assert [done for done, _ in importing.insert(batch=2)] == [2, 2, 1]
    events = await written()
    assert [(each.type, each.username) for each in events] == [
        ("account.created", name) for name in names
    ]
    assert {each.actor for each in events} == {OPERATOR}


CHANGES = {
    "insert": lambda core, _: core.accounts.insert(
        (4711, 1), NewAccount("lee"), "hash", logged_in=False
    ),
    "change": lambda core, account: core.accounts.change(account.id, {"city": "Kyiv"}),
    "password": lambda core, account: core.accounts.change(
        account.id, {"password": "hash"}, mail="password"
    ),
    "raise_epoch": lambda core, account: core.accounts.raise_epoch(account.id),
    "delete": lambda core, account: core.accounts.delete(account.id, account.epoch),
    "verify": lambda core, account: _effects(core).verify(account),
    "change_email": lambda core, account: _effects(core).change_email(account, "n@x.org", 2**33),
    "reset_password": lambda core, account: _effects(core).reset_password(account, "hash"),
    "raise_epochs": lambda core, _: AllAccounts(
        core.database, EventWriter(is_on=True)
    ).raise_epochs(0, 10),
}


def _effects(core: Core) -> LinkEffects:
    return LinkEffects(core.database, core.mail, EventWriter(is_on=True))


@pytest.fixture
def unwritable(database):
    """No event can be written."""
    with database.cursor() as cursor:
        cursor.execute("alter table event add constraint none check (false) not valid")
        yield
        cursor.execute("alter table event drop constraint none")


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_without_its_event_there_is_no_change(recording, written, database, request, change):
    """They are one statement: whatever ends the server or the database, there are both or none."""
    account, _ = await registered(recording)
    await written()

    def state() -> list[tuple[Any, ...]]:
        with database.cursor() as cursor:
            cursor.execute("select account::text from account order by id")
            return cursor.fetchall()

    before = state()
    request.getfixturevalue("unwritable")
    with pytest.raises(psycopg2.errors.CheckViolation):
        await change(recording, account)
    assert state() == before
    assert await written() == []


async def test_events_are_off_unless_they_are_switched_on(core, database):
    account, caller = await registered(core)
    await core.access.change(caller, {"city": "Kyiv"})
    await core.access.end_others(caller)
    await core.admin.remove(account.id)
    events, _ = await core.events.read(None, 10)
    assert events == []
    with database.cursor() as cursor:
        cursor.execute("select count(*), count(last_event) from event full join account on true")
        assert cursor.fetchall() == [(0, 0)]


@pytest.mark.parametrize(
    "actor",
    [Actor("root"), Actor("service", "a'b"), Actor("service", ""), Actor("service", "50%")],
)
def test_an_actor_is_not_part_of_a_statement_unless_it_is_plain(actor):
    with pytest.raises(ValueError, match="not an actor"):
        EventWriter(is_on=True, actor=actor)


def test_only_known_types_are_written():
    with pytest.raises(ValueError, match="not a type of event"):
        EventWriter(is_on=True).insertion("account.read", "account")
