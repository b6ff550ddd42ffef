"""Any body, sent to every endpoint of latchkey that reads one: a documented response, never a 5xx.

Unknown fields are errors, so each endpoint gets its own fields, most of them likely.
"""

import base64
import contextlib
import io
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import cbor2
import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import CORE, create_app
from handlers.app_keys import ACCESS
from handlers.problem_codes import PROBLEMS
from store.account import NewAccount
from store.authentication import Caller
from store.core import Core
from store.one_time_tokens import Purpose
from store.session_record import SessionSpec
from tests.handlers.any_bodies import BYTES, TEXTS, VALUES, written
from tests.handlers.dialects.latchkey_rows import PASSWORD
from tests.handlers.test_any_body import fixed
from tests.soft_authenticator import SoftAuthenticator, encode

ORIGIN = "https://app.example"
NEW = "Difference-Engine-1822"
FIELDS: dict[str, tuple[str, ...]] = {
    "POST /v1/accounts": ("username", "email", "password", "first_name", "last_name", "device"),
    "POST /v1/sessions": ("login", "password", "code", "device"),
    "POST /v1/sessions/challenge": ("challenge", "code", "device"),
    "POST /v1/sessions/current/confirm": ("password", "code"),
    "POST /v1/sessions/passkey/options": (),
    "POST /v1/sessions/passkey": ("credential", "device"),
    "PATCH /v1/account": ("username", "first_name", "last_name"),
    "PUT /v1/account/email": ("email", "password"),
    "POST /v1/account/email/verification": (),
    "POST /v1/email-verifications": ("token",),
    "POST /v1/password-resets": ("email",),
    "POST /v1/password-resets/check": ("token",),
    "POST /v1/password-resets/confirm": ("token", "new", "device", "code"),
    "POST /v1/account/totp": ("password",),
    "POST /v1/account/totp/confirm": ("code",),
    "DELETE /v1/account/totp": ("password", "code"),
    "POST /v1/account/totp/removal": ("password", "code"),
    "POST /v1/account/recovery-codes": ("password", "code"),
    "POST /v1/account/passkeys/options": (),
    "POST /v1/account/passkeys": ("name", "credential"),
    "PUT /v1/account/picture": ("gallery", "picture"),
    "PUT /v1/account/password": ("current", "new"),
    "DELETE /v1/account": ("password",),
    "POST /v1/account/deletion": ("password",),
}
LIKELY: dict[str, list[Any]] = {
    "username": ["ada", "Grace", None],
    "email": ["ada@example.org", "GRACE@example.org", "grace@example.org", None],
    "login": ["ada", "ADA@example.org", "grace"],
    "password": [PASSWORD, PASSWORD, NEW],
    "current": [PASSWORD, PASSWORD, NEW],
    "new": [NEW, PASSWORD],
    "first_name": ["Ada", "", None],
    "last_name": ["Lovelace", None],
    "device": ["Phone", "", None],
    "token": ["<VERIFY>", "<CHANGE>", "<RESET>"],
    "gallery": [6, 0, 10**9],
    "picture": ["data:image/png;base64,AAAA", "AAAA"],
    "code": ["<RECOVERY>", "<RECOVERY>", "000000", None],
    "challenge": ["<LOGIN>", "<LOGIN>", "<RESET>"],
    "name": ["Laptop", "\u202e"],
    "credential": [{"id": "AAAA", "response": {"clientDataJSON": "e30"}}, {"response": []}, {}],
}
"""Values of fields. `<VERIFY>` and the like stand for links of the account, `<RECOVERY>` for a code
of its second factor, which it has if there is one in the body."""
LINES = st.sampled_from(list(FIELDS))
MULTIPLIED = {"taken", "invalid_fields"}


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """Choose an endpoint, likely values for its fields, and then some that are not."""
    line = draw(LINES)
    names = FIELDS[line]
    body = {name: draw(st.sampled_from(LIKELY[name])) for name in names}
    if names:
        for name in draw(st.lists(st.sampled_from(names), max_size=2)):
            body[name] = draw(VALUES)
        for name in draw(st.lists(st.sampled_from(names), max_size=1)):
            body.pop(name, None)
    if draw(st.integers(0, 9)) == 0:
        body[draw(TEXTS)] = draw(VALUES)
    return line, body


@pytest.fixture
async def client(settings, tmp_path, aiohttp_client, clean):
    """A client of a server that sends mail."""
    settings = replace(
        settings,
        mail_url=f"file:{tmp_path}/mail",
        public_url="https://accounts.example",
        passkey_origins=(ORIGIN,),
    )
    return await aiohttp_client(create_app(settings))


