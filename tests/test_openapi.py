"""The OpenAPI descriptions: all that the dialects have, nothing else, and true."""

import io
import json
import re
import time
import tomllib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema_rs
import pyotp
import pytest
import schemathesis

from app import CORE, create_app
from handlers import DIALECTS
from handlers.errors import InternalError, MethodNotAllowed, PayloadTooLarge, RequestTimeout
from handlers.mounts import Mount
from handlers.problem_codes import FIELD_CODES, PROBLEMS
from handlers.problems import PROBLEM_JSON, TYPE
from handlers.system import openapi
from settings import VERSION
from store.errors import Busy, RateLimited, Unavailable
from store.one_time_tokens import Purpose
from tests.conftest import Server
from tests.handlers.contract import EVERY_DIALECT
from tests.openid_provider import OpenIdProvider
from tests.soft_authenticator import SoftAuthenticator

ROOT = Path(__file__).parent.parent
FILES = {name: ROOT / "openapi" / f"{name}.json" for name in DIALECTS}
DOCUMENTS = {name: json.loads(file.read_text()) for name, file in FILES.items()}
BASES = {name: mount.base for name, mount in EVERY_DIALECT.items()}
_JWTS = replace(DIALECTS["dj-rest-auth"].options, use_jwt=True, jwt_auth_httponly=False)
WITH_JWTS = {**EVERY_DIALECT, "dj-rest-auth": Mount(BASES["dj-rest-auth"], _JWTS)}
ORIGIN = "https://accounts.example"
TOKEN = "x-latchkey-token"
METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}

ALWAYS = (InternalError(), Busy(1), Unavailable("redis", "gone"))
WITH_A_BODY = (RequestTimeout(), PayloadTooLarge(1))


@pytest.fixture(scope="module")
async def provider() -> AsyncIterator[OpenIdProvider]:
    async with OpenIdProvider("google") as provider:
        yield provider


@pytest.fixture(scope="module")
async def server(settings, provider, tmp_path_factory) -> AsyncIterator[Server]:
    """A server of every dialect that sends mail: some endpoints need it."""
    mail = f"file:{tmp_path_factory.mktemp('openapi')}"
    url = "https://app.example/{uid}/{token}"
    options = replace(
        EVERY_DIALECT["djoser"].options,
        send_activation_email=True,
        activation_url=url,
        username_reset_confirm_url=url,
    )
    settings = replace(
        settings,
        dialects={**WITH_JWTS, "djoser": Mount(BASES["djoser"], options)},
        mail_url=mail,
        public_url=ORIGIN,
        passkey_origins=(ORIGIN,),
        oidc_providers=(provider.setting,),
    )
    async with Server(create_app(settings)) as server:
        yield server


def operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    """Return every method of every path, with its operation."""
    for path, item in document["paths"].items():
        yield from ((path, method, item[method]) for method in item if method in METHODS)


ALL = [(name, *each) for name, document in DOCUMENTS.items() for each in operations(document)]
OPERATIONS = [pytest.param(name, path, op, id=op["operationId"]) for name, path, _, op in ALL]


def look_up(document: Any, node: Any) -> Any:
    """Follow a reference, if this is one."""
    if "$ref" not in node:
        return node
    found = document
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return found


def check(document: Any, operation: Any, status: int, headers: Any, body: bytes) -> None:
    """Hold an answer against what is written of it."""
    told = look_up(document, operation["responses"][str(status)])
    for name in told.get("headers", {}):
        assert headers.get(name), f"{status} without {name}"
    if "content" not in told:
        assert body == b""
        return
    [content] = told["content"].values()
    schema = content["schema"]
    whole = {"components": document["components"], "allOf": [schema]}
    jsonschema_rs.validator_for(whole).validate(json.loads(body))


@pytest.mark.parametrize("name", DIALECTS)
def test_every_endpoint_and_nothing_else(name: str):
    described = {
        (path.rstrip("/"), method.upper()) for path, method, _ in operations(DOCUMENTS[name])
    }
    there = {
        (re.sub(r":[^}]*", "", path), method)
        for path, endpoint in DIALECTS[name].endpoints.items()
        for method in endpoint.methods
    }
    assert described == there


