"""The life of an account in latchkey, by the messages that the server sends.

Every token is taken out of a message, as its recipient does. What a link is for, and what ends it,
is in docs/contracts/latchkey.md#links.
"""

import asyncio
from dataclasses import replace

import pytest

import commands
from app import CORE, create_app
from mail import sender
from store.limits import parse_limit
from tests.handlers.contract import Row, play
from tests.handlers.dialects.latchkey_life import (
    CHANGE,
    CHECK,
    CONFIRM,
    COUNTESS,
    NEW_PASSWORD,
    OTHER_PASSWORD,
    VERIFY,
    ask,
    change_email,
    dead,
    ended,
    live,
    no_content,
    reset,
    show,
    verify,
    wrong,
)
from tests.handlers.dialects.latchkey_rows import (
    ADA,
    PASSWORD,
    PHONE,
    bearer,
    log_in,
    problem,
    register,
    session,
)
from tests.mail.mailbox import Mailbox
from tests.program import wait_for_async


@pytest.fixture
def mailing_settings(settings, tmp_path, monkeypatch):
    """Settings of a server that writes its mail to a directory, and does so at once."""
    monkeypatch.setattr(sender, "WAKE_SECONDS", (0.0, 0.01))
    return replace(
        settings, mail_url=f"file:{tmp_path}/mail", public_url="https://accounts.example"
    )


@pytest.fixture
async def client(mailing_settings, aiohttp_client, clean):
    return await aiohttp_client(create_app(mailing_settings))


@pytest.fixture
def mailbox(tmp_path):
    return Mailbox(tmp_path / "mail")


async def test_the_life_of_an_account(client, mailbox):
    await live(client, mailbox)
    assert mailbox.waiting() == []
    assert mailbox.directory.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in mailbox.directory.iterdir()} == {0o600}


async def test_a_change_of_address(client, mailbox, database):
    names = await play(client, [register()])
    await mailbox.take("verify")
    await play(client, [change_email(), show()], names)
    message = await mailbox.take("change")
    assert message["To"] == COUNTESS
    await play(client, [change_email("second@example.org")], names)
    names["second"] = await mailbox.token("change")
    await play(client, [change_email()], names)
    names["link"] = await mailbox.token("change")
    changed = {"email": COUNTESS}
    rows = [
        log_in(),  # by the old address, which stays until the link is used
        verify(**changed),
        verify(**changed),
        show(email_verified=True, **changed),
        dead(VERIFY, "<second>"),
        ask(ADA["email"]),
        ask(COUNTESS),
    ]
    await play(client, rows, names)
    assert (await mailbox.take("changed"))["To"] == ADA["email"]
    assert (await mailbox.take("reset"))["To"] == COUNTESS
    assert await wait_for_async(lambda: queued(database) == [])
    assert mailbox.waiting() == []  # one notice, and no reset to the old address


def queued(database):
    with database.cursor() as cursor:
        cursor.execute("select kind from mail")
        return cursor.fetchall()


async def test_two_uses_of_a_change_at_a_time_both_succeed(client, mailbox, database):
    """Both have found the old address; the second then finds the new one."""
    names = await play(client, [register(), change_email()])
    link = await mailbox.token("change")
    with database.cursor() as cursor:
        cursor.execute("begin; select from account where id = 1 for update")
        uses = [
            asyncio.create_task(client.post("/v1/email-verifications", json={"token": link}))
            for _ in range(2)
        ]
        assert await wait_for_async(lambda: waiting_for_locks(cursor) == 2)
        cursor.execute("rollback")
    assert [each.status for each in await asyncio.gather(*uses)] == [200, 200]
    await play(client, [show(email=COUNTESS, email_verified=True)], names)
    await mailbox.take("changed")
    assert await wait_for_async(lambda: queued(database) == [])
    assert mailbox.waiting("changed") == []  # one notice


def waiting_for_locks(cursor):
    cursor.execute("select count(*) from pg_stat_activity where wait_event_type = 'Lock'")
    return cursor.fetchone()[0]


async def test_the_first_address_of_an_account(client, mailbox, database):
    """Nobody is told of the change, since there was no other address."""
    fields = {"username": "ada", "password": PASSWORD}
    names = await play(client, [register(fields, account={"email": None}), change_email()])
    names["link"] = await mailbox.token("change")
    await play(client, [verify(email=COUNTESS), verify(email=COUNTESS)], names)
    assert await wait_for_async(lambda: queued(database) == [])
    assert mailbox.waiting() == []


