"""openapi/internal.json: every endpoint of /internal, nothing else, and true."""

import json
import re
from typing import Any

import jsonschema_rs
import pytest
import schemathesis

from handlers.errors import InternalError, MethodNotAllowed, PayloadTooLarge, RequestTimeout
from handlers.internal import routes
from handlers.internal.routes import PREFIX
from handlers.problems import PROBLEM_JSON, render_error
from handlers.system.openapi import DIRECTORY
from settings import VERSION
from store.authentication import ACCESS_KINDS
from store.errors import Busy, Unavailable
from tests.handlers.internal.keys import KEYS, Scope, bearer
from tests.handlers.internal.test_introspection import BODIES, INTROSPECT, log_in

DOCUMENT = json.loads((DIRECTORY / "internal.json").read_text())
OPERATIONS = {
    (path, method.upper()): operation
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if method != "parameters"
}


def look_up(node: Any) -> Any:
    """Follow a reference, if this is one."""
    if "$ref" not in node:
        return node
    found = DOCUMENT
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return found


def check(operation: Any, status: int, headers: Any, body: bytes) -> None:
    """Hold a response against what is written of it."""
    described = look_up(operation["responses"][str(status)])
    for name in described.get("headers", {}):
        assert headers.get(name), f"{status} without {name}"
    if status == 204:
        assert body == b""
        return
    [(media_type, content)] = described["content"].items()
    assert headers["Content-Type"] == media_type
    whole = {"components": DOCUMENT["components"], "allOf": [content["schema"]]}
    jsonschema_rs.validator_for(whole).validate(json.loads(body))


def test_every_kind_of_session_that_gives_access():
    kind = DOCUMENT["components"]["schemas"]["internal.ActiveToken"]["properties"]["kind"]
    assert set(kind["enum"]) == ACCESS_KINDS


def test_every_endpoint_and_nothing_else():
    there = {
        (path.removeprefix(PREFIX), method)
        for path, endpoint in routes.endpoints.items()
        for method in endpoint.methods
    }
    assert OPERATIONS.keys() == there
    assert DOCUMENT["servers"] == [{"url": PREFIX}]


def test_valid_and_without_what_nothing_uses():
    schemathesis.openapi.from_dict(DOCUMENT).validate()
    named = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(named) == len(set(named))
    used = set(re.findall(r'"#/components/(\w+/[\w.-]+)"', json.dumps(DOCUMENT)))
    used |= {f"securitySchemes/{each}" for scheme in DOCUMENT["security"] for each in scheme}
    parts = {f"{kind}/{key}" for kind, keys in DOCUMENT["components"].items() for key in keys}
    assert used == parts
    assert DOCUMENT["info"]["version"] == VERSION


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda each: each["operationId"])
def test_errors_that_any_request_may_have(operation: Any):
    errors = [InternalError(), MethodNotAllowed("TRACE", "POST, OPTIONS")]
    if "503" in operation["responses"]:
        errors += [Busy(1), Unavailable("redis", "gone")]
    if "requestBody" in operation:
        errors += [RequestTimeout(), PayloadTooLarge(1)]
    for error in errors:
        response = render_error(error)
        headers = {"Content-Type": response.media_type, **response.headers}
        assert response.media_type == PROBLEM_JSON
        check(operation, response.status, headers, response.body)


async def test_introspections_are_as_described(client):
    token, key = await log_in(client), bearer(KEYS[Scope.INTROSPECT])
    operation = OPERATIONS["/introspect", "POST"]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    requests = [
        (f"token={token}".encode(), {**form, **key}),
        (b"token=x", {**form, **key}),
        (b"token=x", form),
        (b"token=x", {**form, **bearer("x")}),
        *((body, {"Content-Type": kind, **key}) for body, kind, _, _ in BODIES),
    ]
    seen = set()
    for body, headers in requests:
        async with client.post(INTROSPECT, data=body, headers=headers) as response:
            check(operation, response.status, response.headers, await response.read())
            seen.add(response.status)
    assert seen == {200, 400, 401, 415, 422}


def test_the_example_of_the_contract_is_the_descriptions():
    page = (DIRECTORY.parent / "docs/contracts/service.md").read_text()
    [example] = [
        each for each in re.findall(r"```json\n(.+?)```", page, re.DOTALL) if "iat" in each
    ]
    described = DOCUMENT["components"]["schemas"]["internal.ActiveToken"]
    assert json.loads(example) == described["example"]
    assert described["example"].keys() == described["properties"].keys()
    jsonschema_rs.validator_for(described).validate(described["example"])


async def test_it_is_served_to_services_only(client):
    path = f"{PREFIX}/openapi.json"
    async with client.get(path, headers=bearer(KEYS[Scope.INTROSPECT])) as response:
        assert response.content_type == "application/json"
        assert await response.json() == DOCUMENT
    async with client.get(path) as response:
        check(OPERATIONS["/openapi.json", "GET"], 401, response.headers, await response.read())
    async with client.get("/openapi.json") as response:
        assert "introspect" not in await response.text()
