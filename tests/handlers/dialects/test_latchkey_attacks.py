"""latchkey under attack: links that are replayed, names that are probed, requests that are held."""

import asyncio
import json
import time
from dataclasses import replace

import pytest
from aiohttp import web

from app import CORE, create_app
from store.limits import parse_limit
from store.one_time_tokens import Purpose
from tests.handlers.contract import Row, play
from tests.handlers.dialects.latchkey_rows import (
    ADA,
    PASSWORD,
    account,
    bearer,
    problem,
    register,
)

VERIFY = "POST /v1/email-verifications"
NEW_PASSWORD = "Difference-Engine-1822"
EMPTY = {"Content-Type": None, "Content-Length": None}


@pytest.fixture
async def mailing(settings, tmp_path, aiohttp_client, clean):
    """A client of a server that writes its mail to a directory."""
    settings = replace(
        settings, mail_url=f"file:{tmp_path}/mail", public_url="https://accounts.example"
    )
    return await aiohttp_client(create_app(settings))


async def link_token(client, purpose, address="", requested=0.0):
    """Return the token of a link for the first account, as the sender makes it."""
    core = client.server.app[CORE]
    found = await core.accounts.get(1)
    return core.one_time_tokens.make(purpose, found, time.time() + 3600, address, requested)


def update(database, assignments):
    """Change the account as only an operator can."""
    with database.cursor() as cursor:
        cursor.execute(f"update account set {assignments}")


# Links


async def test_a_used_link_is_void_once_the_address_was_changed_back(mailing):
    """Else the owner of a mistyped address could take the account again with the same link."""
    wrong, right = "mistyped@example.org", ADA["email"]
    names = await play(mailing, [register()])
    hour_ago = time.time() - 3600
    names["wrong"] = await link_token(mailing, Purpose.CHANGE, wrong, hour_ago)
    mistyped = {"account": account(email=wrong, email_verified=True)}
    await play(mailing, [Row(VERIFY, {"token": "<wrong>"}, 200, mistyped)], names)
    names["right"] = await link_token(mailing, Purpose.CHANGE, right, time.time())
    corrected = {"account": account(email_verified=True)}
    rows = [
        Row(VERIFY, {"token": "<right>"}, 200, corrected),
        problem(VERIFY, {"token": "<wrong>"}, "link_invalid"),
        Row("GET /v1/account", None, 200, corrected["account"], bearer()),
        Row(VERIFY, {"token": "<right>"}, 200, corrected),
    ]
    await play(mailing, rows, names)


async def test_a_used_link_is_void_once_another_dialect_changed_the_address_back(mailing, database):
    """Then the old address, which was verified, is no longer."""
    names = await play(mailing, [register()])
    update(database, "email_verified_at = now() - interval '1 day'")
    names["link"] = await link_token(mailing, Purpose.CHANGE, "mistyped@example.org", time.time())
    mistyped = {"account": account(email="mistyped@example.org", email_verified=True)}
    await play(mailing, [Row(VERIFY, {"token": "<link>"}, 200, mistyped)], names)
    core = mailing.server.app[CORE]
    assert await core.accounts.change(1, {"email": ADA["email"]})
    await play(mailing, [problem(VERIFY, {"token": "<link>"}, "link_invalid")], names)


@pytest.mark.parametrize("purpose", [Purpose.VERIFY, Purpose.CHANGE, Purpose.RESET])
async def test_links_of_an_address_that_an_older_release_folded(mailing, database, purpose):
    """Such an account keeps its folded address if another account has the present form."""
    old = "ada@xn--strae-oqa.example"
    names = await play(mailing, [register()])
    update(database, f"email = '{old}', email_folded = '{old}'")
    names["link"] = await link_token(mailing, purpose, "new@example.org")
    path, fields = "/v1/email-verifications", {"token": names["link"]}
    if purpose is Purpose.RESET:
        path, fields["new"] = "/v1/password-resets/confirm", NEW_PASSWORD
    response = await mailing.post(path, json=fields)
    assert response.status == 200, await response.text()
    assert (await response.json())["account"]["email_verified"] is True


@pytest.mark.parametrize("purpose", [Purpose.VERIFY, Purpose.CHANGE])
async def test_no_link_changes_a_disabled_account(mailing, database, purpose):
    names = await play(mailing, [register()])
    update(database, "is_active = false")
    names["link"] = await link_token(mailing, purpose, "new@example.org")
    await play(mailing, [problem(VERIFY, {"token": "<link>"}, "link_invalid")], names)


# The password in a request's body


async def test_a_new_username_logs_nobody_out(client):
    """Another device changes the username while a request with the password is under way."""
    names = await play(client, [register()])
    headers = {"Authorization": f"Bearer {names['token']}"}
    changed = asyncio.Event()

    async def body():
        yield b'{"password": '
        await changed.wait()
        yield json.dumps(PASSWORD).encode() + b"}"

    deletion = asyncio.create_task(
        client.delete(
            "/v1/account", data=body(), headers={**headers, "Content-Type": "application/json"}
        )
    )
    await asyncio.sleep(0.1)  # the server waits for the rest of the body
    response = await client.patch("/v1/account", json={"username": "countess"}, headers=headers)
    assert response.status == 200
    changed.set()
    assert (await deletion).status == 204