async def credential(core: Core, caller: Caller, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a credential for the caller's passkey, with other values of some parts."""
    made = SoftAuthenticator(ORIGIN).create(await core.passkeys.registration_options(caller))
    response = made["response"]
    data = cbor2.loads(base64.urlsafe_b64decode(response["attestationObject"] + "=="))
    for name, value in changes.items():
        (data if name in ("fmt", "attStmt") else made if name in made else response)[name] = value
    if "attestationObject" not in changes:
        with contextlib.suppress(cbor2.CBOREncodeError, UnicodeError):  # of a lone surrogate
            response["attestationObject"] = encode(cbor2.dumps(data))
    return made


async def send(
    client, database, line: str, body: bytes, kind: str | None, changes: Any = None
) -> None:
    """Send a body for a new account, and check the response.

    With `changes`, the body has a credential that differs by them from one that is accepted.
    """
    with database.cursor() as cursor:
        cursor.execute("delete from account where username is not null or email is not null")
    core = client.server.app[CORE]
    new, spec = NewAccount("ada", "ada@example.org"), SessionSpec("latchkey", "device", 16)
    account, [issued] = await client.server.app[ACCESS].register(new, PASSWORD, [spec])
    for purpose in Purpose:
        address = "new@example.org" if purpose is Purpose.CHANGE else ""
        link = core.one_time_tokens.make(purpose, account, 2_000_000_000, address)
        body = body.replace(f"<{purpose.name}>".encode(), link.encode())
    caller = await core.access.authenticate(issued.token)
    if b"<RECOVERY>" in body:
        app = pyotp.TOTP(await core.factors.begin(caller))
        [recovery, *_] = await core.factors.confirm(caller, app.now())
        body = body.replace(b"<RECOVERY>", recovery.encode())
    if changes is not None:
        body = written({"name": "Laptop", "credential": await credential(core, caller, changes)})
    method, path = line.split()
    headers = {"Authorization": f"Bearer {issued.token}"}
    if kind is not None:
        headers["Content-Type"] = kind
    response = await client.request(
        method, path, data=io.BytesIO(body), headers=headers, skip_auto_headers=["Content-Type"]
    )
    raw = await response.read()
    summary = f"{line} {kind} {body!r}\nanswered {response.status} {raw!r}"
    assert response.status < 500, summary
    assert not re.search(rb"\$2[aby]\$\d\d\$[./\w]{20}", raw), f"a hash: {summary}"
    if response.status == 204:
        assert raw == b"", summary
        return
    data = json.loads(raw)
    if response.status < 300:
        assert response.headers["Content-Type"] == "application/json", summary
        assert data or response.status == 202, summary
        return
    assert response.headers["Content-Type"] == "application/problem+json", summary
    problem = PROBLEMS[data["code"]]
    assert (data["status"], response.status) == (problem.status, problem.status), summary
    assert data["title"] == problem.title, summary
    assert bool(data.get("errors")) == (data["code"] in MULTIPLIED), summary
    for error in data.get("errors", ()):
        assert list(error) == ["field", "code", "message"], summary
        assert all(isinstance(text, str) for text in error.values()), summary
    assert ("WWW-Authenticate" in response.headers) == (response.status == 401), summary


@fixed(150)
@given(request=requests())
async def test_any_values_of_known_fields(client, database, request):
    line, body = request
    await send(client, database, line, written(body), "application/json")


PARTS = (
    "id",
    "rawId",
    "type",
    "clientDataJSON",
    "attestationObject",
    "transports",
    "fmt",
    "attStmt",
)
PROPERTIES = ("x5c", "sig", "alg", "ver", "response", "certInfo", "pubArea")
STATEMENTS = st.dictionaries(st.sampled_from(PROPERTIES), VALUES | st.binary(max_size=20))
FORMATS = ("packed", "tpm", "android-key", "android-safetynet", "apple", "fido-u2f", "none")


@fixed(60)
@given(changes=st.dictionaries(st.sampled_from(PARTS), VALUES, max_size=2))
async def test_any_credential(client, database, changes):
    await send(client, database, "POST /v1/account/passkeys", b"", "application/json", changes)


@fixed(60)
@given(fmt=st.sampled_from(FORMATS), statement=STATEMENTS)
async def test_any_attestation(client, database, fmt, statement):
    changes = {"fmt": fmt, "attStmt": statement}
    await send(client, database, "POST /v1/account/passkeys", b"", "application/json", changes)


@pytest.mark.slow
@fixed(500)
@given(request=requests())
async def test_many_values_of_known_fields(client, database, request):
    line, body = request
    await send(client, database, line, written(body), "application/json")


@pytest.mark.slow
@fixed(200)
@given(line=LINES, value=VALUES)
async def test_any_json(client, database, line, value):
    await send(client, database, line, written(value), "application/json")


@fixed(60)
@given(line=LINES, sent=BYTES)
async def test_any_bytes_of_any_content_type(client, database, line, sent):
    kind, body = sent
    await send(client, database, line, body, kind)
