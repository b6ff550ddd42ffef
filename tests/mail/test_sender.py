"""What the sender does with each row, against a real SMTP server and a real queue."""

import asyncio
import logging
import re
from dataclasses import replace

import pytest

from mail import sender as sender_module
from mail.settings import deliverable
from store.account import NewAccount
from store.errors import Unavailable
from store.limits import Limits, parse_limit
from store.mail_queue import KINDS, MailQueue, MailRules
from store.one_time_tokens import Purpose
from telemetry import mail_metrics
from tests.mail.smtp import (
    PASSWORD,
    USER,
    link_of,
    make_certificate,
    server_tls,
    smtp_server,
    texts,
)
from tests.pages import free_port
from tests.program import wait_for_async

ANYWHERE = "0.0.0.0"  # noqa: S104  # leads to this machine, and is no loopback address by its name
NO_LINK = ("changed", "password", "device", "factor_on", "factor_off", "passkey", "identity")
REQUESTED = ("reset", "rename")
DIALECTS_OWN = ("activate", "rename")


def url(inbox):
    return f"smtp://127.0.0.1:{inbox.port}"


async def queue_one(core, kind, account, address=None, dialect=None):
    """Queue a message of a kind as its cause would."""
    if kind == "activate":
        await core.accounts.change(account.id, {"activated": False})
    change = {"session_epoch": account.epoch, "previous": account.email.lower()}
    await core.mail.add(
        kind,
        address or account.email,
        account_id=None if kind in REQUESTED else account.id,
        dialect="djoser" if kind in DIALECTS_OWN else dialect,
        **(change if kind == "change" else {}),
    )


def rows(database, columns="id"):
    with database.cursor() as cursor:
        cursor.execute(f"select {columns} from mail order by id")
        return cursor.fetchall()


def test_the_kinds_are_those_that_are_counted():
    assert mail_metrics.KINDS == KINDS


@pytest.mark.parametrize("kind", KINDS)
async def test_each_kind_is_delivered_once(core, inbox, send, account, emptied, kind):
    someone = await account()
    await queue_one(core, kind, someone)
    async with send(url(inbox)) as sending:
        assert await emptied()
    [message] = inbox.messages
    assert inbox.recipients == ["mika@example.com"]
    assert inbox.senders == ["no-reply@accounts.example"]
    assert message["From"] == "Latchkey <no-reply@accounts.example>"
    assert message["To"] == "mika@example.com"
    assert "Latchkey" in message["Subject"]
    assert message["Auto-Submitted"] == "auto-generated"
    assert re.fullmatch("<[0-9a-f]{32}@accounts.example>", message["Message-ID"])
    assert message["Date"].datetime.tzinfo is not None
    assert message["Content-Language"] == "en"
    text, html = texts(message)
    link = link_of(message)
    assert bool(link) == (kind not in NO_LINK)
    assert link in text
    assert link in html
    assert "mika" not in text + html
    assert sending.counted() == {(kind, "sent"): 1}


@pytest.mark.parametrize(
    ("kind", "purpose", "page"),
    [
        ("verify", Purpose.VERIFY, "verify-email"),
        ("change", Purpose.CHANGE, "verify-email"),
        ("reset", Purpose.RESET, "reset-password"),
    ],
)
async def test_a_link_has_a_token_that_works(
    core, inbox, send, account, emptied, database, kind, purpose, page
):
    someone = await account()
    await queue_one(core, kind, someone, "new@example.com" if kind == "change" else None)
    [(expires,)] = rows(database, "expires")
    async with send(url(inbox)):
        assert await emptied()
    link = link_of(inbox.messages[0])
    start, _, token = link.partition("#")
    assert start == f"https://accounts.example/ui/{page}"
    parsed = core.one_time_tokens.parse(token, purpose)
    core.one_time_tokens.check(parsed, someone)
    assert parsed.expires == int(expires.timestamp())
    assert parsed.address == ("new@example.com" if kind == "change" else "")


