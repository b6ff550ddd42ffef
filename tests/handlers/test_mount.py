"""Mounts: one owner for each method and path, and no dialect that DIALECTS does not name."""

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Literal

import pytest
from aiohttp import web

import commands
import handlers
from app import create_app
from handlers.http.response import json_response
from handlers.mounts import Mount, parse_mounts, read_mounts
from handlers.routes import Dialect, Endpoint, NoOptions
from settings import BadSetting, Settings, read_settings
from store.errors import BadValue
from tests.handlers.contract import mounts_at, play
from tests.handlers.dialects.cellars_rows import EXAMPLES
from tests.handlers.dialects.lumotist_rows import token

# docs/contracts/index.md#shared-paths: a rule chooses the dialect.
SHARED = {
    ("POST", "/api/auth/register"): {"wicare", "fardel"},
    ("POST", "/api/auth/login"): {"wicare", "fardel"},
    ("POST", "/api/auth/logout"): {"wicare", "fardel"},
}


@pytest.mark.parametrize("text", ["", "  "])
def test_a_list_without_a_dialect_is_refused(text):
    with pytest.raises(ValueError, match=repr(text)[1:-1] or "^$"):
        parse_mounts(text, handlers.DIALECTS)


def test_each_method_and_path_has_one_owner():
    owners = defaultdict(set)
    for name, mount in Settings().dialects.items():
        for path, endpoint in handlers.DIALECTS[name].endpoints.items():
            assert endpoint.methods
            for method in endpoint.methods:
                owners[method, mount.base + path.rstrip("/")].add(name)
                owners[method, f"/{name}{path.rstrip('/')}"].add(name)
    shared = {place: names for place, names in owners.items() if len(names) > 1}
    assert shared == {place: names for place, names in SHARED.items() if place in owners}
    by_default = {name for name, each in handlers.DIALECTS.items() if each.by_default}
    assert set(Settings().dialects) == by_default


def test_no_route_is_mounted_twice(settings):
    """The framework silently gives a duplicate route to its first owner."""
    app = create_app(settings)
    paths = [resource.canonical for resource in app.router.resources()]
    assert len(paths) > 10
    assert sorted(paths) == sorted(set(paths))


def test_the_default_is_every_dialect_at_the_root():
    names = ("wicare", "lumotist", "kust", "cellars", "fardel", "latchkey")
    dialects = Settings().dialects
    assert {name: mount.prefix for name, mount in dialects.items()} == dict.fromkeys(names, "/")
    assert dialects["wicare"].options.sessions == "per-account"


@pytest.mark.parametrize("text", ["nobody=/", "lumotist=/ nobody=/x", "Lumotist=/", "=/"])
def test_unknown_dialect(text):
    with pytest.raises(BadSetting) as caught:
        read_settings({"DIALECTS": text})
    [line] = str(caught.value).splitlines()
    assert "DIALECTS" in line
    assert repr(text) in line
    for name in handlers.DIALECTS:
        assert name in line


BAD_MOUNTS = {
    "wicare": "",
    "wicare=": "",
    "wicare=x": "",
    "wicare=/ wicare=/v2": "wicare is there twice",
    "wicare=/?": "'' where option=value is expected",
    "wicare=/?sessions": "'sessions' where option=value is expected",
    "wicare=/?sessions=": "'sessions=' where option=value is expected",
    "wicare=/?sessions=per-login&sessions=per-login": "wicare has sessions twice",
    "wicare=/?sessions=many": "sessions must be per-account or per-login",
    "wicare=/?session=per-login": "no option 'session'; its options are sessions",
    "lumotist=/?sessions=per-login": "lumotist has no option 'sessions'; it has none",
    "wicare=/a//b": "//",
    "wicare=/a/../b": "/../",
}


@pytest.mark.parametrize(("text", "reason"), BAD_MOUNTS.items(), ids=BAD_MOUNTS)
def test_what_dialects_may_not_say(text, reason):
    """One line with the setting, and the reason if it is not the format."""
    with pytest.raises(BadSetting, match=r"\ADIALECTS [^\n]*\Z") as caught:
        read_settings({"DIALECTS": text})
    assert reason in str(caught.value)