async def test_a_verified_address_may_be_required(mailing_settings, aiohttp_client, clean, mailbox):
    settings = replace(mailing_settings, require_verified_email="on")
    client = await aiohttp_client(create_app(settings))
    login = {"login": "ada", "password": PASSWORD}
    refused = problem("POST /v1/sessions", login, "email_not_verified")
    names = await play(client, [register(), refused, ask()])
    names["link"], names["reset"] = await mailbox.token("verify"), await mailbox.token("reset")
    verified = {"email_verified": True}
    await play(client, [verify(), log_in(account=verified), reset("<reset>")], names)


async def test_a_pending_change_ends_with_a_reset(client, mailbox):
    names = await play(client, [register(), change_email(), ask()])
    names["link"], names["reset"] = await mailbox.token("change"), await mailbox.token("reset")
    rows = [reset("<reset>"), dead(VERIFY), show("<after>", email_verified=True)]
    await play(client, rows, names)


async def run_command(settings, *words):
    """Run `account …` beside the server."""
    assert await asyncio.to_thread(commands.run, ["account", *words], settings) == 0


async def change_by_link(client, mailbox, settings, names):
    await play(client, [change_email()], names)
    names["change"] = await mailbox.token("change")
    await play(client, [verify("<change>", email=COUNTESS)], names)


async def change_by_fardel(client, mailbox, settings, names):
    login = {"username": ADA["email"], "email": ADA["email"], "password": PASSWORD}
    response = await client.post("/fardel/api/auth/login", json=login)
    fresh = (await response.json())["access_token"]
    headers = {"Authorization": f"Bearer {fresh}"}
    response = await client.put(
        "/fardel/api/auth/profile", json={"email": COUNTESS}, headers=headers
    )
    assert response.status == 200, await response.text()


async def change_by_command(client, mailbox, settings, names):
    await run_command(settings, "set", "ada", f"email={COUNTESS}")


async def change_password(client, mailbox, settings, names):
    fields = {"current": PASSWORD, "new": OTHER_PASSWORD}
    shown = {"session": session(PHONE), "token": "<new = 64 hex>"}
    await play(client, [Row("PUT /v1/account/password", fields, 200, shown, bearer())], names)


async def reset_again(client, mailbox, settings, names):
    await play(client, [ask()], names)
    names["reset"] = await mailbox.token("reset")
    await play(client, [reset("<reset>", "<new = 64 hex>", OTHER_PASSWORD)], names)


async def end_all_sessions(client, mailbox, settings, names):
    await play(client, [no_content("DELETE /v1/sessions", name="<token>")], names)


@pytest.mark.parametrize(
    "event",
    [
        change_password,
        change_by_link,
        change_by_fardel,
        change_by_command,
        reset_again,
        end_all_sessions,
    ],
)
async def test_a_reset_link_ends_with_any_other_change(client, mailbox, mailing_settings, event):
    names = await play(client, [register(), ask()])
    names["link"] = await mailbox.token("reset")
    await play(client, [no_content(CHECK, {"token": "<link>"})], names)
    await event(client, mailbox, mailing_settings, names)
    await play(client, [dead(CHECK), dead(CONFIRM)], names)


@pytest.mark.parametrize("event", [change_password, change_by_fardel, change_by_command])
async def test_a_pending_change_ends_with_any_other_change(
    client, mailbox, mailing_settings, event
):
    names = await play(client, [register(), change_email("second@example.org")])
    names["link"] = await mailbox.token("change")
    await event(client, mailbox, mailing_settings, names)
    await play(client, [dead(VERIFY)], names)


@pytest.mark.parametrize("event", [change_by_fardel, change_by_command])
async def test_another_address_is_unverified_whoever_sets_it(
    client, mailbox, mailing_settings, event
):
    names = await play(client, [register()])
    names["link"] = await mailbox.token("verify")
    await play(client, [verify(), show(email_verified=True)], names)
    await event(client, mailbox, mailing_settings, names)
    rows = [show(email=COUNTESS, email_verified=False), dead(VERIFY)]
    await play(client, rows, names)


async def test_a_link_outlives_another_hash_of_the_same_password(
    client, mailbox, mailing_settings, aiohttp_client, database
):
    """A login under another BCRYPT_ROUNDS replaces the hash; the password is the same."""
    names = await play(client, [register(), ask()])
    names["link"] = await mailbox.token("reset")
    costlier = await aiohttp_client(create_app(replace(mailing_settings, bcrypt_rounds=5)))
    kept = hash_of(database)
    await play(costlier, [log_in()], names)
    assert hash_of(database) != kept
    await play(client, [reset()], names)