@pytest.mark.parametrize(
    ("kind", "purpose"),
    [
        ("activate", Purpose.ACTIVATE),
        ("rename", Purpose.USERNAME),
        ("reset", Purpose.RESET),
        ("change", Purpose.CHANGE),
    ],
)
async def test_a_link_of_a_dialect_has_the_id_and_the_token(
    core, inbox, send, account, emptied, kind, purpose
):
    someone = await account()
    await queue_one(core, kind, someone, "new@example.com" if kind == "change" else None, "djoser")
    async with send(url(inbox)):
        assert await emptied()
    start, _, token = link_of(inbox.messages[0]).partition("#")
    assert start == f"https://app.example/{kind}/MQ"
    core.one_time_tokens.check(core.one_time_tokens.parse(token, purpose), someone)


@pytest.mark.parametrize("kind", DIALECTS_OWN)
async def test_a_link_that_no_option_names_is_not_sent(core, inbox, send, account, emptied, kind):
    someone = await account()
    await queue_one(core, kind, someone)
    await core.database.rows("update mail set dialect = 'gone' returning id")
    await drop(core, inbox, send, emptied, "void", kind)


async def test_an_account_that_waits_for_its_activation_gets_nothing_else(
    core, inbox, send, account, emptied
):
    someone = await account()
    for kind in KINDS:
        if kind != "activate":
            await queue_one(core, kind, someone)
    await queue_one(core, "activate", someone)
    async with send(url(inbox)) as sending:
        assert await emptied()
    counted = sending.counted()
    assert counted.pop(("activate", "sent")) == 1
    assert {outcome for _, outcome in counted} == {"void"}


async def test_links_begin_as_the_settings_say(core, inbox, send, account, emptied):
    someone = await account()
    await queue_one(core, "verify", someone)
    await queue_one(core, "reset", someone)
    urls = {"verify_url": "https://app.example/#v={token}", "reset_url": "myapp://reset/{token}"}
    async with send(url(inbox), public_url="", **urls):
        assert await emptied()
    verify, reset = map(link_of, inbox.messages)
    assert verify.startswith("https://app.example/#v=A")
    assert reset.startswith("myapp://reset/A")


async def test_one_connection_carries_a_batch(core, inbox, send, account, emptied):
    someone = await account()
    for _ in range(8):
        await queue_one(core, "password", someone)
    async with send(url(inbox)):
        assert await emptied()
    assert len(set(inbox.ids)) == 8
    assert inbox.connections == 1


async def test_a_queued_message_is_sent_at_once(core, inbox, send, account, emptied):
    """`wake` does it: the queue would be looked at only later."""
    someone = await account()
    async with send(url(inbox)) as sending:
        core.mail.wake = sending.sender.wake
        sending.sender._poll_seconds = 60
        await asyncio.sleep(0.2)
        await queue_one(core, "password", someone)
        assert await emptied()
    assert len(inbox.messages) == 1


async def test_the_queue_is_looked_at_for_what_others_have_queued(
    core, inbox, send, account, emptied
):
    someone = await account()
    async with send(url(inbox)):
        await queue_one(core, "password", someone)  # nobody is woken
        assert await emptied()


async def drop(core, inbox, send, emptied, outcome, kind="verify"):
    async with send(url(inbox)) as sending:
        assert await emptied()
    assert inbox.messages == []
    assert sending.counted() == {(kind, outcome): 1}


async def test_a_reset_of_an_unknown_address_sends_nothing_and_logs_nothing(
    core, inbox, send, emptied, caplog
):
    caplog.set_level(logging.DEBUG, "latchkey")
    await core.mail.add("reset", "nobody@example.com")
    await drop(core, inbox, send, emptied, "void", "reset")
    assert caplog.records == []


# IDNA 2008 has two hosts, IDNA 2003 one: names of accounts are compared as equal.
OURS, THEIRS = "mika@strasse.example", "mika@straße.example"


