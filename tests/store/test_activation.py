"""Accounts that wait for their activation: apart from disabled ones, which no link enables."""

import time

import pytest

from store.account import Login, NewAccount
from store.client import NOBODY
from store.errors import (
    BadToken,
    EmailNotVerified,
    Inactive,
    LinkExpired,
    LinkInvalid,
    TokenProblem,
    Unavailable,
)
from store.event_writer import EventWriter
from store.mail_queue import MailRules
from store.one_time_tokens import Purpose
from store.session_record import SessionSpec

ADA = NewAccount("ada", "ada@example.org")
SPEC = SessionSpec("djoser")
PASSWORD = "Difference-Engine-1822"


@pytest.fixture
async def waiting(core):
    """An account that waits for its activation."""
    core.mail.rules = MailRules()
    account, _ = await core.access.register(ADA, PASSWORD, activate=True, dialect="djoser")
    return account


def link(core, account, purpose=Purpose.ACTIVATE, seconds=60):
    return core.one_time_tokens.make(purpose, account, time.time() + seconds)


def log_in(core):
    return core.access.log_in(Login("ada"), PASSWORD, [SPEC])


async def test_a_registration_queues_the_link_of_its_dialect(core, waiting):
    assert not waiting.activated
    [mail] = await core.mail.newest(9)
    assert (mail.kind, mail.dialect, mail.account_id) == ("activate", "djoser", waiting.id)
    assert mail.expires is not None


async def test_without_mail_no_account_is_made_that_nobody_can_activate(core):
    with pytest.raises(Unavailable):
        await core.access.register(ADA, PASSWORD, activate=True, dialect="djoser")
    assert await core.accounts.find("ada") == []


async def test_nobody_logs_in_before_the_activation(core, waiting):
    with pytest.raises(EmailNotVerified):
        await log_in(core)
    assert await core.recovery.activate(link(core, waiting))
    account, _ = await log_in(core)
    assert account.activated
    assert account.email_verified


async def test_a_link_is_stale_once_the_account_is_activated(core, waiting):
    token = link(core, waiting)
    assert await core.recovery.activate(token)
    assert not await core.recovery.activate(token)


async def test_no_link_enables_an_account_that_an_operator_disabled(core, waiting):
    await core.accounts.change(waiting.id, {"is_active": False})
    for purpose in Purpose:
        with pytest.raises(LinkInvalid):
            await core.recovery.activate(link(core, waiting, purpose))
    with pytest.raises(Inactive):
        await log_in(core)
    disabled = await core.accounts.get(waiting.id)
    assert (disabled.is_active, disabled.activated) == (False, False)


async def test_the_statement_itself_spares_a_disabled_account(core, waiting):
    """The operator disables the account after the link was checked."""
    await core.accounts.change(waiting.id, {"is_active": False})
    assert await core.recovery._effects.activate(waiting) is None
    assert not (await core.accounts.get(waiting.id)).activated


async def test_only_the_activation_link_activates(core, waiting):
    for purpose in set(Purpose) - {Purpose.ACTIVATE}:
        with pytest.raises(LinkInvalid):
            await core.recovery.activate(link(core, waiting, purpose))
    with pytest.raises(LinkInvalid):
        await core.recovery.verify(link(core, waiting, Purpose.VERIFY))
    with pytest.raises(LinkInvalid):
        await core.recovery.reset(link(core, waiting, Purpose.RESET), PASSWORD, [], NOBODY)
    with pytest.raises(LinkInvalid):
        await core.recovery.change_name(
            link(core, waiting, Purpose.USERNAME), "username", "bob", NOBODY
        )
    assert not (await core.accounts.get(waiting.id)).activated


async def test_an_expired_link_activates_nothing(core, waiting):
    with pytest.raises(LinkExpired):
        await core.recovery.activate(link(core, waiting, seconds=-1))


async def test_tokens_of_an_account_that_is_not_activated_are_refused(core, waiting):
    await core.accounts.change(waiting.id, {"activated": True})
    _, [issued] = await log_in(core)
    await core.accounts.change(waiting.id, {"activated": False})
    with pytest.raises(BadToken) as refused:
        await core.access.authenticate(issued.token)
    assert refused.value.problem is TokenProblem.INACTIVE


async def test_a_link_to_choose_a_username_works_once(core, waiting):
    await core.accounts.change(waiting.id, {"activated": True})
    token = link(core, waiting, Purpose.USERNAME)
    await core.recovery.change_name(token, "username", "lovelace", NOBODY)
    assert (await core.accounts.get(waiting.id)).username == "lovelace"
    with pytest.raises(LinkInvalid):
        await core.recovery.change_name(token, "username", "byron", NOBODY)


async def test_an_activation_is_an_event(core, waiting):
    core.recovery._effects._events = EventWriter(is_on=True)
    await core.recovery.activate(link(core, waiting))
    [(type, data)] = await core.database.rows("select type, data from event")
    assert (type, data) == (
        "account.email_verified",
        {"fields": ["activated", "email_verified_at"]},
    )
