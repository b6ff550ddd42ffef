"""nginx, Caddy, Traefik and Envoy with the forward-authentication files of deploy/.

Contract: docs/contracts/service.md#forward-authentication. Guide: docs/forward-auth.md.
"""

import hashlib
import http.client
import itertools
import json
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import quote

import pytest

from deploy.tests.forward_auth import FILES, INSTALLED, KINDS, Site, protected
from deploy.tests.proxies import DEPLOY, PREFIX_HOST
from settings import Settings
from tests.conftest import empty_stores
from tests.handlers.conftest import Outages
from tests.pages import ROOT
from tests.program import registration, wait_for

JSON = {"Content-Type": "application/json"}
MISSING = {"detail": "Authentication credentials were not provided."}
INVALID = {"detail": "Invalid token."}
CONTRACT = (ROOT / "docs/contracts/service.md").read_text()
NAMES = sorted(set(re.findall(r"`(X-(?:Account|Session)-[A-Z][\w-]+)`", CONTRACT)))
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def outages(
    settings: Settings, database: Any, redis_client: Any, tmp_path_factory: pytest.TempPathFactory
) -> Outages:
    empty_stores(database, redis_client)
    return Outages(settings, tmp_path_factory.mktemp("lk"), database, redis_client)


@pytest.fixture(scope="module", params=KINDS)
def site(request: pytest.FixtureRequest, outages: Outages) -> Iterator[Site]:
    if INSTALLED[request.param] is None:
        pytest.skip(f"{request.param} is not installed")
    with protected(request.param, outages) as site:
        yield site


class Reply:
    """A response, read to its end."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def send(
    site: Site, method: str, path: str, body: Any = None, token: str = "", **headers: str
) -> Reply:
    found = {name.replace("_", "-"): value for name, value in headers.items()}
    return send_as_written(
        site,
        method,
        path,
        {**found, **({"Authorization": f"Token {token}"} if token else {})},
        body,
    )


def send_as_written(
    site: Site, method: str, path: str, headers: dict[str, str], body: Any = None
) -> Reply:
    with closing(site.proxy.connect(PREFIX_HOST)) as connection:
        connection.request(method, path, body, headers)
        return Reply(connection.getresponse())


@pytest.fixture
def token(site: Site) -> str:
    """A token, got through the proxy: Latchkey's own paths are public."""
    body = json.dumps(registration(f"{site.kind}{next(_numbers)}")).encode()
    reply = send(site, "POST", "/account/register", body, **{"Content-Type": "application/json"})
    assert reply.status == 200, reply.body
    return str(reply.json["token"])


def identity(reply: Reply) -> dict[str, str]:
    """Return the identity as WSGI applications get it: in capitals, with _ for -."""
    assert reply.status == 200, reply.body
    found: dict[str, str] = {}
    for name, value in reply.json["headers"]:
        key = re.sub(r"\W", "_", name).upper()
        if key.startswith(("X_ACCOUNT", "X_SESSION")):
            found[key] = f"{found[key]},{value}" if key in found else value
    return {key: value for key, value in found.items() if value}


def spellings(name: str, separators: str = "-_.") -> Iterator[str]:
    """Return a header's name in every mixture of separators, in three cases."""
    parts = name.split("-")
    for signs in itertools.product(separators, repeat=len(parts) - 1):
        mixed = parts[0] + "".join(map("".join, zip(signs, parts[1:], strict=True)))
        yield from (mixed, mixed.lower(), mixed.upper())


def test_the_application_learns_who_is_calling(site: Site, token: str):
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        reply = send(site, method, "/orders?page=2", token=token)
        assert (reply.json["method"], reply.json["path"]) == (method, "/orders?page=2")
        found = identity(reply)
        assert found.pop("X_ACCOUNT_ID").isdecimal()
        assert re.fullmatch("[0-9a-f]{16}", found.pop("X_SESSION_ID"))
        name = found["X_ACCOUNT_USERNAME"]
        assert re.fullmatch(rf"{site.kind}\d+", name)
        assert found == {
            "X_ACCOUNT_USERNAME": name,
            "X_ACCOUNT_EMAIL": f"{name}%40example.com",
            "X_SESSION_DIALECT": "lumotist",
            "X_SESSION_KIND": "token",
        }
    assert send(site, "HEAD", "/orders", token=token).status == 200