@pytest.mark.parametrize(("kept", "typed"), [(OURS, THEIRS), (THEIRS, OURS)])
async def test_a_reset_goes_to_the_address_of_the_account(
    core, inbox, send, account, emptied, kept, typed
):
    """Not to the one that was typed: its host may be another person's."""
    await account(email=kept)
    await core.mail.add("reset", typed)
    async with send(url(inbox)):
        assert await emptied()
    assert inbox.recipients == [deliverable(kept)]


async def test_a_link_goes_only_to_the_address_that_it_verifies(
    core, inbox, send, account, emptied
):
    someone = await account(email=THEIRS)
    await queue_one(core, "verify", someone)
    await core.accounts.change(someone.id, {"email": OURS})
    await drop(core, inbox, send, emptied, "void")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_disabled_account_gets_nothing(core, inbox, send, account, emptied, kind):
    someone = await account()
    await queue_one(core, kind, someone)
    disabled = await core.accounts.change(someone.id, {"is_active": False})
    assert not disabled.is_active
    await drop(core, inbox, send, emptied, "void", kind)


async def test_resets_are_limited_by_account(core, inbox, send, account, emptied, database, caplog):
    """Each counts once, however often it is tried, and together with messages of other kinds."""
    someone, other = await account(), await account("eve")
    limits = Limits(core.redis, *[parse_limit("3 per hour")] * 6)
    assert await limits.may_mail("a-new-address@example.com", someone.id)
    replies = ["451 later", "451 later"]
    inbox.on_message = lambda _: replies.pop() if replies else ""
    await queue_one(core, "reset", someone)
    async with send(url(inbox), limits=limits) as sending:
        for count in (1, 2):
            await wait_for_async(lambda n=count: sending.counted().get(("reset", "retried")) == n)
            await soon(database)
        assert await emptied()
        for _ in range(3):
            await queue_one(core, "reset", someone)
        await queue_one(core, "password", someone)
        await queue_one(core, "reset", other)
        assert await emptied()
    counted = sending.counted()
    assert counted.pop(("reset", "retried")) == 2
    assert counted == {("reset", "sent"): 3, ("reset", "limited"): 2, ("password", "sent"): 1}
    assert "dropped" not in caplog.text


async def test_a_reset_that_cannot_be_counted_holds_nothing_up(
    core, inbox, send, account, emptied, database
):
    class Unreachable(Limits):
        async def may_mail_account(self, account_id):
            raise Unavailable("redis", "a test")

    someone = await account()
    await queue_one(core, "reset", someone)
    await queue_one(core, "password", someone)
    limits = Unreachable(core.redis, *[parse_limit("3 per hour")] * 6)
    async with send(url(inbox), limits=limits) as sending:
        assert await wait_for_async(lambda: len(rows(database)) == 1)
    assert sending.counted() == {("password", "sent"): 1, ("reset", "retried"): 1}
    async with send(url(inbox)):
        await soon(database)
        assert await emptied()


async def test_a_change_is_dropped_after_a_new_epoch(core, inbox, send, account, emptied):
    someone = await account()
    await queue_one(core, "change", someone, "new@example.com")
    await core.accounts.raise_epoch(someone.id)
    await drop(core, inbox, send, emptied, "void", "change")


async def test_a_change_is_dropped_when_the_old_address_is_another(
    core, inbox, send, account, emptied
):
    someone = await account()
    await queue_one(core, "change", someone, "new@example.com")
    await core.accounts.change(someone.id, {"email": "third@example.com"})
    await drop(core, inbox, send, emptied, "void", "change")


async def test_a_change_of_an_account_that_had_no_address_is_sent(core, inbox, send, emptied):
    identity = await core.accounts.new_identity()
    someone = await core.accounts.insert(identity, NewAccount("mika"), "hash", logged_in=False)
    await core.mail.add(
        "change", "new@example.com", account_id=someone.id, session_epoch=someone.epoch
    )
    async with send(url(inbox)):
        assert await emptied()
    assert inbox.recipients == ["new@example.com"]


