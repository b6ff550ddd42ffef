"""Who answers where: one owner for each method and path, and nobody who was not asked for."""

import json
from collections import defaultdict
from dataclasses import replace

import pytest
from aiohttp import web

import commands
import handlers
from handlers.answers import json_response
from handlers.dialect import Dialect, Endpoint
from server import create_app
from settings import BadSetting, Settings, read_settings

# The document says that these two share them, and a rule tells the requests apart.
SHARED = {
    ("POST", "/api/auth/register"): {"wicare", "fardel"},
    ("POST", "/api/auth/login"): {"wicare", "fardel"},
    ("POST", "/api/auth/logout"): {"wicare", "fardel"},
}


def test_each_method_and_path_has_one_owner():
    owners = defaultdict(set)
    for name, prefix in Settings().dialects.items():
        for path, endpoint in handlers.DIALECTS[name].endpoints.items():
            assert endpoint.methods
            for method in endpoint.methods:
                owners[method, prefix.rstrip("/") + path.rstrip("/")].add(name)
                owners[method, f"/{name}{path.rstrip('/')}"].add(name)
    shared = {place: names for place, names in owners.items() if len(names) > 1}
    assert shared == {place: names for place, names in SHARED.items() if place in owners}
    assert set(Settings().dialects) == set(handlers.DIALECTS)


def test_no_route_is_mounted_twice(settings):
    """The web framework gives a duplicate to the first owner, and says nothing."""
    app = create_app(settings)
    paths = [resource.canonical for resource in app.router.resources()]
    assert len(paths) > 10
    assert sorted(paths) == sorted(set(paths))


def test_the_default_is_every_dialect_at_the_root():
    names = ("wicare", "lumotist", "kust", "cellars", "fardel")
    assert Settings().dialects == dict.fromkeys(names, "/")


@pytest.mark.parametrize("text", ["nobody=/", "lumotist=/ nobody=/x", "Lumotist=/", "=/"])
def test_unknown_dialect(text):
    with pytest.raises(BadSetting) as caught:
        read_settings({"DIALECTS": text})
    [line] = str(caught.value).splitlines()
    assert "DIALECTS" in line
    assert repr(text) in line
    for name in handlers.DIALECTS:
        assert name in line


def tiny(name, *paths, method="POST"):
    """A dialect that answers its own name, and says no with it."""

    async def say(request):
        return json_response({"dialect": name})

    def refuse(refusal):
        return json_response({name: type(refusal).__name__}, 404)

    endpoint = Endpoint(say, (method,), refuse)
    return Dialect(name, refuse, dict.fromkeys(paths, endpoint))


@pytest.fixture
def two(monkeypatch):
    """Two dialects that share a path, and have one each to themselves."""
    dialects = {"one": tiny("one", "/both", "/first"), "two": tiny("two", "/both", "/second")}
    monkeypatch.setattr(handlers, "DIALECTS", dialects)


@pytest.fixture
def serve(aiohttp_client, settings, clean):
    async def start(**dialects):
        return await aiohttp_client(create_app(replace(settings, dialects=dialects)))

    return start


async def says(client, path):
    answer = await client.post(path)
    return answer.status, json.loads(await answer.read())


NOWHERE = (404, {"detail": "Not found."})
ONE = (200, {"dialect": "one"})
TWO = (200, {"dialect": "two"})


@pytest.mark.parametrize(
    "mounts",
    [
        {"one": "/", "two": "/"},
        {"two": "/v1/", "one": "/v1"},
        {"one": "/two", "two": "/"},
        {"one": "/", "two": "/one"},
    ],
)
def test_a_conflict_names_both_and_the_path(two, mounts):
    with pytest.raises(handlers.Conflict) as caught:
        handlers.mount(web.Application(), mounts)
    [line] = str(caught.value).splitlines()
    for word in ("one", "two", "/both"):
        assert word in line


def test_a_conflict_stops_the_server_with_one_line(two, settings, monkeypatch, capsys):
    monkeypatch.setattr("handlers.log.set_up", lambda *_, **__: None)
    settings = replace(settings, dialects={"one": "/", "two": "/"}, port=0)

    def create(settings):
        create_app(settings)
        pytest.fail("it would go on and serve")

    assert commands.run([], settings, create) != 0
    [line] = capsys.readouterr().err.splitlines()
    for word in ("one", "two", "/both"):
        assert word in line


async def test_dialects_apart_share_nothing(two, serve):
    client = await serve(one="/a", two="/b/")
    for path in ("/a/both", "/a/both/", "/one/both", "/one/both/", "/a/first", "/one/first"):
        assert await says(client, path) == ONE
    for path in ("/b/both", "/b/both/", "/two/both", "/two/both/", "/b/second", "/two/second"):
        assert await says(client, path) == TWO
    for path in ("/both", "/first", "/a/second", "/b/first"):
        assert await says(client, path) == NOWHERE


async def test_unknown_paths_under_a_name_speak_that_dialect(two, serve):
    client = await serve(one="/", two="/b")
    for path in ("/one", "/one/", "/one/second", "/one/x/y"):
        assert await says(client, path) == (404, {"one": "NotFound"})
    assert await says(client, "/two/first") == (404, {"two": "NotFound"})
    for path in ("/x", "/onemore", "/twofold/second"):
        assert await says(client, path) == NOWHERE


async def test_a_dialect_that_is_not_on_answers_nowhere(two, serve):
    client = await serve(one="/")
    assert await says(client, "/both") == ONE
    assert await says(client, "/one/both") == ONE
    for path in ("/second", "/two/second", "/two/both", "/two", "/two/x"):
        assert await says(client, path) == NOWHERE


@pytest.mark.parametrize("prefix", ["/one", "/one/"])
async def test_a_dialect_at_its_own_name_is_there_once(two, serve, prefix):
    client = await serve(one=prefix, two="/")
    assert await says(client, "/one/both") == ONE
    assert await says(client, "/both") == TWO


@pytest.mark.parametrize("prefix", ["/v1", "/v1/", "/deep/down"])
async def test_prefix(serve, prefix):
    settings = read_settings({"DIALECTS": f"lumotist={prefix}"})
    client = await serve(**settings.dialects)
    refused = {"username": ["This field is required."], "password": ["This field is required."]}
    for path in (f"{prefix.rstrip('/')}/account/login", "/lumotist/account/login"):
        assert await says(client, path) == (400, refused)
        assert await says(client, f"{path}/") == (400, refused)
    assert await says(client, "/account/login") == NOWHERE