@pytest.mark.parametrize("name", [*DIALECTS, "all"])
def test_valid(name: str):
    document = DOCUMENTS[name] if name in DOCUMENTS else openapi.combine(DOCUMENTS, BASES)
    schemathesis.openapi.from_dict(document).validate()
    named = [op["operationId"] for _, _, op in operations(document)]
    assert len(named) == len(set(named))
    text = json.dumps(document)
    used = set(re.findall(r'"#/components/(\w+/[\w.-]+)"', text))
    used |= {f"securitySchemes/{each}" for each in re.findall(r'"([\w-]+\.\w+)": \[\]', text)}
    parts = {f"{kind}/{key}" for kind, keys in document["components"].items() for key in keys}
    assert used == parts
    assert all(part.split("/")[1].split(".")[0] in (name, *DIALECTS) for part in parts)


def test_what_is_invalid_is_found():
    broken = json.loads(FILES["kust"].read_text())
    broken["paths"]["/auth/users/"]["post"]["responses"] = ["200"]
    with pytest.raises(Exception, match="schema"):
        schemathesis.openapi.from_dict(broken).validate()


def test_one_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {document["info"]["version"] for document in DOCUMENTS.values()} == {version}
    assert version == VERSION
    assert openapi.combine(DOCUMENTS, BASES)["info"]["version"] == version


async def test_served(client):
    for name, file in FILES.items():
        response = await client.get(f"/{name}/openapi.json")
        assert (response.status, response.content_type) == (200, "application/json")
        document = await response.json()
        urls = [server["url"] for server in document.pop("servers")]
        assert urls == [f"/{name}", BASES[name] or "/"]
        written = json.loads(file.read_text())
        assert written.pop("servers") == [
            {"url": f"/{name}", "description": "The dialect's name: always available."}
        ]
        assert document == written
        assert response.headers["Access-Control-Allow-Origin"] == "*"
    everything = await (await client.get("/openapi.json")).json()
    assert everything == openapi.combine(DOCUMENTS, BASES)
    item = everything["paths"]["/djoser/auth/users/me/"]
    assert item[openapi.PATH] == f"{BASES['djoser']}/auth/users/me/"
    paths = {f"/{name}{path}" for name, document in DOCUMENTS.items() for path in document["paths"]}
    assert set(everything["paths"]) == paths


async def test_served_again_and_again(client):
    """An answer that has been sent keeps nothing of its body; the next one has all of it."""
    bodies = [await (await client.get("/openapi.json")).read() for _ in range(3)]
    assert len(set(bodies)) == 1
    head = await client.head("/openapi.json")
    assert (head.status, await head.read()) == (200, b"")
    assert (await client.post("/openapi.json")).status == 405


async def test_only_what_is_mounted(aiohttp_client, settings, clean):
    client = await aiohttp_client(create_app(replace(settings, dialects={"kust": Mount("/v1")})))
    everything = await (await client.get("/openapi.json")).json()
    assert {path.split("/")[1] for path in everything["paths"]} == {"kust"}
    assert [tag["name"] for tag in everything["tags"]] == ["kust"]
    assert everything["info"]["description"].endswith("DIALECTS mounts it: kust at /v1.")
    document = await (await client.get("/kust/openapi.json")).json()
    assert [server["url"] for server in document["servers"]] == ["/kust", "/v1"]
    assert (await client.get("/kust/openapi.json")).status == 200
    assert (await client.get("/wicare/openapi.json")).status == 404


async def test_only_what_the_options_switch_on(aiohttp_client, settings, clean):
    kept = DIALECTS["djoser"].options
    jwts = {path for path in DOCUMENTS["djoser"]["paths"] if "/jwt/" in path}
    opaque = {path for path in DOCUMENTS["djoser"]["paths"] if "/token/" in path}
    assert (len(jwts), len(opaque)) == (3, 2)
    for options, absent in ((kept, jwts), (replace(kept, jwt=True, token_endpoints=False), opaque)):
        own = replace(settings, dialects={"djoser": Mount("/", options)})
        client = await aiohttp_client(create_app(own))
        document = await (await client.get("/djoser/openapi.json")).json()
        assert DOCUMENTS["djoser"]["paths"].keys() - document["paths"].keys() == absent
        everything = await (await client.get("/openapi.json")).json()
        assert everything["paths"].keys() == {f"/djoser{path}" for path in document["paths"]}