def test_options_of_every_type():
    """Each dialect declares its own, with their defaults."""

    @dataclass(frozen=True)
    class Options:
        how: Literal["this", "that"] = "this"
        as_list: bool = False
        most: int = 7

    dialects = {"one": replace(tiny("one", "/both"), options=Options()), "two": tiny("two")}
    text = "two=/b one=/?as-list=on&how=that&most=12"
    assert parse_mounts(text, dialects) == {
        "one": Mount("/", Options("that", as_list=True, most=12)),
        "two": Mount("/b", NoOptions()),
    }
    assert parse_mounts("one=/v1/", dialects)["one"] == Mount("/v1/", Options())
    for bad, reason in {
        "as-list=yes": "as-list must be on or off",
        "as_list=on": "'as_list'; its options are how, as-list, most",
        "most=-1": "most must be a whole number",
        "how=THIS": "how must be this or that",
    }.items():
        with pytest.raises(BadValue, match=reason):
            parse_mounts(f"one=/?{bad}", dialects)


def test_a_file_of_dialects_has_the_same_options(tmp_path):
    """And lists, texts and switches as TOML has them; underscores may stand for hyphens."""

    @dataclass(frozen=True)
    class Options:
        how: Literal["this", "that"] = "this"
        as_list: bool = False
        most: int = 7
        url: str = ""
        fields: tuple[str, ...] = ()

        def __post_init__(self):
            if self.as_list and not self.fields:
                raise BadValue("as-list needs fields")

    dialects = {"one": replace(tiny("one", "/both"), options=Options()), "two": tiny("two")}
    file = tmp_path / "dialects.toml"

    def read(text):
        file.write_text(text)
        return read_mounts(file, dialects)

    text = """
[two]
prefix = "/b"

[one]
how = "that"
as_list = true
most = 12
url = "https://app.example/{uid}?a=b&c=d"
fields = ["first_name", "last_name"]
"""
    options = Options(
        "that",
        as_list=True,
        most=12,
        url="https://app.example/{uid}?a=b&c=d",
        fields=("first_name", "last_name"),
    )
    assert read(text) == {"two": Mount("/b", NoOptions()), "one": Mount("/", options)}
    assert parse_mounts("one=/?fields=a,b&as-list=on", dialects)["one"].options.fields == ("a", "b")
    for bad, reason in {
        "": "it has no dialect",
        "[three]": "'three' is not a dialect; the dialects are one, two",
        "one = 1": r"one must be a table: \[one\]",
        "[one": "it is not TOML",
        "[one]\nprefix = 1": "one: prefix must be a path",
        "[one]\nprefix = 'v1'": "one: prefix must be a path",
        "[one]\nprefix = '/a//b'": "no client ever asks",
        "[one]\nmost = true": "most must be a whole number",
        "[one]\nmost = -1": "most must be a whole number",
        "[one]\nurl = 1": "url must be text",
        "[one]\nfields = []": "fields must be a list of texts",
        "[one]\nfields = [1]": "fields must be a list of texts",
        "[one]\nas_list = 'yes'": "as-list must be on or off",
        "[one]\nas_list = true": "one: as-list needs fields",
        "[one]\nother = 1": "one has no option 'other'; its options are how, as-list",
        "[two]\nother = 1": "two has no option 'other'; it has none",
    }.items():
        with pytest.raises(BadValue, match=reason):
            read(bad)
    file.write_bytes(b"\xff")
    with pytest.raises(BadValue, match="it is not TOML"):
        read_mounts(file, dialects)
    with pytest.raises(BadValue, match="it cannot be read: No such file"):
        read_mounts(tmp_path / "nothing", dialects)


def test_dialects_are_read_from_a_file(tmp_path):
    file = tmp_path / "dialects.toml"
    file.write_text('[wicare]\nprefix = "/v1"\nsessions = "per-login"\n')
    found = read_settings({"DIALECTS_FILE": str(file)})
    assert found.dialects == parse_mounts("wicare=/v1?sessions=per-login", handlers.DIALECTS)
    with pytest.raises(BadSetting, match="DIALECTS and DIALECTS_FILE are both set"):
        read_settings({"DIALECTS_FILE": str(file), "DIALECTS": "wicare=/"})


MOVED = [replace(row, request=row.request.replace("/api/", "/api/auth/")) for row in EXAMPLES]
"""The examples of cellars with the paths of its published client."""