async def test_an_address_that_the_account_has_no_more_is_not_verified(
    core, inbox, send, account, emptied
):
    someone = await account()
    await queue_one(core, "verify", someone)
    await core.accounts.change(someone.id, {"email": "other@example.com"})
    await drop(core, inbox, send, emptied, "void")


async def test_a_link_that_has_ended_is_not_sent(core, inbox, send, account, emptied, database):
    someone = await account()
    await queue_one(core, "verify", someone)
    with database.cursor() as cursor:
        cursor.execute("update mail set expires = now()")
    await drop(core, inbox, send, emptied, "expired")


async def test_a_message_goes_with_its_account(core, account, database):
    someone = await account()
    await queue_one(core, "verify", someone)
    assert await core.accounts.delete(someone.id, someone.epoch)
    assert rows(database) == []


@pytest.mark.parametrize(
    "address",
    [
        "mika@example.com\r\nBcc: other@example.com",
        "mika@example.com\nSubject: x",
        "mika@example.com, other@example.com",
        "Mika <mika@example.com>",
        "<mika@example.com>",
        "mika@example.com> RCPT TO:<other@example.com",
        '"a\r\n"@example.com',
        "mika@exa mple.com",
        "mika",
        "",
        "@example.com",
        "mika@example.com\u2028x",
        "m\u00efka@example.com",
    ],
)
async def test_an_address_that_could_be_more_than_one_is_dropped(
    core, inbox, send, account, emptied, database, address
):
    someone = await account()
    with database.cursor() as cursor:
        cursor.execute(
            "insert into mail (kind, account_id, address) values ('password', %s, %s)",
            (someone.id, address),
        )
    await drop(core, inbox, send, emptied, "invalid_address", "password")


@pytest.mark.parametrize(
    ("address", "sent_to"),
    [
        ("mika@b\u00fccher.example", "mika@xn--bcher-kva.example"),
        ('"mika,<x@y.example>"@example.com', None),
        ("o'neil+tag@example.com", "o'neil+tag@example.com"),
        (f"{'a' * 60}@{'b' * 60}.{'c' * 60}.example", None),
    ],
)
async def test_an_odd_address_is_one_recipient(
    core, inbox, send, account, emptied, address, sent_to
):
    someone = await account(email=address)
    await queue_one(core, "password", someone)
    async with send(url(inbox)):
        assert await emptied()
    assert inbox.recipients == [sent_to or address]
    [to] = inbox.messages[0]["To"].addresses
    assert to.addr_spec == (sent_to or address)
    assert inbox.messages[0]["Bcc"] is None


async def test_names_of_a_user_are_in_no_message(core, inbox, send, emptied):
    name = "Eve\r\nBcc: x@y.example"
    identity = await core.accounts.new_identity()
    new = NewAccount("evename", "eve@example.com", f"First{name}", f"Last{name}")
    someone = await core.accounts.insert(identity, new, "hash", logged_in=False)
    for kind in KINDS:
        if kind != "activate":
            await queue_one(core, kind, someone, "second@example.com" if kind == "change" else None)
    async with send(url(inbox)):
        assert await emptied()
        await queue_one(core, "activate", someone)
        assert await emptied()
    assert len(inbox.messages) == len(KINDS)
    for message in inbox.messages:
        assert not re.search("Eve|evename|Bcc", message.as_string().replace(message["To"], ""))


async def test_the_sender_may_have_a_name(core, inbox, send, account, emptied):
    someone = await account()
    await queue_one(core, "password", someone)
    async with send(url(inbox), mail_from='"Bücher, Ltd." <me@bücher.example>'):
        assert await emptied()
    [sender] = inbox.messages[0]["From"].addresses
    assert (sender.display_name, sender.addr_spec) == ("Bücher, Ltd.", "me@xn--bcher-kva.example")


# What the server does.