@pytest.mark.parametrize("path", ["/orders", "/public/orders"])
def test_forged_headers_never_arrive(site: Site, token: str, path: str):
    """In every spelling, one at a time and all at once, with and without a token."""
    known = identity(send(site, "GET", path, token=token))
    assert known["X_ACCOUNT_ID"]
    others = [] if site.kind == "nginx" else ["X-Account-Role", "X-Session-Level"]
    forged = [each for name in [*NAMES, *others] for each in spellings(name)]
    assert len(forged) > 100
    authorization = {"Authorization": f"Token {token}"}
    batches = [[each] for each in forged[::5]]
    batches += [forged[start : start + 40] for start in range(0, len(forged), 40)]
    for batch in batches:
        headers = dict.fromkeys(batch, "1")
        assert identity(send_as_written(site, "GET", path, {**headers, **authorization})) == known
        if path == "/public/orders":
            assert identity(send_as_written(site, "GET", path, headers)) == {}


def test_a_client_can_hide_its_identity_at_most(site: Site, token: str):
    """A proxy removes the headers that Connection names: the request may become anonymous."""
    known = identity(send(site, "GET", "/orders", token=token))
    named = send(site, "GET", "/orders", token=token, Connection=", ".join(["close", *NAMES]))
    if site.kind == "envoy":
        assert named.status == 400
    else:
        assert identity(named).items() <= known.items()


def test_headers_that_look_alike_pass(site: Site, token: str):
    reply = send(site, "GET", "/orders", token=token, X_Accountant="1", X_Request_Note="2")
    assert {"X-Accountant", "X-Request-Note"} <= {name.title() for name, _ in reply.json["headers"]}


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_forged_headers_never_arrive_over_http_2(site: Site, token: str):
    forged = [f"{each.lower()}: 1" for name in NAMES for each in spellings(name, "-_")]
    address = f"{PREFIX_HOST}:{site.proxy.port}"
    line = ["curl", "-sk", "--http2", "--resolve", f"{address}:127.0.0.1"]
    line += [f"https://{address}/public/orders", "-w", "\n%{http_version}"]
    for header in sorted(set(forged)):
        line += ["-H", header]
    done = subprocess.run(line, check=True, capture_output=True, text=True)
    body, _, version = done.stdout.rpartition("\n")
    names = [name.lower() for name, _ in json.loads(body)["headers"]]
    assert version == "2"
    found = [name for name in names if re.match(r"x\W?_?(account|session)", name)]
    assert [
        name for name, value in json.loads(body)["headers"] if name.lower() in found and value
    ] == []


def test_a_refusal_is_passed_on_as_it_is(site: Site, token: str):
    before = len(site.application.requests)
    for headers, body in (({}, MISSING), ({"Authorization": "Token 0"}, INVALID)):
        for method in ("GET", "POST", "DELETE"):
            reply = send_as_written(site, method, "/orders", headers)
            assert (reply.status, reply.json) == (401, body)
            assert reply.headers.get_all("WWW-Authenticate") == ["Token"]
            assert "json" in reply.headers["Content-Type"]
    assert send(site, "GET", "/public/", token="0" * 40).json == INVALID
    assert len(site.application.requests) == before


def test_a_public_path_needs_no_token(site: Site, token: str):
    assert identity(send(site, "GET", "/public/orders")) == {}
    assert identity(send(site, "GET", "/public/orders", token=token))["X_ACCOUNT_ID"]


def test_a_preflight_reaches_the_application(site: Site):
    preflight = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "PUT"}
    forged = {"X-Account-Id": "1", "X_Account_Id": "1"}
    reply = send_as_written(site, "OPTIONS", "/orders", {**preflight, **forged})
    assert reply.json["method"] == "OPTIONS"
    assert identity(reply) == {}


