"""What changes accounts by their ids: accounts that do not exist, and races with other changes."""

import pytest

from store.account import Account, Login, NewAccount
from store.errors import BadCredentials, BadToken, Busy, TokenProblem
from store.imported_tokens import Imported
from store.session_record import SessionSpec

KUST = SessionSpec("kust")
NOBODY = 999_999


async def test_an_account_that_does_not_exist_is_reported(core):
    assert await core.admin.live_sessions(NOBODY) == []
    assert await core.admin.import_tokens("kust", [Imported("ab" * 32, NOBODY)]) == [None]
    assert await core.admin.set_password(NOBODY, "new") is False
    assert await core.admin.remove(NOBODY) is False
    await core.admin.end_all(NOBODY)


async def test_an_account_is_registered_without_a_session(core):
    account = await core.admin.register(NewAccount("ann"), "password")
    assert await core.admin.live_sessions(account.id) == []
    logged_in, _ = await core.access.log_in(Login("ann"), "password", [KUST])
    assert logged_in.id == account.id


async def test_an_id_that_is_somebody_elses_is_not_used_twice(core, monkeypatch):
    """As when an import gives it away between the two statements; at most so often."""
    ann = await core.admin.register(NewAccount("ann"), "password")
    new_identity = core.accounts.new_identity

    async def taken() -> tuple[int, int]:
        return ann.id, (await new_identity())[1]

    async def taken_once() -> tuple[int, int]:
        monkeypatch.setattr(core.accounts, "new_identity", new_identity)
        return await taken()

    monkeypatch.setattr(core.accounts, "new_identity", taken_once)
    ben = await core.admin.register(NewAccount("ben"), "password")
    assert ben.id != ann.id
    monkeypatch.setattr(core.accounts, "new_identity", taken)
    for register in (core.admin.register, core.access.register):
        with pytest.raises(Busy):
            await register(NewAccount("cem"), "password")


async def test_a_new_password_ends_every_session(core):
    account, [issued] = await core.access.register(NewAccount("ben"), "old", [KUST])
    assert await core.admin.set_password(account.id, "new") is True
    with pytest.raises(BadToken) as error:
        await core.access.authenticate(issued.token)
    assert error.value.problem is TokenProblem.REVOKED
    with pytest.raises(BadCredentials):
        await core.access.log_in(Login("ben"), "old", [KUST])


async def test_an_account_whose_epoch_is_raised_all_the_time_is_not_removed(core, monkeypatch):
    """The account is read and deleted in two statements; another comes between."""
    account = await core.admin.register(NewAccount("cem"), "password")
    get = core.accounts.get

    async def get_too_early(account_id: int) -> Account | None:
        found = await get(account_id)
        await core.accounts.raise_epoch(account_id)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(core.accounts, "get", get_too_early)
        with pytest.raises(Busy):
            await core.admin.remove(account.id)
    await core.access.log_in(Login("cem"), "password", [KUST])
    assert await core.admin.remove(account.id) is True
