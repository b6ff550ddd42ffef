"""The proxies of deploy/ in front of real servers: each runs the file that is shipped.

Only addresses, ports and the certificate are replaced in it, since the tests own no port 443.
"""

import contextlib
import http.client
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.tests.balancer import free_port
from tests.faults.crowd import on
from tests.program import PATIENCE, ROOT, Program, wait_for

DEPLOY = ROOT / "deploy"
HOST = "accounts.example.com"
PREFIX_HOST = "api.example.com"
PREFIX = "/accounts"
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
KINDS = ("haproxy", "nginx", "caddy")
HOSTS = dict.fromkeys(KINDS, ("127.0.0.1", "127.0.0.1")) | {"caddy": ("127.0.0.1", "127.0.0.2")}
"""Where the two servers listen: Caddy asks all of them for their health on one port."""
INSTALLED = {kind: shutil.which(kind, path=_PATH) for kind in KINDS}
NGINX = """
daemon off;
user root;
pid {home}/pid;
error_log stderr notice;
events {{}}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    include {home}/latchkey.conf;
}}
"""


def make_certificate(directory: Path) -> None:
    """Write site.pem (certificate and key), and site.crt and site.key, for both host names."""
    key, certificate = directory / "site.key", directory / "site.crt"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    names = f"subjectAltName=DNS:{HOST},DNS:{PREFIX_HOST}"
    where = ["-keyout", str(key), "-out", str(certificate), "-subj", "/CN=test", "-addext", names]
    subprocess.run([*command, *where], check=True, capture_output=True)
    (directory / "site.pem").write_text(certificate.read_text() + key.read_text())


def replaced(text: str, changes: Mapping[str, str]) -> str:
    """Return the text with each of these replaced; every one must be there."""
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def uncommented(text: str, first: str, last: str) -> str:
    """Return the text with the comment signs gone from the first of these lines to the last."""
    before, found, rest = text.partition(f"# {first}")
    assert found, first
    block, found, after = rest.partition(f"# {last}\n")
    assert found, last
    lines = (found and f"{first}{block}").replace("# ", "").replace("#\t", "\t")
    return f"{before}{lines}{last}\n{after}"


@dataclass
class Proxy:
    """A running proxy that terminates TLS, and the two servers behind it."""

    port: int
    servers: list[Program]
    ports: list[int]
    restart: object

    def connect(self, host: str = HOST, source: str = "127.0.0.1") -> http.client.HTTPConnection:
        """Open a connection as a client at this address; the certificate is the tests' own."""
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        plain = socket.create_connection(("127.0.0.1", self.port), PATIENCE, (source, 0))
        connection = http.client.HTTPConnection(f"{host}:{self.port}", timeout=PATIENCE)
        connection.sock = trusting.wrap_socket(plain, server_hostname=host)
        return connection

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        host: str = HOST,
        source: str = "127.0.0.1",
    ) -> tuple[int, bytes]:
        """Make one request; return the status and the body."""
        with contextlib.closing(self.connect(host, source)) as connection:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return response.status, response.read()