async def test_a_message_that_was_refused_for_good_is_dropped(
    core, inbox, send, account, emptied, caplog
):
    someone = await account(email="unknown@example.com")
    other = await account("other")
    inbox.on_recipient = lambda address: "550 no unknown@" if "unknown" in address else ""
    await queue_one(core, "password", someone)
    await queue_one(core, "password", other)
    async with send(url(inbox)) as sending:
        assert await emptied()
    assert inbox.recipients == ["other@example.com"]
    assert sending.counted() == {("password", "refused"): 1, ("password", "sent"): 1}
    [record] = caplog.records
    line = record.getMessage()
    assert re.fullmatch(
        r"mail dropped: refused, kind password, row \d+, account \d+, SMTP code 550", line
    )


async def test_a_message_whose_content_is_refused_is_dropped(core, inbox, send, account, emptied):
    someone = await account()
    inbox.on_message = lambda _: "554 spam"
    await queue_one(core, "password", someone)
    await drop(core, inbox, send, emptied, "refused", "password")


async def soon(database, seconds="0"):
    """Make what waits for its next attempt due."""
    with database.cursor() as cursor:
        cursor.execute(f"update mail set due = now() + interval '{seconds} seconds'")


async def retried(database, sending, kind="password"):
    """Wait until an attempt has failed; return the seconds until the next one."""
    assert await wait_for_async(lambda: sending.counted().get((kind, "retried")))
    [(attempts, wait)] = await wait_for_async(
        lambda: rows(database, "attempts, extract(epoch from due - now())::float")
    )
    return attempts, wait


@pytest.mark.parametrize(
    ("how", "reply"),
    [
        ("on_recipient", "450 greylisted, mika@example.com"),
        ("on_recipient", "530 log in first"),
        ("on_message", "451 later"),
        ("on_message", "abort"),
        ("on_sender", "550 not from you"),
        ("on_recipient", "421 closing"),
    ],
)
async def test_a_failure_that_may_pass_is_tried_again(
    core, inbox, send, account, emptied, database, caplog, how, reply
):
    someone = await account()
    setattr(inbox, how, lambda _: reply)
    await queue_one(core, "password", someone)
    async with send(url(inbox)) as sending:
        attempts, wait = await retried(database, sending)
        assert attempts == 1
        assert 20 < wait <= 30
        setattr(inbox, how, lambda _: "")
        await soon(database)
        assert await emptied()
    assert len(inbox.messages) == 1
    assert sending.counted() == {("password", "retried"): 1, ("password", "sent"): 1}
    assert "mika" not in caplog.text


async def test_waits_double_up_to_an_hour(core, inbox, send, account, database):
    someone = await account()
    inbox.on_message = lambda _: "451 later"
    await queue_one(core, "password", someone)
    waits = []
    async with send(url(inbox)) as sending:
        for attempt in range(1, 10):
            with database.cursor() as cursor:
                cursor.execute("update mail set attempts = %s, due = now()", (attempt - 1,))
            failed = {("password", "retried"): attempt}
            assert await wait_for_async(lambda failed=failed: sending.counted() == failed)
            [(wait,)] = rows(database, "round(extract(epoch from due - now()))::int")
            waits.append(wait)
    assert waits == pytest.approx([30, 60, 120, 240, 480, 960, 1920, 3600, 3600], abs=3)


async def test_after_a_day_a_message_is_given_up(core, inbox, send, account, emptied, database):
    someone = await account()
    inbox.on_message = lambda _: "451 later"
    await queue_one(core, "password", someone)
    with database.cursor() as cursor:
        cursor.execute("update mail set attempts = 20, created = now() - interval '23:30:00'")
    await drop(core, inbox, send, emptied, "given_up", "password")


async def test_a_slow_server_is_waited_for(core, inbox, send, account, emptied):
    someone = await account()
    inbox.delay = 0.5
    await queue_one(core, "password", someone)
    async with send(url(inbox)):
        assert await emptied()
    assert len(inbox.messages) == 1


async def test_a_step_that_takes_too_long_is_given_up(core, inbox, send, account, database):
    someone = await account()
    inbox.delay = 5
    await queue_one(core, "password", someone)
    async with send(url(inbox), step_seconds=0.3) as sending:
        attempts, wait = await retried(database, sending)
    assert attempts == 1
    assert 20 < wait <= 30


