"""Second factors in latchkey (docs/contracts/latchkey.md#second-factor), and at other dialects."""

import base64
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyotp
import pytest

from app import CORE, create_app
from handlers import DIALECTS
from handlers.mounts import parse_mounts
from store.client import NOBODY
from store.errors import BadValue
from store.event_writer import FACTOR_ADDED, FACTOR_REMOVED
from store.one_time_tokens import Purpose
from tests.handlers.contract import Row, play
from tests.handlers.dialects.latchkey_rows import (
    ADA,
    PASSWORD,
    account,
    bearer,
    problem,
    register,
    session,
)
from tests.program import wait_for_async

STEP = 60_000_000
SESSIONS, CHALLENGE = "POST /v1/sessions", "POST /v1/sessions/challenge"
TOTP, CONFIRM = "POST /v1/account/totp", "POST /v1/account/totp/confirm"
LOGIN = {"login": "ada", "password": PASSWORD, "device": "Tablet"}
LOGGED_IN = {"account": account(), "session": session("Tablet"), "token": "<other = 64 hex>"}
NEW_PASSWORD = "Difference-Engine-1822"


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Have all codes of a test be of one step: else it could end between two of them."""
    monkeypatch.setattr("store.totp.current_step", lambda: STEP)


@pytest.fixture
async def client(settings, aiohttp_client, clean, tmp_path):
    settings = replace(
        settings, events="on", mail_url=f"file:{tmp_path}", public_url="https://accounts.example"
    )
    return await aiohttp_client(create_app(settings))


class Enrolled:
    """Ada, whose account has a second factor."""

    def __init__(self, client, token: str, secret: str, recovery_codes: list[str]) -> None:
        self.client = client
        self.headers = {"Authorization": f"Bearer {token}"}
        self.names = {"token": token}
        self.secret = secret
        self.recovery_codes = recovery_codes

    def code(self, steps: int = 0) -> str:
        return pyotp.TOTP(self.secret).generate_otp(STEP + steps)

    async def post(self, path: str, **fields: Any) -> tuple[int, Any]:
        response = await self.client.post(path, json=fields, headers=self.headers)
        return response.status, await response.json()

    async def play(self, *rows: Row) -> None:
        await play(self.client, rows, self.names)


@pytest.fixture
async def ada(client) -> Enrolled:
    return await enrol(client)


async def enrol(client, more: str = "") -> Enrolled:
    """Register an account, and turn its second factor on by the code of the step before."""
    fields = {"username": f"ada{more}", "email": f"{more}{ADA['email']}", "password": PASSWORD}
    registered = await (await client.post("/latchkey/v1/accounts", json=fields)).json()
    names = {"token": registered["token"]}
    headers = {"Authorization": f"Bearer {names['token']}"}
    response = await client.post("/v1/account/totp", json={"password": PASSWORD}, headers=headers)
    secret = (await response.json())["secret"]
    code = pyotp.TOTP(secret).generate_otp(STEP - 1)
    confirmed = await client.post("/v1/account/totp/confirm", json={"code": code}, headers=headers)
    assert confirmed.status == 200
    codes = (await confirmed.json())["recovery_codes"]
    return Enrolled(client, names["token"], secret, codes)


async def test_a_secret_is_shown_in_three_forms(client):
    names = await play(client, [register()])
    headers = {"Authorization": f"Bearer {names['token']}"}
    response = await client.post("/v1/account/totp", json={"password": PASSWORD}, headers=headers)
    shown = await response.json()
    assert re.fullmatch("[A-Z2-7]{32}", shown["secret"])
    assert shown["uri"] == f"otpauth://totp/Latchkey:ada?secret={shown['secret']}&issuer=Latchkey"
    assert shown["qr_code"].startswith("data:image/svg+xml")
    assert response.headers["Cache-Control"] == "no-store"


async def test_errors_of_enrolment(client):
    names = await play(client, [register()])
    token = bearer()
    rows = [
        problem(TOTP, {"password": "x"}, "wrong_password", headers=token),
        problem(TOTP, {}, "invalid_fields", ("password", "required"), headers=token),
        problem(CONFIRM, {"code": "000000"}, "no_second_factor", headers=token),
        problem(CONFIRM, {}, "invalid_fields", ("code", "required"), headers=token),
        problem(
            "DELETE /v1/account/totp",
            {"password": PASSWORD, "code": "000000"},
            "no_second_factor",
            headers=token,
        ),
        problem(
            "POST /v1/account/recovery-codes",
            {"password": PASSWORD, "code": "000000"},
            "no_second_factor",
            headers=token,
        ),
    ]
    await play(client, rows, names)


async def test_a_login_is_continued_by_a_challenge(ada):
    status, told = await ada.post("/v1/sessions", **LOGIN)
    assert (status, told["code"]) == (401, "second_factor_required")
    assert told["methods"] == ["totp", "recovery"]
    sent = {"challenge": told["challenge"], "device": "Tablet"}
    await ada.play(
        problem(CHALLENGE, {**sent, "code": "000000"}, "wrong_code"),
        Row(CHALLENGE, {**sent, "code": ada.code()}, 201, LOGGED_IN),
        problem(CHALLENGE, {**sent, "code": ada.code()}, "wrong_code"),
        Row(CHALLENGE, {**sent, "code": ada.recovery_codes[0]}, 201, LOGGED_IN),
        problem(CHALLENGE, {**sent, "code": ada.recovery_codes[0]}, "wrong_code"),
        problem(CHALLENGE, {"challenge": "x", "code": "000000"}, "challenge_invalid"),
        Row(
            "GET /v1/account/factors",
            None,
            200,
            {"totp": True, "recovery_codes_left": 9, "passkeys": []},
            bearer(),
        ),
    )


async def test_a_login_with_a_code_needs_no_challenge(ada):
    await ada.play(
        problem(SESSIONS, {**LOGIN, "password": "x", "code": ada.code()}, "invalid_credentials"),
        problem(SESSIONS, {**LOGIN, "code": "000000"}, "wrong_code"),
        Row(SESSIONS, {**LOGIN, "code": f" {ada.code()[:3]} {ada.code()[3:]}"}, 201, LOGGED_IN),
    )


async def test_a_challenge_serves_nothing_else(ada):
    """Nor does the token of another purpose continue a login."""
    _, told = await ada.post("/v1/sessions", **LOGIN)
    core = ada.client.server.app[CORE]
    found = await core.accounts.get(1)
    expires = found.created.timestamp() + 3600
    await ada.play(
        problem("POST /v1/password-resets/check", {"token": told["challenge"]}, "link_invalid"),
        problem("POST /v1/email-verifications", {"token": told["challenge"]}, "link_invalid"),
        *(
            problem(
                CHALLENGE,
                {
                    "challenge": core.one_time_tokens.make(purpose, found, expires),
                    "code": ada.code(),
                },
                "challenge_invalid",
            )
            for purpose in Purpose
            if purpose is not Purpose.LOGIN
        ),
        problem(
            CHALLENGE,
            {"challenge": core.one_time_tokens.make(Purpose.LOGIN, found, 1), "code": ada.code()},
            "challenge_invalid",
        ),
    )


async def test_a_disabled_account_continues_no_login(ada):
    _, told = await ada.post("/v1/sessions", **LOGIN)
    core = ada.client.server.app[CORE]
    with_challenge = {"challenge": told["challenge"], "code": ada.code()}
    await core.accounts.change(1, {"is_active": False})
    await ada.play(
        problem(CHALLENGE, with_challenge, "challenge_invalid"),  # its epoch was raised
        problem(SESSIONS, {**LOGIN, "code": ada.code()}, "account_disabled"),
    )


async def test_the_factor_is_turned_off_by_password_and_code(ada):
    both = {"password": PASSWORD, "code": ada.code()}
    removal = "POST /v1/account/totp/removal"
    await ada.play(
        problem(TOTP, {"password": PASSWORD}, "second_factor_exists", headers=bearer()),
        problem(CONFIRM, {"code": ada.code()}, "second_factor_exists", headers=bearer()),
        problem(removal, {**both, "password": "x"}, "wrong_password", headers=bearer()),
        problem(removal, {**both, "code": "1"}, "wrong_code", headers=bearer()),
        Row(removal, both, 204, None, bearer(), {"Content-Type": None}),
        Row(SESSIONS, LOGIN, 201, LOGGED_IN),
    )
    core = ada.client.server.app[CORE]
    events, _ = await core.events.latest(100)
    types = [event.type for event in events]
    assert types.count(FACTOR_ADDED) == types.count(FACTOR_REMOVED) == 1


async def test_new_recovery_codes(ada):
    _, told = await ada.post("/v1/account/recovery-codes", password=PASSWORD, code=ada.code())
    assert len(set(told["recovery_codes"]) - set(ada.recovery_codes)) == 10
    await ada.play(problem(SESSIONS, {**LOGIN, "code": ada.recovery_codes[0]}, "wrong_code"))


async def reset_token(client) -> str:
    core = client.server.app[CORE]
    found = await core.accounts.get(1)
    return core.one_time_tokens.make(Purpose.RESET, found, found.created.timestamp() + 3600)


async def test_a_reset_of_a_verified_address_asks_for_a_code(ada):
    core = ada.client.server.app[CORE]
    await core.accounts.change(1, {"email_verified_at": (await core.accounts.get(1)).created})
    token = await reset_token(ada.client)
    path, sent = "/v1/password-resets/confirm", {"token": token, "new": NEW_PASSWORD}
    status, told = await ada.post(path, **sent)
    assert (status, told["code"]) == (401, "second_factor_required")
    assert "challenge" not in told
    assert (await ada.post(path, **sent, code="000000"))[1]["code"] == "wrong_code"
    assert (await ada.post(path, **sent, code=ada.code()))[0] == 200
    login = {**LOGIN, "password": NEW_PASSWORD}
    assert (await ada.post("/v1/sessions", **login))[1]["code"] == "second_factor_required"


async def test_a_reset_of_an_address_that_was_never_verified_removes_the_factor(ada):
    """Another person may have registered it, and enrolled."""
    token = await reset_token(ada.client)
    path = "/v1/password-resets/confirm"
    assert (await ada.post(path, token=token, new=NEW_PASSWORD))[0] == 200
    assert (await ada.post("/v1/sessions", **{**LOGIN, "password": NEW_PASSWORD}))[0] == 201


async def test_an_address_that_was_set_later_does_not_remove_the_factor(ada):
    """A thief of a session may set one, and so may who reads the mail of the old one (djoser)."""
    core = ada.client.server.app[CORE]
    assert await core.accounts.change(1, {"email": "thief@example.com"})
    path, sent = "/v1/password-resets/confirm", {"new": NEW_PASSWORD}
    status, told = await ada.post(path, token=await reset_token(ada.client), **sent)
    assert (status, told["code"]) == (401, "second_factor_required")
    parsed = await reset_token(ada.client)
    await core.recovery.reset(parsed, NEW_PASSWORD, [], NOBODY)  # as djoser does
    login = {**LOGIN, "password": NEW_PASSWORD}
    assert (await ada.post("/v1/sessions", **login))[1]["code"] == "second_factor_required"
    assert (await ada.post("/v1/sessions", **login, code=ada.code()))[0] == 201
    assert FACTOR_REMOVED not in await event_types(ada)


async def test_a_reset_that_removes_the_factor_has_its_event_and_its_notice(ada, tmp_path):
    path = "/v1/password-resets/confirm"
    assert (await ada.post(path, token=await reset_token(ada.client), new=NEW_PASSWORD))[0] == 200
    assert (await event_types(ada)).count(FACTOR_REMOVED) == 1
    core = ada.client.server.app[CORE]
    assert await wait_for_async(lambda: "turned off" in all_text(tmp_path))
    assert not (await core.factors.factors_of(1)).totp


def all_text(directory: Path) -> str:
    return "".join(each.read_text() for each in directory.rglob("*") if each.is_file())


async def event_types(ada: Enrolled) -> list[str]:
    events, _ = await ada.client.server.app[CORE].events.latest(100)
    return [event.type for event in events]


async def test_a_missing_code_costs_no_look_up(ada, monkeypatch):
    """Its time would tell that the password was right."""
    core = ada.client.server.app[CORE]
    monkeypatch.delattr(type(core.factors), "factors_of")
    for password in (PASSWORD, "wrong"):
        response = await ada.client.post(
            "/kust/auth/token/login", json={"username": "ada", "password": password}
        )
        assert response.status == 400


OPTIONS = "/v1/account/passkeys/options"


async def test_a_password_alone_confirms_no_session_of_an_account_with_a_factor(ada):
    """Else a stolen session and a password could add a passkey, which replaces both factors."""
    path = "/v1/sessions/current/confirm"
    status, told = await ada.post(path, password=PASSWORD)
    assert (status, told["code"], told["methods"]) == (
        401,
        "second_factor_required",
        ["totp", "recovery"],
    )
    assert "challenge" not in told
    token = bearer()
    await ada.play(
        problem(
            f"POST {path}", {"password": "x", "code": ada.code()}, "wrong_password", headers=token
        ),
        problem(
            f"POST {path}", {"password": PASSWORD, "code": "000000"}, "wrong_code", headers=token
        ),
        Row(f"POST {path}", {"password": PASSWORD, "code": ada.code()}, 204, None, token),
        Row(f"POST {path}", {"code": ada.recovery_codes[0]}, 204, None, token),
    )


async def test_a_login_without_a_code_makes_no_fresh_session(settings, aiohttp_client, clean):
    settings = replace(mounted(settings, "exempt"), passkey_origins=("https://app.example",))
    ada = await enrol(await aiohttp_client(create_app(settings)))
    assert (await ada.post(OPTIONS))[0] == 200
    for path, field, scheme in (
        ("/knox/login", "token", "Token"),
        ("/simplejwt/api/token", "access", "Bearer"),
        ("/kust/auth/token/login", "auth_token", "Token"),
    ):
        status, told = await ada.post(path, **NAMED)
        assert status == 200
        ada.headers = {"Authorization": f"{scheme} {told[field]}"}
        assert (await ada.post(OPTIONS))[1]["code"] == "fresh_login_required"


async def test_no_secret_is_in_the_response_of_another_request(ada):
    shown = await (await ada.client.get("/v1/account/factors", headers=ada.headers)).text()
    assert ada.secret not in shown
    assert base64.b32decode(ada.secret).hex() not in shown


NAMED = {"username": "ada", "password": PASSWORD}
DOCUMENTS = {
    "wicare": ("/wicare/api/auth/login", NAMED, 200, 400),
    "lumotist": ("/lumotist/account/login", NAMED, 200, 400),
    "kust": ("/kust/auth/token/login", NAMED, 200, 400),
    "cellars": ("/cellars/api/login", NAMED, 200, 400),
    "fardel": ("/fardel/api/auth/login", {"email": ADA["email"], "password": PASSWORD}, 200, 401),
    "djoser": ("/djoser/auth/token/login", NAMED, 200, 400),
    "simplejwt": ("/simplejwt/api/token", NAMED, 200, 401),
    "dj-rest-auth": ("/dj-rest-auth/login", NAMED, 200, 400),
    "knox": ("/knox/login", NAMED, 200, 400),
    "authtoken": ("/authtoken/api-token-auth", NAMED, 200, 400),
}
"""The login of each dialect that cannot ask for a code, and its statuses."""


def mounted(settings, rule: str | None = None):
    """Return settings with every dialect, each with this option."""
    option = f"?second-factor={rule}" if rule else ""
    names = (f"{name}=/at/{name}{option}" for name in DOCUMENTS)
    dialects = parse_mounts(f"latchkey=/ {' '.join(names)}", DIALECTS)
    return replace(settings, dialects=dialects)


def test_every_dialect_but_one_cannot_ask():
    assert DIALECTS.keys() - DOCUMENTS.keys() == {"latchkey"}


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_a_login_without_a_code_is_refused_as_for_a_wrong_password(
    settings, aiohttp_client, clean, name
):
    ada = await enrol(await aiohttp_client(create_app(mounted(settings))))
    path, fields, done, refused = DOCUMENTS[name]

    async def attempt(**more: Any) -> tuple[int, bytes]:
        response = await ada.client.post(path, json={**fields, **more})
        return response.status, await response.read()

    wrong = await attempt(password="x", otp=ada.code())
    assert wrong[0] == refused
    for code in ({}, {"otp": "000000"}, {"otp": ""}, {"otp": None}, {"otp": ["1"]}, {"otp": True}):
        assert await attempt(**code) == wrong
    assert (await attempt(otp=int(ada.code())))[0] == done
    assert await attempt(otp=ada.code()) == wrong
    assert (await attempt(otp=ada.recovery_codes[0]))[0] == done


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_a_form_has_the_code_as_well(settings, aiohttp_client, clean, name):
    if name in ("cellars", "fardel"):
        pytest.skip("the contract has no forms")
    ada = await enrol(await aiohttp_client(create_app(mounted(settings))))
    path, fields, done, _ = DOCUMENTS[name]
    response = await ada.client.post(path, data={**fields, "otp": ada.code()})
    assert response.status == done


@pytest.mark.parametrize("rule", ["exempt", "forbid"])
async def test_a_mount_exempts_or_refuses(settings, aiohttp_client, clean, rule):
    ada = await enrol(await aiohttp_client(create_app(mounted(settings, rule))))
    for path, fields, done, refused in DOCUMENTS.values():
        response = await ada.client.post(path, json=fields)
        assert response.status == (done if rule == "exempt" else refused), path
    path, fields, _, refused = DOCUMENTS["wicare"]
    with_code = await ada.client.post(path, json={**fields, "otp": ada.code()})
    assert with_code.status == (200 if rule == "exempt" else refused)


async def test_basic_has_no_code(settings, aiohttp_client, clean):
    for rule, status in (("otp", 401), ("exempt", 200)):
        ada = await enrol(await aiohttp_client(create_app(mounted(settings, rule))), rule)
        basic = base64.b64encode(f"ada{rule}:{PASSWORD}".encode()).decode()
        headers = {"Authorization": f"Basic {basic}"}
        assert (await ada.client.post("/knox/login", headers=headers)).status == status


@pytest.mark.parametrize("text", ["kust=/?second-factor=on", "latchkey=/?second-factor=otp"])
def test_a_bad_rule_is_refused(text):
    with pytest.raises(BadValue, match="second-factor"):
        parse_mounts(text, DIALECTS)
