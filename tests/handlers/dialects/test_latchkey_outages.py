"""E-mail endpoints of latchkey while a store is unavailable: a 503, and nothing is lost."""

from dataclasses import replace

import pytest

from app import create_app
from mail import sender
from tests.handlers.contract import play
from tests.handlers.dialects.latchkey_life import (
    ASK,
    CHANGE,
    CHECK,
    CONFIRM,
    COUNTESS,
    NEW_PASSWORD,
    VERIFY,
    ask,
    change_email,
    no_content,
    reset,
    show,
    verify,
)
from tests.handlers.dialects.latchkey_rows import ADA, PASSWORD, bearer, log_in, problem, register
from tests.mail.mailbox import Mailbox
from tests.program import wait_for_async

AGAIN = "POST /v1/account/email/verification"


@pytest.fixture
def mailbox(tmp_path):
    return Mailbox(tmp_path / "mail")


@pytest.fixture
def settings_of(outages, tmp_path, monkeypatch):
    """Settings of a server that sends mail, and whose stores can be taken away."""
    monkeypatch.setattr(sender, "POLL_SECONDS", 0.2)
    monkeypatch.setattr(sender, "WAKE_SECONDS", (0.0, 0.01))
    return lambda **changes: replace(
        outages.settings,
        mail_url=f"file:{tmp_path}/mail",
        public_url="https://accounts.example",
        **changes,
    )


def unavailable(request, body=None, headers=None):
    row = problem(request, body, "unavailable", headers=headers)
    return replace(row, returned={**row.returned, "Retry-After": "1"})


NEED_A_TOKEN = [
    unavailable(CHANGE, {"email": COUNTESS, "password": PASSWORD}, bearer()),
    unavailable(AGAIN, None, bearer()),
]
RESET = unavailable(CONFIRM, {"token": "<reset>", "new": NEW_PASSWORD})
REQUEST = unavailable(ASK, {"email": ADA["email"]})


async def prepare(client, mailbox):
    """Register, and take a link of each kind."""
    names = await play(client, [register(), ask(), change_email()])
    for kind in ("verify", "reset", "change"):
        names[kind] = await mailbox.token(kind)
    return names


async def test_without_postgresql(aiohttp_client, settings_of, outages, clean, mailbox, database):
    client = await aiohttp_client(create_app(settings_of()))
    names = await prepare(client, mailbox)
    outages.take_away("postgresql")
    rows = [
        *NEED_A_TOKEN,
        REQUEST,
        RESET,
        unavailable(CHECK, {"token": "<reset>"}),
        unavailable(VERIFY, {"token": "<verify>"}),
        unavailable(VERIFY, {"token": "<change>"}),
        # A token that nobody made is recognized without a store.
        problem(CHECK, {"token": "nonsense"}, "link_invalid"),
        problem(VERIFY, {"token": "nonsense"}, "link_invalid"),
    ]
    await play(client, rows, names)
    outages.bring_back("postgresql")
    await all_is_well(client, mailbox, names)
    assert mailbox.waiting("reset") == []  # a request that failed is not carried out later


@pytest.mark.parametrize("rate_limits", ["on", "off"])
async def test_without_redis(aiohttp_client, settings_of, outages, clean, mailbox, rate_limits):
    """What needs no session does without it, unless attempts are counted there."""
    client = await aiohttp_client(create_app(settings_of(rate_limits=rate_limits)))
    names = await prepare(client, mailbox)
    outages.take_away("redis")
    rows = [
        *NEED_A_TOKEN,
        RESET,
        REQUEST if rate_limits == "on" else ask("nobody@example.org"),
        no_content(CHECK, {"token": "<reset>"}),
        verify("<verify>"),
    ]
    await play(client, rows, names)
    outages.bring_back("redis")
    await all_is_well(client, mailbox, names, is_verified=True)


async def all_is_well(client, mailbox, names, *, is_verified=False):
    """The session, the password and every link are as they were."""
    rows = [
        show(email_verified=is_verified),
        log_in(account={"email_verified": is_verified}),
        no_content(CHECK, {"token": "<reset>"}),
        verify("<verify>"),
        reset("<reset>"),
        log_in(password=NEW_PASSWORD, issued="<last = 64 hex>", account={"email_verified": True}),
    ]
    await play(client, rows, names)
    await mailbox.take("password")


async def test_a_message_is_sent_once_the_stores_are_back(
    aiohttp_client, settings_of, outages, clean, mailbox, monkeypatch
):
    """The sender is held back until PostgreSQL is gone."""
    client = await aiohttp_client(create_app(settings_of(rate_limits="on")))
    await play(client, [register()])
    await mailbox.take("verify")
    monkeypatch.setattr(sender, "POLL_SECONDS", 5.0)
    monkeypatch.setattr(sender, "WAKE_SECONDS", (0.5, 0.5))
    await play(client, [ask()])
    outages.take_away("postgresql")
    monkeypatch.setattr(sender, "POLL_SECONDS", 0.2)
    assert not await wait_for_async(lambda: mailbox.waiting("reset"), 1.0)
    outages.bring_back("postgresql")
    assert (await mailbox.take("reset"))["To"] == ADA["email"]
