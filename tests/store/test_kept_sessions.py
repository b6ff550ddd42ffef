"""A session that stays live while all others end, and the list of an account's sessions.

The rules are in docs/session-protocol.md#close-all-others.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable
from typing import Any

import pytest

from store.access import Access
from store.account import Login, NewAccount
from store.authentication import Caller
from store.errors import AppError, BadCredentials, BadToken, TokenProblem, Unavailable
from store.imported_tokens import Imported, digest_of
from store.session_record import SessionSpec, record_key, set_key

KUST, WICARE = SessionSpec("kust"), SessionSpec("wicare", sid_bytes=16)
PHONE = SessionSpec("latchkey", "device", 16, reuse=False, device="Kim's phone é 1")
LAPTOP = SessionSpec("latchkey", "device", 16, reuse=False, device="laptop")
KIM = NewAccount("kim", "kim@example.com")
PASSWORD = "pw"


@pytest.fixture
def access(core) -> Access:
    return core.access


async def register(access: Access, *specs: SessionSpec) -> list[str]:
    """Register kim; return the tokens."""
    _, issued = await access.register(KIM, PASSWORD, specs)
    return [each.token for each in issued]


async def log_in(access: Access, spec: SessionSpec = KUST, password: str = PASSWORD) -> str:
    _, [issued] = await access.log_in(Login("kim"), password, [spec])
    return issued.token


async def problem(access: Access, token: str) -> TokenProblem | None:
    """Return what is wrong with a token, None when it authenticates."""
    try:
        await access.authenticate(token)
    except BadToken as error:
        return error.problem
    return None


async def outcome(attempt: Awaitable[Any]) -> AppError | None:
    try:
        await attempt
    except AppError as error:
        return error
    return None


def record(access: Access, redis_client, token: str) -> str:
    return redis_client.get(record_key(access._sessions.sid_of(token))).decode()


def row(database, columns: str) -> tuple:
    with database.cursor() as cursor:
        cursor.execute(f"select {columns} from account")
        return cursor.fetchone()


def update(database, setting: str) -> None:
    with database.cursor() as cursor:
        cursor.execute(f"update account set {setting}")


@contextlib.contextmanager
def crash_after_the_statement(core, monkeypatch):
    """What PostgreSQL was told is done, and nothing of what follows in Redis."""

    async def crash(*_: Any) -> None:
        raise Unavailable("redis", "gone")

    with monkeypatch.context() as patch:
        patch.setattr(core.sessions, "end_older", crash)
        yield


async def test_all_others_end_and_the_token_stays_the_same(access, database, redis_client):
    kept, *others = await register(access, KUST, WICARE, PHONE)
    before = record(access, redis_client, kept).split(" ")
    caller = await access.authenticate(kept)
    redis_client.expire(record_key(caller.session.sid), 1000)
    await access.end_others(caller)
    assert await problem(access, kept) is None
    assert [await problem(access, each) for each in others] == [TokenProblem.REVOKED] * 2
    epoch, named = row(database, "session_epoch, kept_session")
    assert named == f"{epoch} {caller.session.public_id}"
    before[3] = str(epoch)
    assert record(access, redis_client, kept) == " ".join(before)
    assert 990 < redis_client.ttl(record_key(caller.session.sid)) <= 1000
    assert redis_client.zrange(set_key(1), 0, -1) == [caller.session.name.encode()]
    assert await log_in(access) == kept


async def test_a_device_keeps_its_label_under_the_new_epoch(access, redis_client):
    [kept] = await register(access, PHONE)
    await access.end_others(await access.authenticate(kept))
    assert record(access, redis_client, kept).split(" ", 6)[6] == PHONE.device
    assert (await access.authenticate(kept)).session.device == PHONE.device


async def test_a_crash_after_the_statement_changes_nothing(
    access, core, database, redis_client, monkeypatch
):
    """The row alone decides: for requests, for logins, and for the next statement."""
    kept, other = await register(access, KUST, WICARE)
    with crash_after_the_statement(core, monkeypatch):
        await access.end_others(await access.authenticate(kept))
    assert record(access, redis_client, kept).split(" ")[3] != str(
        row(database, "session_epoch")[0]
    )
    assert await problem(access, kept) is None
    assert await problem(access, other) is TokenProblem.REVOKED
    assert await log_in(access) == kept
    assert await problem(access, await log_in(access, WICARE)) is None
    names = redis_client.zrange(set_key(1), 0, -1)
    assert (await access.authenticate(kept)).session.name.encode() in names
    await access.end_others(await access.authenticate(kept))
    assert await problem(access, kept) is None
    assert record(access, redis_client, kept).split(" ")[3] == str(
        row(database, "session_epoch")[0]
    )


async def test_an_older_release_accepts_it_once_its_record_has_the_epoch(
    access, core, database, redis_client, monkeypatch
):
    """It reads six fields and compares the epoch; a login on it may have removed the name."""
    [kept] = await register(access, KUST)

    def older_release_accepts() -> bool:
        _, _, _, epoch, _, _ = record(access, redis_client, kept).split(" ")
        return int(epoch) == row(database, "session_epoch")[0]

    with crash_after_the_statement(core, monkeypatch):
        await access.end_others(await access.authenticate(kept))
    assert not older_release_accepts()
    caller = await access.authenticate(kept)
    redis_client.zrem(set_key(1), caller.session.name)
    await access.end_others(caller)
    assert older_release_accepts()


async def test_a_login_with_an_older_row_reads_it_again(access, core, monkeypatch):
    """It was verified before all others ended, and meets the record that has the new epoch."""
    [kept] = await register(access, KUST)
    caller, open_session = await access.authenticate(kept), core.sessions.open

    async def open_late(*parts: Any, **more: Any) -> Any:
        monkeypatch.setattr(core.sessions, "open", open_session)
        await access.end_others(caller)
        return await open_session(*parts, **more)

    monkeypatch.setattr(core.sessions, "open", open_late)
    assert await log_in(access) == kept
    assert await problem(access, kept) is None


async def test_of_two_devices_that_end_the_others_one_wins(connect):
    """Fifty times on two servers: one is refused, and the token of the other works."""
    async with connect() as one, connect() as other:
        tokens = await register(one.access, PHONE, LAPTOP)
        for _ in range(50):
            callers = [await one.access.authenticate(token) for token in tokens]
            ended = await asyncio.gather(
                outcome(one.access.end_others(callers[0])),
                outcome(other.access.end_others(callers[1])),
            )
            [winner] = [n for n, error in enumerate(ended) if error is None]
            assert isinstance(ended[1 - winner], BadToken)
            problems = [await problem(one.access, token) for token in tokens]
            assert problems[winner] is None
            assert problems[1 - winner] is TokenProblem.REVOKED
            tokens = [tokens[winner], await log_in(other.access, LAPTOP)]


async def test_no_request_with_the_kept_token_is_refused(connect):
    """Two servers end all others with one token, over and over, while it is used on both."""
    async with connect() as one, connect() as other:
        [kept] = await register(one.access, KUST)
        done = asyncio.Event()
        used = 0

        async def use(access: Access) -> None:
            nonlocal used
            while not done.is_set():
                await access.authenticate(kept)
                used += 1

        async def end(access: Access) -> None:
            for _ in range(40):
                await access.end_others(await access.authenticate(kept))
                assert await log_in(access) == kept

        using = [asyncio.create_task(use(each.access)) for each in (one, other)]
        await asyncio.gather(end(one.access), end(other.access))
        done.set()
        await asyncio.gather(*using)
    assert used > 80


async def stale(access: Access, token: str, by: str) -> Caller:
    """Authenticate a request, and let `by` end all others before it goes on."""
    caller = await access.authenticate(token)
    await access.end_others(await access.authenticate(by))
    return caller


async def test_the_kept_session_may_write_under_the_epoch_raised_for_it(core):
    """What another request of the same session did must not look like the end of it."""
    access = core.access
    kept, _ = await register(access, KUST, WICARE)
    caller = await stale(access, kept, by=kept)
    await core.pictures.choose(1, caller.account.epoch, 6, caller.session.public_id)
    await core.pictures.keep(1, caller.account.epoch, [b"1"] * 3, caller.session.public_id)
    epoch, public_id = caller.account.epoch, caller.session.public_id
    changed = await core.accounts.change(1, {"city": "Rome"}, epoch, public_id)
    assert changed is not None
    await access.end_others(caller)
    await access.change(await stale(access, kept, by=kept), {"city": "Oslo"})
    assert await problem(access, kept) is None
    await access.end_all(await stale(access, kept, by=kept))
    assert await problem(access, kept) is TokenProblem.REVOKED
    kept = await log_in(access)
    caller = await stale(access, kept, by=kept)
    assert await core.accounts.delete(1, caller.account.epoch, caller.session.public_id)


async def test_no_other_session_may(core):
    access = core.access
    kept, other = await register(access, KUST, WICARE)
    caller = await stale(access, other, by=kept)
    account, session = caller
    for attempt in (
        access.end_others(caller),
        access.end_all(caller),
        access.change(caller, {"city": "Oslo"}),
        access.delete(caller),
        core.pictures.choose(1, account.epoch, 6, session.public_id),
        core.pictures.keep(1, account.epoch, [b"1"] * 3, session.public_id),
    ):
        assert isinstance(await outcome(attempt), BadToken)
    assert not await core.accounts.delete(1, account.epoch, session.public_id)
    assert await core.accounts.change(1, {"city": ""}, account.epoch, session.public_id) is None
    assert await problem(access, kept) is None


async def test_whatever_raises_the_epoch_voids_it(access, core, database, monkeypatch):
    """Also a statement of an older release, which leaves the column as it is."""
    await register(access)
    for end in (
        lambda: core.admin.end_all(1),
        lambda: core.admin.set_password(1, PASSWORD),
        lambda: asyncio.to_thread(update, database, "session_epoch = session_epoch + 1"),
    ):
        kept = await log_in(access)
        with crash_after_the_statement(core, monkeypatch):
            await access.end_others(await access.authenticate(kept))
        await end()
        assert row(database, "kept_session") != (None,)
        assert await problem(access, kept) is TokenProblem.REVOKED


async def test_a_logout_of_the_kept_session_is_final(access, core, redis_client):
    """A clean-up that comes late does not bring it back."""
    [kept] = await register(access, KUST)
    caller = await access.authenticate(kept)
    await access.end_others(caller)
    await access.log_out(await access.authenticate(kept))
    await core.sessions.end_older(1, caller.account.epoch + 10**9, caller.session)
    assert await problem(access, kept) is TokenProblem.REVOKED
    assert record(access, redis_client, kept) == "revoked"
    assert await log_in(access) != kept


async def test_a_session_that_ran_out_is_not_written_again(access, core, redis_client):
    [kept] = await register(access, KUST)
    caller = await access.authenticate(kept)
    redis_client.delete(record_key(caller.session.sid))
    await access.end_others(caller)
    assert redis_client.keys("*") == []
    assert await problem(access, kept) is TokenProblem.EXPIRED


async def test_it_holds_when_redis_comes_back_from_an_old_snapshot(access, redis_client):
    kept, other = await register(access, KUST, WICARE)
    snapshot = [
        (key, redis_client.pttl(key), redis_client.dump(key)) for key in redis_client.keys("*")
    ]
    await access.end_others(await access.authenticate(kept))
    redis_client.flushdb()
    for key, left, value in snapshot:
        redis_client.restore(key, left, value)
    assert await problem(access, kept) is None
    assert await problem(access, other) is TokenProblem.REVOKED
    assert await log_in(access) == kept


async def test_a_login_returns_it_when_postgresql_was_set_back(access, database):
    """To an earlier end of all others: the record has the epoch of a later one."""
    [kept] = await register(access, KUST)
    await access.end_others(await access.authenticate(kept))
    epoch, named = row(database, "session_epoch, kept_session")
    await access.end_others(await access.authenticate(kept))
    update(database, f"session_epoch = {epoch}, kept_session = '{named}'")
    assert await problem(access, kept) is None
    assert await log_in(access) == kept


async def test_a_new_password_may_keep_the_session(access, database):
    kept, other = await register(access, KUST, WICARE)
    caller = await access.authenticate(kept)
    _, issued = await access.change(caller, {}, "new", [WICARE], keep=True)
    assert await problem(access, kept) is None
    assert await problem(access, other) is TokenProblem.REVOKED
    assert await problem(access, issued[0].token) is None
    with pytest.raises(BadCredentials):
        await log_in(access)
    assert await log_in(access, password="new") == kept


async def test_an_imported_token_that_was_kept_is_imported_already(access, core, monkeypatch):
    token = "a" * 40
    account, _ = await access.register(KIM, PASSWORD, [])
    imported = Imported(digest_of(token), account.id)
    assert await core.admin.import_tokens("kust", [imported]) == [True]
    caller = Caller(account, (await core.sessions.list_by_account(account.id))[0][0])
    assert caller.session.sid == digest_of(token)
    with crash_after_the_statement(core, monkeypatch):
        await access.end_others(caller)
    assert await core.admin.import_tokens("kust", [imported]) == [True]
    later = imported._replace(epoch=account.epoch + 10**12)
    assert await core.sessions.import_tokens("kust", [later]) == [False]


# The list of sessions


async def test_an_account_sees_its_live_sessions_in_every_dialect(access, core, redis_client):
    first, phone = await register(access, KUST, PHONE)
    caller = await access.authenticate(phone)
    text = record(access, redis_client, first).rsplit(" ", 1)[0]
    redis_client.set(record_key(core.sessions.sid_of(first)), f"{text} 1000", keepttl=True)
    newest, oldest = await access.sessions_of(caller)
    assert (newest.dialect, newest.kind, newest.device) == ("latchkey", "device", PHONE.device)
    assert (oldest.dialect, oldest.kind, oldest.device) == ("kust", "token", None)
    assert (newest.current, oldest.current) == (True, False)
    assert newest.id == caller.session.public_id
    assert oldest.created == 1000
    lifetime = 14 * 86_400
    for each in (newest, oldest):
        assert abs(each.last_used - time.time()) < 60
        assert abs(each.ends - each.last_used - lifetime) < 1


async def test_sessions_that_have_ended_are_not_listed(access, database):
    first, second, third = await register(access, KUST, PHONE, LAPTOP)
    await access.log_out(await access.authenticate(second))
    caller = await access.authenticate(third)
    assert {each.dialect for each in await access.sessions_of(caller)} == {"kust", "latchkey"}
    await access.end_others(caller)
    [left] = await access.sessions_of(await access.authenticate(third))
    assert left.current
    update(database, "session_epoch = session_epoch + 1")
    assert isinstance(await outcome(access.sessions_of(caller)), BadToken)
    assert await problem(access, first) is TokenProblem.REVOKED


async def test_an_account_ends_one_of_its_own_sessions(access, redis_client):
    first, phone = await register(access, KUST, PHONE)
    _, [foreign] = await access.register(NewAccount("eve"), PASSWORD, [KUST])
    caller = await access.authenticate(phone)
    other = (await access.authenticate(first)).session
    strange = (await access.authenticate(foreign.token)).session
    assert await access.end_session(caller, other.public_id)
    assert await problem(access, first) is TokenProblem.REVOKED
    assert redis_client.zrange(set_key(1), 0, -1) == [caller.session.name.encode()]
    assert not await access.end_session(caller, other.public_id)
    assert not await access.end_session(caller, strange.public_id)
    assert await problem(access, foreign.token) is None


# Sessions of devices


async def test_each_login_of_a_device_opens_a_session_of_its_own(access, redis_client):
    [phone] = await register(access, PHONE)
    laptop = await log_in(access, LAPTOP)
    assert len({phone, laptop, await log_in(access, LAPTOP)}) == 3
    caller = await access.authenticate(phone)
    assert caller.session.device == PHONE.device
    text = record(access, redis_client, phone)
    assert text.startswith("1 latchkey device ")
    assert text.endswith(f" {caller.session.opened} {PHONE.device}")
    assert caller.session.record() == text


async def test_the_cap_counts_devices(connect):
    async with connect(sessions_per_account=2) as server:
        [oldest] = await register(server.access, PHONE)
        kept = [await log_in(server.access, LAPTOP) for _ in range(2)]
        assert await problem(server.access, oldest) is TokenProblem.REVOKED
        assert [await problem(server.access, each) for each in kept] == [None] * 2


@pytest.mark.parametrize("spec", [KUST, WICARE, SessionSpec("fardel", "fresh")])
async def test_the_record_of_a_session_without_a_device_has_six_fields(access, redis_client, spec):
    [token] = await register(access, spec)
    session = (await access.authenticate(token)).session
    key = access._sessions._tokens.signing_key
    expected = f"1 {spec.dialect} {spec.kind} {session.epoch} {key} {session.opened}"
    assert record(access, redis_client, token) == expected


# E-mail


async def test_another_address_counts_as_unverified(core, database):
    account, _ = await core.access.register(KIM, PASSWORD)
    for changes, verified in (
        ({"email": "kim@example.com"}, True),
        ({"city": "Oslo"}, True),
        ({"email": "Kim@example.com"}, False),
        ({"email": None}, False),
        ({"email": "new@example.com", "password": "hash", "city": "Rome"}, False),
    ):
        update(database, "email = 'kim@example.com', email_verified_at = now()")
        await core.accounts.change(account.id, changes)
        assert row(database, "email_verified_at is not null") == (verified,), changes