async def test_the_password_of_an_account_without_a_name(settings, aiohttp_client, clean, database):
    """Only an operator can take both names from an account."""
    client = await aiohttp_client(create_app(replace(settings, rate_limits="on")))
    names = await play(client, [register()])
    update(database, "username = null, username_folded = null, email = null, email_folded = null")
    rows = [
        problem("DELETE /v1/account", {"password": "x"}, "wrong_password", headers=bearer()),
        Row("DELETE /v1/account", {"password": PASSWORD}, 204, None, bearer(), EMPTY),
    ]
    await play(client, rows, names)


# Limits


async def test_usernames_cannot_be_tried_without_end(settings, aiohttp_client, clean):
    """A new username is counted as a registration; names that stay are not."""
    settings = replace(settings, rate_limits="on", register_limit=parse_limit("4 per hour"))
    client = await aiohttp_client(create_app(settings))
    names = await play(client, [register()])  # the first of four

    def patch(fields, **changed):
        return Row("PATCH /v1/account", fields, 200, account(**changed), bearer())

    rows = [
        patch({"username": "a"}, username="a"),
        patch({"username": "b"}, username="b"),
        patch({"username": "c"}, username="c"),
        patch({"username": "C", "first_name": "Ada"}, username="C", first_name="Ada"),
    ]
    await play(client, rows, names)
    headers = {"Authorization": f"Bearer {names['token']}"}
    response = await client.patch("/v1/account", json={"username": "d"}, headers=headers)
    assert (response.status, (await response.json())["code"]) == (429, "rate_limited")


async def test_the_api_of_breached_passwords_is_not_flooded(
    settings, aiohttp_client, aiohttp_server, clean
):
    """What a registration costs others is limited as well, before the registration is counted."""
    asked = []

    async def respond(request):
        asked.append(request.path)
        return web.Response(text="")

    api = web.Application()
    api.router.add_get("/{prefix}", respond)
    url = str((await aiohttp_server(api)).make_url("/"))
    settings = replace(
        settings,
        rate_limits="on",
        address_limit=parse_limit("3 per hour"),
        breached_passwords=url.rstrip("/"),
    )
    client = await aiohttp_client(create_app(settings))
    invalid = {**ADA, "username": "not a username"}
    statuses = [(await client.post("/v1/accounts", json=invalid)).status for _ in range(5)]
    assert statuses == [422, 422, 422, 429, 429]
    assert len(asked) == 3


async def test_past_the_limit_resets_of_known_and_unknown_addresses_are_alike(
    settings, tmp_path, aiohttp_client, clean, database
):
    """A request without a row takes less time, which must not show who got other messages."""
    settings = replace(
        settings,
        rate_limits="on",
        mail_limit=parse_limit("2 per hour"),
        mail_url=f"file:{tmp_path}/mail",
        public_url="https://accounts.example",
    )
    client = await aiohttp_client(create_app(settings))
    await play(client, [register()])  # sends a message to the address
    queued = []
    for email in (ADA["email"], "nobody@example.org"):
        with database.cursor() as cursor:
            cursor.execute("select last_value from mail_id_seq")
            [before] = cursor.fetchone()
            for _ in range(3):
                response = await client.post("/v1/password-resets", json={"email": email})
                assert response.status == 202
            cursor.execute("select last_value from mail_id_seq")
            queued.append(cursor.fetchone()[0] - before)
    assert queued == [2, 2]


async def test_notices_of_new_passwords_do_not_flood_a_mailbox(
    settings, tmp_path, aiohttp_client, clean, database
):
    """The address may be another person's. Messages that others cause take no notice away."""
    settings = replace(
        settings,
        rate_limits="on",
        mail_limit=parse_limit("2 per hour"),
        mail_url=f"file:{tmp_path}/mail",
        public_url="https://accounts.example",
    )
    client = await aiohttp_client(create_app(settings))
    names = await play(client, [register()])
    for _ in range(3):
        await client.post("/v1/password-resets", json={"email": ADA["email"]})
    with database.cursor() as cursor:
        cursor.execute("select last_value from mail_id_seq")
        [before] = cursor.fetchone()
    token, current = names["token"], PASSWORD
    for number in range(4):
        fields = {"current": current, "new": f"{NEW_PASSWORD}-{number}"}
        headers = {"Authorization": f"Bearer {token}"}
        response = await client.put("/v1/account/password", json=fields, headers=headers)
        assert response.status == 200
        token, current = (await response.json())["token"], fields["new"]
    with database.cursor() as cursor:
        cursor.execute("select last_value from mail_id_seq")
        assert cursor.fetchone()[0] - before == 2


async def test_a_link_that_is_used_again_writes_nothing(mailing, database):
    names = await play(mailing, [register()])
    names["link"] = await link_token(mailing, Purpose.VERIFY)
    used = Row(VERIFY, {"token": "<link>"}, 200, {"account": account(email_verified=True)})

    def row_version():
        with database.cursor() as cursor:
            cursor.execute("select xmin from account")
            return cursor.fetchone()

    await play(mailing, [used], names)
    before = row_version()
    await play(mailing, [used], names)
    assert row_version() == before


# Verified addresses


async def test_an_account_that_could_not_log_in_again_is_not_made(settings, aiohttp_client, clean):
    settings = replace(settings, require_verified_email="on")
    client = await aiohttp_client(create_app(settings))
    accounts = "POST /v1/accounts"
    fields = {"username": "ada", "password": PASSWORD}
    rows = [
        problem(accounts, fields, "invalid_fields", ("email", "required")),
        problem(accounts, {**fields, "email": ""}, "invalid_fields", ("email", "required")),
        register(),
        Row("GET /v1/account", None, 200, account(), bearer()),
    ]
    await play(client, rows)