async def test_where_the_options_move_a_path(aiohttp_client, settings, clean):
    """The path under the dialect's name stays; the other one is named, and is there."""
    options = replace(DIALECTS["knox"].options, login_path="/sign-in")
    own = replace(settings, dialects={"knox": Mount("/v2", options)})
    client = await aiohttp_client(create_app(own))
    document = await (await client.get("/knox/openapi.json")).json()
    item, other = document["paths"]["/login/"], document["paths"]["/logout/"]
    assert item["servers"] == [document["servers"][0]]
    assert document["servers"][0]["url"] == "/knox"
    assert "servers" not in other
    assert openapi.PATH not in other
    assert item[openapi.PATH] == "/sign-in/"
    everything = await (await client.get("/openapi.json")).json()
    item = everything["paths"]["/knox/login/"]
    assert item[openapi.PATH] == "/v2/sign-in/"
    assert "servers" not in item
    for path, status in (("/knox/login/", 401), ("/v2/sign-in/", 401), ("/v2/login/", 404)):
        assert (await client.post(path)).status == status


OPAQUE = re.compile("[0-9a-f]{40,}|eyJ.+")


@pytest.mark.parametrize(("name", "path", "operation"), OPERATIONS)
def test_tokens_of_responses_are_where_they_are_said_to_be(name: str, path: str, operation: Any):
    """The page at /docs takes them from there; each response that has a token says where."""
    rule = operation.get(TOKEN, {})
    assert rule.keys() <= {"token", "refresh", "unless"}
    assert None in rule.values() or "logout" not in operation["operationId"]
    found, said = set(), set()
    for status, node in operation["responses"].items():
        for content in look_up(DOCUMENTS[name], node).get("content", {}).values():
            example = content.get("example")
            if status >= "3" or not isinstance(example, dict):
                continue
            found |= {key for key, value in example.items() if OPAQUE.fullmatch(str(value))}
            schema = json.dumps(content["schema"])
            schema += json.dumps([look_up(DOCUMENTS[name], each) for each in refs(content)])
            for pointer in [each for key in ("token", "refresh") for each in rule.get(key) or []]:
                assert f'"{pointer.removeprefix("/")}"' in schema
                said.add(pointer.removeprefix("/"))
    assert found - said <= ({"refresh"} if name != "fardel" else set())


def refs(content: Any) -> list[Any]:
    return [{"$ref": each} for each in re.findall(r'"\$ref": "([^"]+)"', json.dumps(content))]


def example_of(document: Any, operation: Any) -> Any:
    """Return the example of a JSON body: the first one, if there are several."""
    return next(iter(examples_of(document, operation)), None)


def examples_of(document: Any, operation: Any) -> list[Any]:
    body = look_up(document, operation.get("requestBody", {}))
    content = body.get("content", {}).get("application/json", {})
    named = [each["value"] for each in content.get("examples", {}).values()]
    return [content["example"]] if "example" in content else named


def by_id(name: str, operation_id: str) -> tuple[str, Any]:
    """Return the path and the operation of an id."""
    found = operations(DOCUMENTS[name])
    return next((path, op) for path, _, op in found if op["operationId"] == operation_id)


