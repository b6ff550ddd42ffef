"""nginx as an API gateway that introspects tokens, with the files of deploy/nginx."""

import contextlib
import http.client
import http.server
import json
import os
import shutil
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import pytest

from deploy.tests.balancer import free_port
from deploy.tests.proxies import INSTALLED, make_certificate, replaced
from tests.faults.crowd import on
from tests.program import PATIENCE, ROOT, Program, Relay, wait_for
from tests.secrecy import WATCH

KEY = "the-gateway-key-of-the-tests-0123456789"
MODULE = Path("/usr/lib/nginx/modules/ngx_http_js_module.so")
FILES = ROOT / "deploy/nginx"
_NGINX = """
load_module {module};
daemon off;
user root;
pid {home}/pid;
error_log stderr info;
events {{}}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    include {home}/introspection.conf;
}}
"""

pytestmark = pytest.mark.skipif(
    INSTALLED["nginx"] is None or not MODULE.exists(), reason="nginx with njs is not installed"
)


class Echo(http.server.BaseHTTPRequestHandler):
    """An application that returns the headers of each request."""

    def do_GET(self) -> None:
        body = json.dumps([[name.lower(), value] for name, value in self.headers.items()]).encode()
        self.send_response(500 if self.path == "/broken" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


class Answer(NamedTuple):
    """A response, and the headers that the application was sent."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def sent(self) -> dict[str, str]:
        return dict(json.loads(self.body))


class Gateway:
    """A running gateway, the server behind it, and what cuts that server off from Redis."""

    def __init__(self, port: int, server: Program, relay: Relay, log: Path) -> None:
        self._port = port
        self.server = server
        self.relay = relay
        self.log = log

    def ask(self, authorization: str | None, path: str = "/things", **headers: str) -> Answer:
        """Make one request of the application."""
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self._port, timeout=PATIENCE, context=trusting
        )
        given = {"Authorization": authorization} if authorization is not None else {}
        with contextlib.closing(connection):
            connection.request("GET", path, None, {**given, **headers})
            response = connection.getresponse()
            return Answer(response.status, dict(response.headers), response.read())


@pytest.fixture
def gateway(stores: tuple[str, str], clean: None) -> Iterator[Gateway]:
    WATCH.passwords.add(KEY)
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="latchkey-gateway-")))
        make_certificate(home)
        relay = Relay(unquote(urlsplit(stores[1]).path))
        stack.callback(relay.close)
        application = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
        stack.callback(application.server_close)
        stack.callback(application.shutdown)
        threading.Thread(target=application.serve_forever, daemon=True).start()
        internal, port = free_port("127.0.0.1"), free_port("127.0.0.1")
        through = (stores[0], f"redis://127.0.0.1:{relay.port}/0")
        keys = {"SERVICE_KEYS": f"gateway:introspect:{KEY}", "INTERNAL_PORT": str(internal)}
        server = stack.enter_context(Program(**on(through, **keys, STORE_TIMEOUT="1"))).serve()
        changes = {
            "js_path /etc/nginx/;": f"js_path {home}/;",
            "    server 127.0.0.1:9002;\n": "",
            "127.0.0.1:9001": f"127.0.0.1:{internal}",
            "127.0.0.1:3000": f"127.0.0.1:{application.server_port}",
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "/etc/nginx/site.pem": f"{home}/site.crt",
            "/etc/nginx/site.key": f"{home}/site.key",
            "include /etc/nginx/latchkey-key.conf": f"include {home}/latchkey-key.conf",
        }
        text = replaced((FILES / "introspection.conf").read_text(), changes)
        (home / "introspection.conf").write_text(text)
        shutil.copy(FILES / "introspection.js", home)
        key = f'proxy_set_header Authorization "Bearer {KEY}";\n'
        (home / "latchkey-key.conf").write_text(key)
        (home / "nginx.conf").write_text(_NGINX.format(home=home, module=MODULE))
        log = stack.enter_context((home / "log").open("w+"))
        process = subprocess.Popen(
            [INSTALLED["nginx"] or "", "-c", f"{home}/nginx.conf"],
            env={**os.environ, "HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        gateway = Gateway(port, server, relay, home / "log")

        def is_up() -> bool:
            with contextlib.suppress(OSError):
                return gateway.ask(None).status == 401
            return False

        try:
            assert wait_for(is_up), (home / "log").read_text()
            yield gateway
        finally:
            print((home / "log").read_text())
            process.terminate()
            process.wait(PATIENCE)


def test_a_live_token_reaches_the_application_with_its_account(gateway: Gateway):
    token = gateway.server.register("gate")
    for scheme in ("Bearer", "Token", "bearer"):
        answer = gateway.ask(f"{scheme} {token}")
        assert answer.status == 200, answer
        assert answer.sent["x-account-id"].isdecimal()
        assert len(answer.sent["x-session-id"]) == 16


def test_what_a_client_sends_in_these_headers_does_not_arrive(gateway: Gateway):
    token = gateway.server.register("forger")
    own = gateway.ask(f"Bearer {token}").sent
    forged = ("X-Account-Id", "x-account-id", "X_Account_Id", "X-Account-Staff", "X_Session_Id")
    for name in (*forged, "X-Session-Kind", "X-Account-Username"):
        answer = gateway.ask(f"Bearer {token}", **{name: "1000000"})
        given = {name: value for name, value in answer.sent.items() if name.startswith("x")}
        assert given == {name: value for name, value in own.items() if name.startswith("x")}
        assert "1000000" not in answer.body.decode()


def test_without_a_live_token_nothing_arrives(gateway: Gateway):
    token = gateway.server.register("leaver")
    assert gateway.ask(f"Bearer {token}").status == 200
    assert gateway.server.ask("POST", "/account/logout", None, token).status == 200
    for given in (f"Bearer {token}", None, "Bearer", "Bearer x", "Bearer a&token=b", "Basic eDp5"):
        answer = gateway.ask(given)
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert json.loads(answer.body) == {"detail": "Invalid token."}


def test_without_a_store_it_is_a_503_and_never_a_401(gateway: Gateway):
    token = gateway.server.register("waiter")
    gateway.relay.close()
    answer = gateway.ask(f"Bearer {token}")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    gateway.server.process.kill()
    assert gateway.ask(f"Bearer {token}").status == 503
    assert KEY not in gateway.log.read_text()


def test_the_applications_own_errors_come_through(gateway: Gateway):
    answer = gateway.ask(f"Bearer {gateway.server.register('breaker')}", "/broken")
    assert answer.status == 500
    assert "x-account-id" in answer.sent
