"""A token that was verified before: its session and its account are looked up at once."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from store import tokens
from store.access import Access
from store.account import NewAccount
from store.core import Core
from store.errors import BadToken, TokenProblem, Unavailable
from store.session_record import SessionSpec

KUST = SessionSpec("kust")
DEVICE = SessionSpec("latchkey", "device", reuse=False)
REFRESH = SessionSpec("fardel", "refresh")
OWN_KINDS = frozenset({"refresh"})


@pytest.fixture
def access(core: Core) -> Access:
    return core.access


async def register(core: Core, spec: SessionSpec = KUST, *, known: bool = True) -> str:
    """Return the token of a new account, which is `known` once it has authenticated a request."""
    _, [issued] = await core.access.register(NewAccount("kim"), "correct horse", [spec])
    if known:
        await core.access.authenticate(issued.token)
    return issued.token


def between(core: Core, monkeypatch, change: Callable[[], Awaitable[Any]]) -> list[str]:
    """Make a change after the next reading of the row, before that of the record.

    Return the list of what is read.
    """
    accounts, sessions = core.accounts, core.sessions
    read_row, read_records, log = accounts.get_many, sessions.read, []
    row_is_read = asyncio.Event()

    async def get_many(*args):
        rows = await read_row(*args)
        log.append("row")
        row_is_read.set()
        return rows

    async def read(*args):
        monkeypatch.setattr(sessions, "read", read_records)
        await row_is_read.wait()  # without an end, if the row is read only afterwards
        await change()
        records = await read_records(*args)
        log.append("record")
        return records

    monkeypatch.setattr(accounts, "get_many", get_many)
    monkeypatch.setattr(sessions, "read", read)
    return log


async def problem_of(access: Access, token: str) -> TokenProblem:
    with pytest.raises(BadToken) as refused:
        await asyncio.wait_for(access.authenticate(token), 5)
    return refused.value.problem


async def nothing() -> None:
    pass


async def test_both_stores_are_asked_at_once(core, access, monkeypatch):
    token = await register(core)
    log = between(core, monkeypatch, nothing)
    caller = await asyncio.wait_for(access.authenticate(token), 5)
    assert caller.account.username == "kim"
    assert log == ["row", "record"]  # the row needed no second reading


async def test_no_key_is_tried_on_a_token_that_was_verified(core, access, monkeypatch):
    token = await register(core)

    def fail(key, sid):
        pytest.fail("a key was tried")

    monkeypatch.setattr(tokens, "_mac", fail)
    assert (await access.authenticate(token)).account.username == "kim"


async def test_only_a_token_that_let_a_request_in_is_remembered(core, access, monkeypatch):
    refresh = await register(core, REFRESH, known=False)
    assert await problem_of(access, refresh) is TokenProblem.REFRESH
    forged = refresh[:-1] + ("0" if refresh[-1] != "0" else "1")
    assert await problem_of(access, forged) is TokenProblem.FORGED
    tried = []
    real = tokens._mac
    monkeypatch.setattr(tokens, "_mac", lambda key, sid: tried.append(sid) or real(key, sid))
    assert (await access.authenticate(refresh, OWN_KINDS)).session.kind == "refresh"
    assert len(tried) == 1
    assert await problem_of(access, refresh) is TokenProblem.REFRESH  # known, and not good here
    assert len(tried) == 1


async def test_a_session_that_is_kept_between_the_two_reads_is_live(core, access, monkeypatch):
    """The record has the new epoch, the row that was read has the old one."""
    token = await register(core, DEVICE)
    caller = await access.authenticate(token)

    async def end_others() -> None:
        await access.end_others(caller)

    log = between(core, monkeypatch, end_others)
    again = await asyncio.wait_for(access.authenticate(token), 5)
    assert again.account.epoch > caller.account.epoch
    assert log[0] == log[-1] == "row"


async def test_an_account_that_is_enabled_between_the_two_reads_is_let_in(
    core, access, monkeypatch
):
    token = await register(core)
    account = (await access.authenticate(token)).account
    await core.database.rows("update account set is_active = false returning id")

    async def enable() -> None:
        await core.database.rows("update account set is_active = true returning id")

    between(core, monkeypatch, enable)
    caller = await asyncio.wait_for(access.authenticate(token), 5)
    assert caller.account.id == account.id


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("update account set is_active = false returning id", TokenProblem.INACTIVE),
        ("update account set activated = false returning id", TokenProblem.INACTIVE),
        ("update account set session_epoch = session_epoch + 1 returning id", TokenProblem.REVOKED),
        ("delete from account returning id", TokenProblem.REVOKED),
    ],
)
async def test_what_ended_before_the_request_has_ended(core, access, statement, problem):
    token = await register(core)
    await core.database.rows(statement)
    assert await problem_of(access, token) is problem


async def test_a_session_that_ends_between_the_two_reads_has_ended(core, access, monkeypatch):
    token = await register(core)
    caller = await access.authenticate(token)

    async def log_out() -> None:
        await core.sessions.end(caller.session)

    between(core, monkeypatch, log_out)
    assert await problem_of(access, token) is TokenProblem.REVOKED


async def test_a_session_that_expired_is_reported_as_expired(core, access, redis_client):
    token = await register(core)
    redis_client.delete(f"session:{tokens.sid_in(token)}")
    assert await problem_of(access, token) is TokenProblem.EXPIRED


async def test_without_postgresql_only_the_record_decides(core, access, monkeypatch):
    """A revoked session is refused. Any other verdict needs the row, so it is Unavailable."""
    token = await register(core)
    caller = await access.authenticate(token)

    attempts = []

    async def fail(*args):
        attempts.append(args)
        raise Unavailable("postgresql", "down")

    monkeypatch.setattr(core.accounts, "get_many", fail)
    with pytest.raises(Unavailable):
        await access.authenticate(token)
    assert len(attempts) == 1
    await core.sessions.end(caller.session)
    assert await problem_of(access, token) is TokenProblem.REVOKED


async def test_a_revoked_record_does_not_wait_for_the_row(core, access, monkeypatch):
    token = await register(core)
    caller = await access.authenticate(token)
    await core.sessions.end(caller.session)

    async def hang(*args):
        await asyncio.Event().wait()

    monkeypatch.setattr(core.accounts, "get_many", hang)
    assert await problem_of(access, token) is TokenProblem.REVOKED


async def test_a_row_that_fails_after_the_refusal_leaves_no_complaint(
    core, access, monkeypatch, caplog
):
    token = await register(core)
    caller = await access.authenticate(token)
    await core.sessions.end(caller.session)
    refused = asyncio.Event()

    async def fail(*args):
        await refused.wait()
        raise Unavailable("postgresql", "down")

    monkeypatch.setattr(core.accounts, "get_many", fail)
    assert await problem_of(access, token) is TokenProblem.REVOKED
    refused.set()
    await asyncio.sleep(0.01)
    gc.collect()
    assert not caplog.records


async def test_without_redis_nothing_is_known(core, access, monkeypatch):
    token = await register(core)

    async def fail(*args):
        raise Unavailable("redis", "down")

    monkeypatch.setattr(core.sessions, "read", fail)
    with pytest.raises(Unavailable):
        await access.authenticate(token)


async def test_a_change_confirms_its_caller_by_the_record_first(core, access, monkeypatch):
    token = await register(core)
    caller = await access.authenticate(token)
    order = []
    real_rows, real_records = core.accounts.get_many, core.sessions.read

    async def get_many(*args):
        order.append("row")
        return await real_rows(*args)

    async def read(*args):
        records = await real_records(*args)
        order.append("record")
        return records

    monkeypatch.setattr(core.accounts, "get_many", get_many)
    monkeypatch.setattr(core.sessions, "read", read)
    await access.confirm(caller)
    assert order == ["record", "row"]