async def test_a_batch_that_takes_too_long_gives_the_rest_back(
    core, inbox, send, account, database
):
    """So a lease never ends while its batch is being sent."""
    someone = await account()
    inbox.delay = 0.4
    for _ in range(3):
        await queue_one(core, "password", someone)
    inbox.on_message = lambda _: "451 later" if len(inbox.messages) > 5 else ""
    async with send(url(inbox), batch_seconds=0.6) as sending:
        assert await wait_for_async(lambda: sending.counted().get(("password", "retried")))
        inbox.delay = 0
        await wait_for_async(lambda: len(inbox.messages) >= 2)
    states = rows(database, "attempts, due > now() + interval '20 seconds'")
    assert (1, True) in states  # the late one waits; the third was sent in a batch of its own


async def test_no_server_at_all(core, send, account, database, caplog):
    someone = await account()
    await queue_one(core, "password", someone)
    async with send(f"smtp://127.0.0.1:{free_port()}") as sending:
        attempts, wait = await retried(database, sending)
    assert attempts == 1
    assert 20 < wait <= 30
    assert "the mail server cannot be used: Error connecting to 127.0.0.1" in caplog.text


class Unwilling(asyncio.Protocol):
    """A server that accepts no mail from this client, as its first line says."""

    def connection_made(self, transport):
        transport.write(b"554 not from you, mika@example.com\r\n")
        transport.close()