def hash_of(database):
    with database.cursor() as cursor:
        cursor.execute("select password from account where id = 1")
        return cursor.fetchone()


async def test_of_two_uses_at_a_time_one_has_an_effect(client, mailbox, monkeypatch):
    """Both have found the link good before either sets a password."""
    names = await play(client, [register(), ask()])
    names["link"] = await mailbox.token("reset")
    passwords = client.server.app[CORE].passwords
    make_hash, arrived, both = passwords.hash, [], asyncio.Event()

    async def hash_together(password, *rest):
        arrived.append(password)
        if len(arrived) == 2:
            both.set()
        await both.wait()
        return await make_hash(password, *rest)

    monkeypatch.setattr(passwords, "hash", hash_together)
    attempts = await asyncio.gather(
        *(
            client.post("/v1/password-resets/confirm", json={"token": names["link"], "new": new})
            for new in (NEW_PASSWORD, OTHER_PASSWORD)
        )
    )
    assert sorted(each.status for each in attempts) == [200, 400]
    [won], [lost] = ([each for each in attempts if each.status == status] for status in (200, 400))
    assert (await lost.json())["code"] == "link_invalid"
    names["after"] = (await won.json())["token"]
    password = (NEW_PASSWORD, OTHER_PASSWORD)[attempts.index(won)]
    other = (NEW_PASSWORD, OTHER_PASSWORD)[attempts.index(lost)]
    rows = [
        show("<after>", email_verified=True),
        wrong(other),
        log_in(password=password, account={"email_verified": True}),
    ]
    await play(client, rows, names)
    await mailbox.take("password")
    assert mailbox.waiting("password") == []


async def test_a_restored_redis_revives_nothing(client, mailbox, redis_client):
    names = await play(client, [register(), log_in(), ask()])
    names["link"] = await mailbox.token("reset")
    backup = {key: redis_client.dump(key) for key in redis_client.scan_iter()}
    await play(client, [reset()], names)
    redis_client.flushdb()
    for key, content in backup.items():
        redis_client.restore(key, 0, content)
    rows = [
        ended(),
        ended("<other>"),
        ended("<after>", "token_expired"),
        dead(CHECK),
        dead(CONFIRM),
        wrong(),
        log_in(password=NEW_PASSWORD, issued="<last = 64 hex>", account={"email_verified": True}),
    ]
    await play(client, rows, names)


async def test_a_disabled_account_gets_no_mail_and_no_link_enables_it(
    client, mailbox, mailing_settings, database
):
    names = await play(client, [register(), change_email(), ask()])
    names["verify"], names["link"], names["reset"] = [
        await mailbox.token(kind) for kind in ("verify", "change", "reset")
    ]
    await run_command(mailing_settings, "set", "ada", "is_active=false")
    rows = [
        dead(VERIFY),
        dead(CHECK, "<reset>"),
        dead(CONFIRM, "<reset>"),
        ask(),
        problem(
            CHANGE, {"email": COUNTESS, "password": PASSWORD}, "token_revoked", headers=bearer()
        ),
    ]
    await play(client, rows, names)
    await client.post("/v1/email-verifications", json={"token": names["verify"]})
    assert await wait_for_async(lambda: queued(database) == [])
    assert mailbox.waiting() == []
    refused = problem(
        "POST /v1/sessions", {"login": "ada", "password": PASSWORD}, "account_disabled"
    )
    await play(client, [refused], names)


async def test_messages_to_one_account_are_limited_over_all_its_addresses(
    mailing_settings, aiohttp_client, clean, mailbox, database
):
    """A reset is for an account that only the sender knows; RATE_LIMITS=off lifts the limit."""
    settings = replace(mailing_settings, rate_limits="on", mail_limit=parse_limit("3 per hour"))
    client = await aiohttp_client(create_app(settings))
    names = await play(client, [register(), change_email(), change_email("second@example.org")])
    await play(client, [ask(), ask()], names)
    assert await wait_for_async(lambda: queued(database) == [])
    assert [len(mailbox.waiting(kind)) for kind in ("verify", "change", "reset")] == [1, 2, 1]
    metrics = await (await client.get("/metrics")).text()
    assert 'latchkey_mail_messages_total{kind="reset",outcome="limited"} 1.0' in metrics
    await client.close()
    unlimited = await aiohttp_client(create_app(mailing_settings))
    await play(unlimited, [ask(), ask()], names)
    assert await wait_for_async(lambda: len(mailbox.waiting("reset")) == 3)