def configuration(
    kind: str, home: Path, port: int, ports: list[int], internal: list[int], *, prefixed: bool
) -> None:
    """Write the shipped files of a proxy into its home, with the tests' own addresses."""
    one, two = (f"127.0.0.1:{each}" for each in ports)
    servers = {"127.0.0.1:8001": one, "127.0.0.1:8002": two}
    if kind == "haproxy":
        tls = f"bind 127.0.0.1:{port} ssl crt {home}/site.pem alpn h2,http/1.1"
        text = (DEPLOY / "haproxy/haproxy.cfg").read_text()
        text = replaced(
            text,
            {
                'bind "${LISTEN-:8000}"': tls,
                "# http-response set-header Strict": "http-response set-header Strict",
            },
        )
        if prefixed:
            text = uncommented(
                text,
                "http-request deny deny_status 404",
                r"http-request replace-path /accounts(/.*)? \1",
            )
        (home / "haproxy.cfg").write_text(text)
        backends = (DEPLOY / "haproxy/servers.cfg").read_text()
        checked = {f"-{old}": f"-{new}" for old, new in zip((9001, 9002), internal, strict=True)}
        (home / "servers.cfg").write_text(replaced(backends, {**servers, **checked}))
    elif kind == "nginx":
        text = (DEPLOY / "nginx/latchkey.conf").read_text()
        if prefixed:
            whole = "    location / {\n        proxy_pass http://latchkey;\n    }\n"
            text = replaced(
                uncommented(text, "location /accounts/ {", "}"),
                {whole: "", "proxy_pass http://latchkey/;": "    proxy_pass http://latchkey/;"},
            )
        changes = {
            "listen 80;": f"listen 127.0.0.1:{free_port('127.0.0.1')};",
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "/etc/nginx/site.pem": f"{home}/site.crt",
            "/etc/nginx/site.key": f"{home}/site.key",
            HOST: PREFIX_HOST if prefixed else HOST,
        }
        (home / "latchkey.conf").write_text(replaced(text, {**servers, **changes}))
        (home / "nginx.conf").write_text(NGINX.format(home=home))
    else:
        text = (DEPLOY / "caddy/Caddyfile").read_text()
        site, tls = f"\n{HOST} {{\n", f"\ttls {home}/site.crt {home}/site.key\n"
        if prefixed:
            text = uncommented(text, f"{PREFIX_HOST} {{", "}")
            site = f"\n{PREFIX_HOST} {{\n"
        name = site.strip(" \n{")
        servers = {
            "127.0.0.1:8001": one,
            "127.0.0.2:8001": f"{HOSTS[kind][1]}:{ports[1]}",
            "health_port 9000": f"health_port {internal[0]}",
        }
        changes = {**servers, site: f"\n{name}:{port} {{\n{tls}"}
        options = "{\n\tadmin off\n\tauto_https disable_redirects\n}\n"
        text = replaced(text, changes)
        if prefixed:  # the other site would ask for a certificate
            text = text.replace(f"\n{HOST} {{\n", f"\nhttp://{HOST}:{free_port('127.0.0.1')} {{\n")
        (home / "Caddyfile").write_text(options + text)


def command(kind: str, home: Path) -> list[str]:
    """Return what runs a proxy in the foreground."""
    program = INSTALLED[kind] or ""
    files = [f"{home}/haproxy.cfg", f"{home}/servers.cfg"]
    return {
        "haproxy": [program, "-db", "-f", files[0], "-f", files[1]],
        "nginx": [program, "-c", f"{home}/nginx.conf"],
        "caddy": [program, "run", "--config", f"{home}/Caddyfile", "--adapter", "caddyfile"],
    }[kind]


@contextmanager
def proxied(
    kind: str, stores: tuple[str, str], *, prefixed: bool = False, **settings: str
) -> Iterator[Proxy]:
    """Run two servers and a proxy in front of them."""
    with ExitStack() as stack:
        hosts = HOSTS[kind]
        ports = [free_port(host) for host in hosts]
        internal = [free_port(*hosts)] * 2 if len(set(hosts)) == 2 else [*map(free_port, hosts)]

        def start(port: int) -> Program:
            proxy_settings = {"TRUSTED_PROXIES": "127.0.0.1", "DRAIN_SECONDS": "3", **settings}
            host, inside = hosts[ports.index(port)], str(internal[ports.index(port)])
            listeners = {"HOST": host, "INTERNAL_HOST": host, "INTERNAL_PORT": inside}
            found = on(stores, PORT=str(port), **listeners, **proxy_settings)
            program = stack.enter_context(Program(**found))
            program.say(rf"serving on http://{host}:{port}")
            return program

        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="latchkey-proxy-")))
        make_certificate(home)
        proxy = Proxy(free_port("127.0.0.1"), [start(port) for port in ports], ports, start)
        configuration(kind, home, proxy.port, ports, internal, prefixed=prefixed)
        log = stack.enter_context((home / "log").open("w+"))
        process = subprocess.Popen(
            command(kind, home),
            env={**os.environ, "HOME": str(home), "XDG_DATA_HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            host = PREFIX_HOST if prefixed else HOST
            path = f"{PREFIX if prefixed else ''}/healthz"

            def is_up() -> bool:
                with contextlib.suppress(OSError, http.client.HTTPException):
                    return proxy.ask("GET", path, host=host)[0] == 200
                return False

            assert wait_for(is_up), (home / "log").read_text()
            yield proxy
        finally:
            print((home / "log").read_text())
            process.terminate()
            process.wait(PATIENCE)