async def test_a_server_that_greets_with_an_error(core, send, account, database, caplog):
    someone = await account()
    await queue_one(core, "password", someone)
    loop = asyncio.get_running_loop()
    async with await loop.create_server(Unwilling, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with send(f"smtp://127.0.0.1:{port}") as sending:
            attempts, wait = await retried(database, sending)
    assert attempts == 1
    assert 20 < wait <= 30
    assert "the mail server cannot be used: greeting, code 554" in caplog.text
    assert "mika" not in caplog.text


async def test_what_is_under_way_is_finished_when_the_server_stops(
    core, inbox, send, account, database
):
    someone = await account()
    inbox.delay = 0.3
    for _ in range(3):
        await queue_one(core, "password", someone)
    async with send(url(inbox)):
        assert await wait_for_async(lambda: inbox.begun)
    assert len(inbox.messages) == 1
    assert rows(database, "attempts, due <= now()") == [(0, True)] * 2


async def test_a_server_that_hangs_does_not_hold_the_stop_up(
    core, inbox, send, account, database, monkeypatch
):
    monkeypatch.setattr(sender_module, "CLOSE_SECONDS", 0.2)
    someone = await account()
    inbox.delay = 30
    await queue_one(core, "password", someone)
    async with send(url(inbox)):
        assert await wait_for_async(lambda: inbox.begun)
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 3
    assert len(rows(database)) == 1  # sent again after its lease


async def test_a_delivery_that_cannot_be_recorded_is_not_repeated(
    core, inbox, send, account, emptied, monkeypatch
):
    someone = await account()
    await queue_one(core, "password", someone)
    record, fails = core.mail.delivered, [1, 1]

    async def delivered(mail_id):
        if fails:
            fails.pop()
            raise Unavailable("postgresql", "a test")
        await record(mail_id)

    monkeypatch.setattr(core.mail, "delivered", delivered)
    async with send(url(inbox)):
        assert await emptied()
    assert len(inbox.messages) == 1


async def test_a_bug_stops_no_sender(core, inbox, send, account, emptied, monkeypatch, caplog):
    someone = await account()
    claim, fails = core.mail.claim, [1]

    async def claim_badly(*arguments):
        if fails:
            fails.pop()
            raise ZeroDivisionError
        return await claim(*arguments)

    monkeypatch.setattr(core.mail, "claim", claim_badly)
    await queue_one(core, "password", someone)
    async with send(url(inbox)):
        assert await emptied()
    assert "mail could not be sent" in caplog.text


async def test_what_waits_is_shown(core, inbox, send, account, database):
    someone = await account()
    inbox.on_message = lambda _: "451 later"
    await queue_one(core, "password", someone)
    with database.cursor() as cursor:
        cursor.execute("update mail set created = now() - interval '100 seconds'")
    async with send(url(inbox)) as sending:
        assert await wait_for_async(lambda: sending.gauge("latchkey_mail_queue_depth"))
        assert sending.gauge("latchkey_mail_queue_depth") == 1
        assert 100 <= sending.gauge("latchkey_mail_oldest_seconds") < 130


# TLS and logins.


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"), ANYWHERE)


@pytest.fixture
def trusted(certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")


async def expect_delivery(core, inbox, send, account, emptied, where):
    someone = await account()
    await queue_one(core, "reset", someone)
    async with send(where):
        assert await emptied()
    assert len(inbox.messages) == 1


async def expect_no_delivery(core, inbox, send, account, database, where, caplog, reason):
    someone = await account()
    await queue_one(core, "password", someone)
    async with send(where) as sending:
        attempts, _ = await retried(database, sending)
    assert attempts == 1
    assert inbox.messages == []
    assert reason in caplog.text


async def test_starttls(core, send, account, emptied, certificate, trusted):
    async with smtp_server(tls=server_tls(certificate), host=ANYWHERE) as inbox:
        where = f"smtp://{ANYWHERE}:{inbox.port}"
        await expect_delivery(core, inbox, send, account, emptied, where)
    assert inbox.secure == [True]


async def test_tls_at_once(core, send, account, emptied, certificate, trusted):
    tls = server_tls(certificate)
    async with smtp_server(tls=tls, tls_at_once=True, host=ANYWHERE) as inbox:
        where = f"smtps://{ANYWHERE}:{inbox.port}"
        await expect_delivery(core, inbox, send, account, emptied, where)


async def test_a_server_without_tls_gets_nothing(core, send, account, database, caplog):
    async with smtp_server(host=ANYWHERE) as inbox:
        where = f"smtp://{ANYWHERE}:{inbox.port}"
        reason = "STARTTLS"
        await expect_no_delivery(core, inbox, send, account, database, where, caplog, reason)


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_certificate_that_is_not_trusted(
    core, send, account, database, caplog, certificate, scheme
):
    at_once = scheme == "smtps"
    async with smtp_server(
        tls=server_tls(certificate), tls_at_once=at_once, host=ANYWHERE
    ) as inbox:
        where = f"{scheme}://{ANYWHERE}:{inbox.port}"
        reason = "certificate verify failed"
        await expect_no_delivery(core, inbox, send, account, database, where, caplog, reason)


async def test_a_certificate_of_another_name(
    core, send, account, database, caplog, tmp_path, monkeypatch
):
    other = make_certificate(tmp_path, "mail.example")
    monkeypatch.setenv("SSL_CERT_FILE", f"{other}.crt")
    async with smtp_server(tls=server_tls(other), host=ANYWHERE) as inbox:
        where = f"smtp://{ANYWHERE}:{inbox.port}"
        reason = "certificate verify failed"
        await expect_no_delivery(core, inbox, send, account, database, where, caplog, reason)


async def test_loopback_needs_no_certificate(core, send, account, emptied, certificate):
    async with smtp_server(tls=server_tls(certificate)) as inbox:
        await expect_delivery(core, inbox, send, account, emptied, url(inbox))
    assert inbox.secure == [True]


async def test_a_login(core, send, account, emptied):
    async with smtp_server(with_login=True) as inbox:
        where = f"smtp://{USER}:pass%20%40%2Fword%231@127.0.0.1:{inbox.port}"
        await expect_delivery(core, inbox, send, account, emptied, where)


async def test_a_login_that_fails_may_be_mended(core, send, account, database, caplog):
    async with smtp_server(with_login=True) as inbox:
        where = f"smtp://{USER}:wrong@127.0.0.1:{inbox.port}"
        reason = "the mail server cannot be used: authentication, code 535"
        await expect_no_delivery(core, inbox, send, account, database, where, caplog, reason)
    assert PASSWORD not in caplog.text
    assert "wrong" not in caplog.text


# The queue.


async def test_a_message_is_claimed_by_one(core, account):
    someone = await account()
    for _ in range(5):
        await queue_one(core, "password", someone)
    first, second = await asyncio.gather(core.mail.claim(3, 60), core.mail.claim(3, 60))
    claimed = [each.id for each in first + second]
    assert len(claimed) == len(set(claimed)) == 5
    assert await core.mail.claim(3, 60) == []


async def test_a_lease_ends(core, account, database):
    someone = await account()
    await queue_one(core, "password", someone)
    [first] = await core.mail.claim(1, 60)
    await soon(database)
    [second] = await core.mail.claim(1, 60)
    assert (first.id, second.attempts) == (second.id, 2)
    await core.mail.failed(first, 0)  # its lease has ended: it is another's now
    await core.mail.release(first)
    assert await core.mail.claim(1, 60) == []


async def test_a_message_that_is_given_back_was_not_attempted(core, account):
    someone = await account()
    await queue_one(core, "password", someone)
    [mail] = await core.mail.claim(1, 60)
    await core.mail.release(mail)
    [again] = await core.mail.claim(1, 60)
    assert again.attempts == 1


async def test_the_newest_come_first(core, account):
    someone = await account()
    for kind in ("verify", "password"):
        await queue_one(core, kind, someone)
    assert [each.kind for each in await core.mail.newest(5)] == ["password", "verify"]
    assert [each.kind for each in await core.mail.newest(1)] == ["password"]


async def test_a_message_is_written_with_its_cause(core, account, database):
    someone = await account()
    mailed = core.mail.insertion(
        "change",
        "changed where true",
        address="'new@example.com'",
        epoch="session_epoch",
        previous="email_folded",
    )
    with database.cursor() as cursor:
        cursor.execute(
            f"""with changed as (update account set first_name = 'Mika' where id = %s
                                 returning id, email_folded, session_epoch),
                     mailed as ({mailed})
                select id from changed""",
            (someone.id,),
        )
        assert cursor.fetchall() == [(someone.id,)]
    columns = "kind, account_id, address, session_epoch, previous, expires - created"
    [(*row, lifetime)] = rows(database, columns)
    assert row == ["change", someone.id, "new@example.com", someone.epoch, "mika@example.com"]
    assert lifetime.total_seconds() == 3 * 86400


async def test_nothing_is_written_where_there_is_no_address(core, account, database):
    await account()
    mailed = core.mail.insertion("verify", "account", address="null")
    with database.cursor() as cursor:
        cursor.execute(f"with mailed as ({mailed}) select 1")
    assert rows(database) == []


@pytest.mark.parametrize(
    ("kind", "rules"),
    [
        ("verify", MailRules(problem="MAIL_URL is not set")),
        ("device", MailRules(device_notices=False)),
    ],
)
async def test_nothing_is_written_that_is_not_to_be_sent(core, account, database, kind, rules):
    await account()
    mailed = MailQueue(core.database, rules).insertion(kind, "account")
    with database.cursor() as cursor:
        cursor.execute(f"with mailed as ({mailed}) select 1")
    assert rows(database) == []


async def test_a_server_that_sends_no_mail_queues_none(core, database):
    queue = MailQueue(core.database, replace(core.mail.rules, problem="MAIL_URL is not set"))
    with pytest.raises(Unavailable, match="mail: MAIL_URL is not set"):
        await queue.add("reset", "mika@example.com")
    assert rows(database) == []


async def test_there_are_no_other_kinds(core):
    with pytest.raises(ValueError, match="not a kind"):
        core.mail.insertion("invoice", "account")
    with pytest.raises(ValueError, match="not a kind"):
        await core.mail.add("invoice", "mika@example.com")