@pytest.mark.parametrize(
    ("dialects", "ats", "nowhere"),
    [
        ({"cellars": "/", "kust": "/"}, ["{path}", "{path}/", "/cellars{path}"], []),
        ({"cellars": "/v1"}, ["/v1{path}", "/cellars{path}/"], ["{path}"]),
        ({"cellars": "/", "fardel": "/f", "wicare": "/w"}, ["{path}"], []),
    ],
)
async def test_cellars_answers_where_its_client_asks(serve, database, dialects, ats, nowhere):
    client = await serve(**dialects)
    for at in ats:
        with database.cursor() as cursor:
            cursor.execute("delete from account")
        await play(client, MOVED, at=at)
    for at in nowhere:
        assert await says(client, at.format(path="/api/auth/login")) == NOWHERE


async def test_what_another_dialect_claims_is_not_cellars(serve):
    """At the same mount. Under its name it has all its paths."""
    for other in ("wicare", "fardel"):
        client = await serve(cellars="/", **{other: "/"})
        status, data = await says(client, "/api/auth/login")
        assert (status, list(data)) != (400, ["error"])
        status, data = await says(client, "/cellars/api/auth/login")
        assert (status, list(data)) == (400, ["error"])


def tiny(name, *paths, method="POST"):
    """A dialect whose response and error are its name."""

    async def say(request):
        return json_response({"dialect": name})

    def refuse(error):
        return json_response({name: type(error).__name__}, 404)

    endpoint = Endpoint(say, (method,), refuse)
    return Dialect(name, refuse, dict.fromkeys(paths, endpoint))


@pytest.fixture
def two(monkeypatch):
    """Two dialects that share a path and have one separate path each."""
    dialects = {"one": tiny("one", "/both", "/first"), "two": tiny("two", "/both", "/second")}
    monkeypatch.setattr(handlers, "DIALECTS", dialects)


@pytest.fixture
def serve(aiohttp_client, settings, clean):
    async def start(**dialects):
        return await aiohttp_client(create_app(replace(settings, dialects=mounts_at(dialects))))

    return start


async def says(client, path):
    response = await client.post(path)
    return response.status, json.loads(await response.read())


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
        handlers.mount(web.Application(), mounts_at(mounts))
    [line] = str(caught.value).splitlines()
    for word in ("one", "two", "/both"):
        assert word in line


def test_a_conflict_stops_the_server_with_one_line(two, settings, monkeypatch, capsys):
    settings = replace(settings, dialects=mounts_at({"one": "/", "two": "/"}), port=0)

    def create(settings, report):
        create_app(settings, report)
        pytest.fail("it would go on and serve")

    monkeypatch.setattr("commands.serve.create_app", create)
    assert commands.run([], settings) != 0
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
    [mount] = read_settings({"DIALECTS": f"lumotist={prefix}"}).dialects.values()
    assert mount == Mount(prefix, NoOptions())
    client = await serve(lumotist=prefix)
    refused = {"username": ["This field is required."], "password": ["This field is required."]}
    for path in (f"{prefix.rstrip('/')}/account/login", "/lumotist/account/login"):
        assert await says(client, path) == (400, refused)
        assert await says(client, f"{path}/") == (400, refused)
    assert await says(client, "/account/login") == NOWHERE


async def test_a_session_for_each_login(aiohttp_client, settings, clean):
    """As in django-rest-knox: a logout ends one device's session, logoutall all of them."""
    text = "wicare=/?sessions=per-login lumotist=/"
    dialects = read_settings({"DIALECTS": text}).dialects
    client = await aiohttp_client(
        create_app(replace(settings, dialects=dialects, sessions_per_account=10))
    )
    pita = {"username": "pita", "password": "password123"}

    async def opened(path):
        response = await client.post(path, json=pita)
        assert response.status == 200
        return (await response.json())["token"]

    async def live(*tokens):
        asked = [client.get("/account/profile", headers=token(each)) for each in tokens]
        return [(await each).status == 200 for each in asked]

    login, end, end_all = (f"/api/auth/{name}/" for name in ("login", "logout", "logoutall"))
    tokens = [await opened("/wicare/api/auth/register"), await opened(login), await opened(login)]
    assert len(set(tokens)) == 3
    assert await live(*tokens) == [True] * 3
    assert await opened("/account/login") == await opened("/account/login")
    assert (await client.post(end, headers=token(tokens[1]))).status == 204
    assert await live(*tokens) == [True, False, True]
    more = [await opened(login) for _ in range(9)]
    assert await live(*tokens, *more) == [False, False, False, *[True] * 9]
    assert (await client.post(end_all, headers=token(more[0]))).status == 204
    assert await live(*more) == [False] * 9
