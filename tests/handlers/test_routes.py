"""Declared endpoints: the order of checks, and the methods of a path."""

import asyncio
import re
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

import handlers
from handlers.errors import MethodNotAllowed, MissingToken
from handlers.http.response import json_response
from handlers.routes import GET, GET_OR_POST, POST, PUT, Checks, Routes
from tests.handlers.contract import ALLOW_METHODS, Row, play
from tests.handlers.dialects.drf_messages import not_allowed


def no_caller(request):
    raise MissingToken


async def caller():
    return "a caller"


def declare(**checks):
    return Routes(lambda error: json_response({"error": type(error).__name__}), Checks(**checks))


def run(routes, method, path="/path"):
    async def handle():
        request = make_mocked_request(method, path, app=web.Application())
        return (await routes.endpoints[path].handler(request)).body

    return asyncio.run(handle())


@pytest.mark.parametrize(
    ("method_first", "error"), [(True, MethodNotAllowed), (False, MissingToken)]
)
def test_which_check_comes_first(method_first, error):
    routes = declare(authenticate=no_caller, method_first=method_first)

    @routes.guarded("/path")
    async def never(request, caller):
        pytest.fail("there is no caller")

    with pytest.raises(error):
        run(routes, "GET")
    with pytest.raises(MissingToken):
        run(routes, "POST")


@pytest.mark.parametrize(
    ("method_first", "error"), [(True, MethodNotAllowed), (False, MissingToken)]
)
def test_the_check_of_an_open_endpoint(method_first, error):
    routes = declare(open=no_caller, method_first=method_first)

    @routes.open("/path")
    async def never(request):
        pytest.fail("the check fails")

    with pytest.raises(error):
        run(routes, "GET")
    with pytest.raises(MissingToken):
        run(routes, "POST")


def test_an_endpoint_finds_its_caller_in_a_way_of_its_own():
    routes = declare(authenticate=no_caller)

    @routes.guarded("/path", authenticate=lambda request: caller())
    async def show(request, caller):
        return json_response(caller)

    assert run(routes, "POST") == b'"a caller"'


def two(routes):
    @routes.open("/path", methods=GET)
    async def show(request):
        return json_response("show")

    @routes.guarded("/path", methods=PUT)
    async def update(request, caller):
        return json_response(caller)

    return routes


def test_a_path_has_a_handler_for_each_method():
    routes = two(declare(authenticate=lambda request: caller(), method_first=True))
    assert run(routes, "GET") == run(routes, "HEAD") == b'"show"'
    assert run(routes, "PUT") == b'"a caller"'
    assert routes.endpoints["/path"].methods == ("GET", "PUT")
    with pytest.raises(MethodNotAllowed) as caught:
        run(routes, "POST")
    assert (caught.value.method, caught.value.allowed) == ("POST", "GET, PUT, HEAD, OPTIONS")


def test_but_not_where_the_token_is_checked_first():
    """A path has one function that finds its caller, which runs before the method is checked."""
    with pytest.raises(ValueError, match="/path"):
        two(declare())


@pytest.mark.parametrize("methods", [POST, GET_OR_POST])
def test_nothing_is_declared_twice(methods):
    routes = declare(method_first=True)
    routes.open("/path")(no_caller)
    with pytest.raises(ValueError, match="twice"):
        routes.open("/path", methods=methods)(no_caller)


async def test_the_methods_of_the_endpoints_without_a_dialect(client):
    """/healthz, /readyz and /metrics are in http/test_middleware.py: web pages cannot read them."""
    allow = {"Allow": "GET, HEAD, OPTIONS"}
    paths = ["/openapi.json", "/lumotist/openapi.json", "/docs", "/docs/", "/docs/page.js"]
    for path in [*paths, "/pictures/any"]:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            await play(client, [Row(f"{method} {path}", None, 405, not_allowed(method), {}, allow)])
        await play(client, [Row(f"OPTIONS {path}", None, 200, {}, {}, ALLOW_METHODS)])


METHOD_CHECK = re.compile(r"request\.method|MethodNotAllowed\(\w")
MAY_ASK = {
    "admin/routes.py",  # the log
    "dialects/dj_rest_auth/accounts.py",  # PUT requires a field that PATCH does not
    "errors.py",  # the class
    "http/middleware.py",  # OPTIONS, the log and the metrics
    "http/connection.py",  # a response to HEAD has no body
    "http/resolver.py",  # CONNECT has no path
    "internal/idempotency.py",  # a repeated request is the same one with its method
    "routes.py",
}


def test_methods_are_checked_in_one_place():
    root = Path(handlers.__file__).parent
    found = {
        str(file.relative_to(root))
        for file in root.rglob("*.py")
        if METHOD_CHECK.search(file.read_text())
    }
    assert found == MAY_ASK