async def sign_up(client, name: str) -> dict[str, str]:
    """Register as the example has it; return the tokens by scheme.

    Where a dialect registers nobody, the account is lumotist's.
    """
    ids = {op["operationId"] for _, _, op in operations(DOCUMENTS[name])}
    prefix = name.replace("-", "_")
    registers = name if f"{prefix}_register" in ids else "lumotist"
    path, operation = by_id(registers, f"{registers.replace('-', '_')}_register")
    example = example_of(DOCUMENTS[registers], operation)
    response = await client.post(f"/{registers}{path}", json=example)
    assert response.status in (200, 201)
    told = await response.json()
    if name == "latchkey":
        return dict.fromkeys(("Bearer", "Token"), told["token"])
    if name == "djoser":
        await client.server.app[CORE].accounts.change(told["id"], {"activated": True})
    if name == "fardel":
        return {"Access": told["access_token"], "Refresh": told["refresh_token"]}
    path, operation = by_id(name, f"{prefix}_login")
    example = example_of(DOCUMENTS[name], operation)
    response = await client.post(f"/{name}{path}", json=example)
    told = await response.json()
    [token] = [told[each] for each in ("token", "auth_token", "key", "access") if each in told]
    return {"Token": token, "Bearer": token}


LINKS = {
    "latchkey_verify_email": Purpose.VERIFY,
    "latchkey_check_password_reset": Purpose.RESET,
    "latchkey_confirm_password_reset": Purpose.RESET,
    "djoser_activation": Purpose.ACTIVATE,
    "djoser_reset_password_confirm": Purpose.RESET,
    "djoser_reset_username_confirm": Purpose.USERNAME,
    "dj_rest_auth_password_reset_confirm": Purpose.RESET,
    "dj_rest_auth_verify_email": Purpose.VERIFY,
}
"""What the token of a link is for: no example can have one that is valid."""


JWT_FIELDS = {
    "simplejwt_refresh": "refresh",
    "simplejwt_verify": "token",
    "simplejwt_blacklist": "refresh",
    "djoser_jwt_refresh": "refresh",
    "djoser_jwt_verify": "token",
    "dj_rest_auth_refresh": "refresh",
    "dj_rest_auth_verify": "token",
}
"""The fields of JWTs, which no example can have either."""


async def refresh_token(client, name: str, operation_id: str) -> str:
    """Log in as the example of the login of these endpoints has it; return the refresh token."""
    path, login = by_id(name, f"{operation_id.rpartition('_')[0]}_login")
    response = await client.post(f"/{name}{path}", json=example_of(DOCUMENTS[name], login))
    token: str = (await response.json())["refresh"]
    return token


CODES = {
    "latchkey_confirm_totp",
    "latchkey_disable_totp",
    "latchkey_disable_totp_by_post",
    "latchkey_renew_recovery_codes",
    "latchkey_continue_login",
}
"""What takes a code of a second factor: no example can have one that is valid."""


async def codes(client, operation_id: str, token: str) -> dict[str, str]:
    """Return the code that an operation takes; turn the second factor on unless it does that."""
    core = client.server.app[CORE]
    caller = await core.access.authenticate(token)
    app = pyotp.TOTP(await core.factors.begin(caller))
    if operation_id == "latchkey_confirm_totp":
        return {"code": app.now()}
    [recovery, *_] = await core.factors.confirm(caller, app.now())
    account, expires = caller.account, time.time() + 60
    challenge = core.one_time_tokens.make(Purpose.LOGIN, account, expires)
    found = {"code": recovery, "challenge": challenge}
    return found if operation_id == "latchkey_continue_login" else {"code": recovery}


PASSKEYS = ("latchkey_add_passkey", "latchkey_remove_passkey", "latchkey_passkey_login")
"""What needs a passkey: no example can have what an authenticator has signed."""


async def passkeys(
    client, operation_id: str, example: Any, path: str, tokens: dict[str, str]
) -> tuple[Any, str]:
    """Return what an authenticator makes of the options, and the path with its passkey."""
    authenticator = SoftAuthenticator(ORIGIN)
    core = client.server.app[CORE]
    caller = await core.access.authenticate(tokens["Bearer"])
    made = authenticator.create(await core.passkeys.registration_options(caller))
    if operation_id == "latchkey_add_passkey":
        return {**example, "credential": made}, path
    passkey = await core.passkeys.register(caller, "laptop", made)
    if operation_id == "latchkey_remove_passkey":
        return example, f"{path.rpartition('/')[0]}/{passkey.id}"
    return {**example, "credential": authenticator.get(await core.passkeys.login_options())}, path