def test_a_logout_takes_effect_with_the_next_request(site: Site, token: str):
    with closing(site.proxy.connect(PREFIX_HOST)) as connection:

        def ask(method: str, path: str) -> Reply:
            connection.request(method, path, headers={"Authorization": f"Token {token}"})
            return Reply(connection.getresponse())

        assert ask("GET", "/orders").status == 200
        assert ask("POST", "/account/logout").status == 200
        refused = ask("GET", "/orders")
        assert (refused.status, refused.json) == (401, INVALID)


@pytest.mark.parametrize("store", ["postgresql", "redis"])
def test_without_a_store_it_is_503_and_nobody_is_logged_out(site: Site, token: str, store: str):
    before = len(site.application.requests)
    site.stores.take_away(store)
    try:
        until = time.monotonic() + 3  # long enough for the health checks to notice
        while time.monotonic() < until:
            for method, path in (("GET", "/orders"), ("POST", "/public/orders")):
                reply = send(site, method, path, token=token)
                assert reply.status == 503, reply.body
                assert int(reply.headers["Retry-After"]) >= 1
                assert reply.json["detail"]
    finally:
        site.stores.bring_back(store)
        is_back = wait_for(lambda: send(site, "GET", "/orders", token=token).status == 200)
    assert is_back
    assert site.application.requests[before:] == ["GET /orders"]


def test_bodies_stream_in_both_directions(site: Site, token: str):
    """The first part of a body arrives before the last is sent."""
    content = bytes(range(256)) * 256
    site.application.first_chunk.clear()

    def chunks() -> Iterator[bytes]:
        yield content
        assert site.application.first_chunk.wait(10)
        for _ in range(160):
            yield content

    reply = send(site, "POST", "/upload", chunks(), token)
    assert reply.json["size"] == 161 * len(content)
    assert reply.json["sha256"] == hashlib.sha256(content * 161).hexdigest()

    site.application.go_on.clear()
    with closing(site.proxy.connect(PREFIX_HOST)) as connection:
        connection.request("GET", "/events", headers={"Authorization": f"Token {token}"})
        response = connection.getresponse()
        assert response.read1(100) == b"data: one\n\n"
        site.application.go_on.set()
        assert response.read() == b"data: two\n\n"


def test_a_large_body(site: Site, token: str):
    content = b"picture " * 2_500_000
    reply = send(site, "PUT", "/upload", content, token)
    assert reply.json["sha256"] == hashlib.sha256(content).hexdigest()
    assert send(site, "PUT", "/upload", b"", token).json["size"] == 0


def test_an_upload_without_a_valid_token_reaches_nobody(site: Site):
    before = len(site.application.requests)
    with closing(site.proxy.connect(PREFIX_HOST)) as connection:
        connection.putrequest("POST", "/upload")
        connection.putheader("Content-Length", "8000000")
        connection.endheaders(b"x" * 1000)
        if site.kind == "nginx":  # it reads the body first; the others do not wait for it
            connection.send(b"x" * 7_999_000)
        reply = Reply(connection.getresponse())
    assert (reply.status, reply.json) == (401, MISSING)
    assert len(site.application.requests) == before


def test_connections_are_kept(site: Site, token: str):
    before = site.application.connections
    with closing(site.proxy.connect(PREFIX_HOST)) as connection:
        for number in range(50):
            headers = {"Authorization": f"Token {token if number % 5 else '0'}"}
            connection.request("GET", f"/orders/{number}", headers=headers)
            assert Reply(connection.getresponse()).status == (200 if number % 5 else 401)
        sock = connection.sock
        assert sock is not None
    assert site.application.connections - before <= 4