ID_TOKENS = ("latchkey_oidc_login", "latchkey_link_identity", "latchkey_unlink_identity")
"""What needs an ID token, or what one has linked."""


async def id_tokens(client, operation_id: str, example: Any, provider: Any, token: str) -> Any:
    """Return the example with a token of the provider; have it linked if it is to be unlinked."""
    fields = provider.request()
    if operation_id != "latchkey_unlink_identity":
        return {**example, **fields}
    core = client.server.app[CORE]
    caller = await core.access.authenticate(token)
    await core.identities.link(caller, (fields["provider"], fields["id_token"], fields["nonce"]))
    return example


@pytest.mark.parametrize(("name", "path", "operation"), OPERATIONS)
async def test_examples(client, provider, name: str, path: str, operation: Any):
    """What is asked as the example has it succeeds, and is answered as it is described."""
    document = DOCUMENTS[name]
    [method] = [method for each, method, op in operations(document) if op is operation]
    headers = {}
    if not operation["operationId"].endswith("_register"):
        tokens = await sign_up(client, name)
        for scheme in operation["security"][-1:]:
            for scheme_name in scheme:
                kind = scheme_name.split(".")[1]
                word = kind if kind == "Token" else "Bearer"
                headers["Authorization"] = f"{word} {tokens[kind]}"
    for parameter in document["paths"][path].get("parameters", []):
        path = path.replace(f"{{{parameter['name']}}}", str(parameter["example"]))
    example, *others = examples_of(document, operation) or [None]
    if purpose := LINKS.get(operation["operationId"]):
        core = client.server.app[CORE]
        account = await core.accounts.get(1)
        if purpose is Purpose.ACTIVATE:
            account = await core.accounts.change(1, {"activated": False})
        expires = account.created.timestamp() + 3600
        field = "key" if "key" in example else "token"
        example = {**example, field: core.one_time_tokens.make(purpose, account, expires)}
    if field := JWT_FIELDS.get(operation["operationId"]):
        example = {field: await refresh_token(client, name, operation["operationId"])}
    if operation["operationId"] in CODES:
        example = {**example, **await codes(client, operation["operationId"], tokens["Bearer"])}
    if operation["operationId"] in PASSKEYS:
        example, path = await passkeys(client, operation["operationId"], example, path, tokens)
    if operation["operationId"] in ID_TOKENS:
        token = tokens["Bearer"]
        example = await id_tokens(client, operation["operationId"], example, provider, token)
    for each in (example, *others):
        response = await client.request(method, f"/{name}{path}", json=each, headers=headers)
        assert response.status in (200, 201, 202, 204), await response.read()
        check(document, operation, response.status, response.headers, await response.read())


@pytest.mark.parametrize(("name", "path", "operation"), OPERATIONS)
def test_examples_of_answers(name: str, path: str, operation: Any):
    """They fit what is said of them."""
    document = DOCUMENTS[name]
    for status, node in operation["responses"].items():
        for content in look_up(document, node).get("content", {}).values():
            if "example" not in content:
                continue
            headers = dict.fromkeys(look_up(document, node).get("headers", {}), "1")
            body = json.dumps(content["example"]).encode()
            check(document, operation, int(status), headers, body)


LIMITED = (
    "_login",
    "_register",
    "fardel_refresh_token",
    "fardel_update_profile",
    "_set_picture",
    "_set_picture_sic",
    "latchkey_delete_account",
    "latchkey_delete_account_by_post",
    "latchkey_change_account",
    "latchkey_change_password",
    "latchkey_change_email",
    "latchkey_request_password_reset",
    "latchkey_confirm_password_reset",
    "latchkey_confirm_session",
    "latchkey_add_passkey",
    "latchkey_begin_totp",
    "latchkey_confirm_totp",
    "latchkey_disable_totp",
    "latchkey_disable_totp_by_post",
    "latchkey_renew_recovery_codes",
    *(f"djoser_{each}_{how}" for each in ("me", "user") for how in ("put", "patch", "delete")),
    "djoser_resend_activation",
    "djoser_reset_password",
    "djoser_reset_password_confirm",
    "djoser_set_password",
    "djoser_reset_username",
    "djoser_reset_username_confirm",
    "djoser_set_username",
    *(f"dj_rest_auth_user_{how}" for how in ("put", "patch")),
    *(f"dj_rest_auth_password_{each}" for each in ("change", "reset", "reset_confirm")),
    "dj_rest_auth_resend_email",
    "dj_rest_auth_refresh",
    "simplejwt_refresh",
    "djoser_jwt_refresh",
)