@pytest.mark.parametrize("path", ["metrics", "internal/accounts/1", "readyz"])
def test_paths_for_machines_inside_are_not_reached(site: Site, token: str, path: str):
    """Below Latchkey's own paths, either; the servers would answer at their INTERNAL_PORT only."""
    for way in ("/account/../", "/account/%2e%2e/", "/account/..%2f", "/account//../", "//"):
        reply = send(site, "GET", f"{way}{path}", token=token)
        assert b"latchkey_" not in reply.body
        assert b"postgresql" not in reply.body
        assert reply.status in (200, 400, 404, 301, 307, 308)
        assert reply.status != 200 or "X_ACCOUNT_ID" in identity(reply)  # the application's


def test_a_rolling_restart_loses_no_request(site: Site, token: str):
    """SIGTERM to one server after the other, while four clients read and write."""
    statuses: list[object] = []
    enough = threading.Event()

    def go_on(method: str) -> None:
        while not enough.is_set():
            try:
                statuses.append(send(site, method, "/orders", token=token).status)
            except OSError as error:
                statuses.append(error)

    clients = [threading.Thread(target=go_on, args=(method,)) for method in ("GET", "POST") * 2]
    for each in clients:
        each.start()
    try:
        for place, port in enumerate(site.proxy.ports):
            site.proxy.servers[place].process.send_signal(signal.SIGTERM)
            assert site.proxy.servers[place].wait() == 0
            server = site.proxy.servers[place] = site.proxy.restart(port)  # type: ignore[operator]
            assert wait_for(lambda server=server: server.err.count("/verify") > 5)
    finally:
        enough.set()
        for each in clients:
            each.join()
    assert [status for status in statuses if status != 200] == []
    assert len(statuses) > 50


def test_browsers_are_told_to_stay_with_tls(site: Site, token: str):
    reply = send(site, "GET", "/orders", token=token)
    assert reply.headers["Strict-Transport-Security"].startswith("max-age=31536000")


def test_nobody_else_reaches_the_endpoints_for_proxies(site: Site, token: str):
    """What the proxy asks is no way around it: the application gets such a path like any other."""
    for path in ("/_latchkey/verify", "/_latchkey/error", "/verify", "/readyz", "/metrics"):
        reply = send(site, "GET", path)
        assert reply.status == (404 if path.startswith("/_") and site.kind == "nginx" else 401)


def test_without_any_server_it_is_503_and_never_401(site: Site, token: str):
    """It kills both servers, so it is the last test of a site."""
    for server in site.proxy.servers:
        server.process.send_signal(signal.SIGKILL)
        server.wait()
    before = len(site.application.requests)
    for path in ("/orders", "/public/orders", "/orders"):
        reply = send(site, "GET", path, token=token)
        if site.kind == "traefik":  # it has no way to add a header to its own errors
            assert reply.status in (502, 503)
            continue
        assert reply.status == 503
        assert int(reply.headers["Retry-After"]) >= 1
        assert reply.json["detail"]
    assert len(site.application.requests) == before


def test_every_header_of_the_contract_is_passed():
    """Caddy and nginx cannot copy headers by pattern: their files have lines for each."""
    assert len(NAMES) == 9
    for kind in ("nginx", "caddy"):
        text = (DEPLOY / FILES[kind][-1]).read_text()
        for name in NAMES:
            variable = name.lower().removeprefix("x-").replace("-", "_")
            if kind == "nginx":
                assert f"proxy_set_header {name} ${variable};" in text
                assert f"auth_request_set ${variable} $upstream_http_x_{variable};" in text
            else:
                value = f"{{http.reverse_proxy.header.{name}}}"
                assert f"@{variable} vars_regexp {value} ^[^<]" in text
                assert f"request_header @{variable} {name} {value}" in text


def test_the_longest_names_arrive(site: Site, token: str):
    """Each of their characters takes twelve bytes in a header."""
    name, email = "\U00020000" * 254, "a@example.com".rjust(254, "\U00020000")
    with site.stores._database.cursor() as cursor:
        cursor.execute(
            "update account set username = %s, email = %s where id = (select max(id) from account)",
            (name, email),
        )
    found = identity(send(site, "GET", "/orders", token=token))
    assert found["X_ACCOUNT_USERNAME"] == quote(name)
    assert found["X_ACCOUNT_EMAIL"] == quote(email)