OF_SERVICES = (
    "uri_too_long",
    "headers_too_large",
    "insufficient_scope",
    "cursor_expired",
    "idempotency_key_in_use",
    "idempotency_key_reused",
    "superuser_required",
    "own_account",
    "precondition_failed",
)
"""Codes that no endpoint of the dialect has."""


def test_problems_are_those_of_the_code():
    """Every code of latchkey is there with its status and title.

    Those of unreadable requests and of other services are not.
    """
    found, responses = {}, DOCUMENTS["latchkey"]["components"]["responses"].values()
    for content in (node.get("content", {}).get(PROBLEM_JSON) for node in responses):
        schema = content["schema"] if content else {"anyOf": []}
        for each in schema.get("anyOf", [schema]):
            values = {key: value.get("const") for key, value in each["properties"].items()}
            assert values["type"] == TYPE.format(values["code"])
            found[values["code"]] = (values["status"], values["title"])
    codes = {code: row[:2] for code, row in PROBLEMS.items()}
    assert found == {code: row for code, row in codes.items() if code not in OF_SERVICES}
    fields = DOCUMENTS["latchkey"]["components"]["schemas"]["latchkey.FieldError"]["properties"]
    assert fields["code"]["enum"] == list(FIELD_CODES)


@pytest.mark.parametrize(("name", "path", "operation"), OPERATIONS)
def test_refusals_that_may_always_come(name: str, path: str, operation: Any):
    """A store that is away, a crash, too many logins: as the dialect says it, as it is written."""
    document = DOCUMENTS[name]
    endpoints = {re.sub(r":[^}]*", "", key): one for key, one in DIALECTS[name].endpoints.items()}
    endpoint = endpoints[path.rstrip("/")]
    refusals = [*ALWAYS, MethodNotAllowed("TRACE", "POST, OPTIONS")]
    if "requestBody" in operation:
        refusals += WITH_A_BODY
    if operation["operationId"].endswith(LIMITED):
        refusals.append(RateLimited(1))
    else:
        assert "429" not in operation["responses"]
    for error in refusals:
        data = endpoint.render_error(error)
        told = look_up(document, operation["responses"][str(data.status)])
        assert list(told["content"]) == [data.media_type]
        check(document, operation, data.status, data.headers, data.body)


async def test_a_body_that_is_too_large_or_compressed(aiohttp_client, settings, clean):
    """Where it is read it is a 413 or a 415, as described; elsewhere there is none to describe."""
    settings = replace(settings, dialects=EVERY_DIALECT, picture_max_bytes=2**20)
    client = await aiohttp_client(create_app(settings))
    fields = {"username": "ada", "email": "ada@example.com", "password": "correct horse"}
    token = (await (await client.post("/account/register", json=fields)).json())["token"]
    head = {"Authorization": f"Token {token}", "Content-Type": "application/json"}
    large = b"x" * (2**20 * 4 // 3 + 2**16 + 1)
    for name, path, method, operation in ALL:
        if "requestBody" not in operation:
            assert not {"413", "415"} & set(operation["responses"])
            continue
        if name == "dj-rest-auth" and path.rstrip("/") in DIALECTS[name].paths:
            continue  # an option switches it on; the reading of its body is that of the others
        for status, coding in ((413, "identity"), (415, "gzip")):
            sent = io.BytesIO(large)  # aiohttp warns of large bytes
            head["Content-Encoding"] = coding
            response = await client.request(
                method, f"/{name}{path.replace('{id}', '1')}", data=sent, headers=head
            )
            assert response.status == status
            check(DOCUMENTS[name], operation, status, response.headers, await response.read())
