"""The forward-authentication files of deploy/: a proxy, two servers and an application behind it.

Each proxy runs the file that is shipped, with the tests' own addresses and certificate.
"""

import contextlib
import http.client
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.tests.application import Application
from deploy.tests.balancer import free_port
from deploy.tests.proxies import (
    DEPLOY,
    NGINX,
    PREFIX_HOST,
    Proxy,
    command,
    make_certificate,
    replaced,
)
from tests.faults.crowd import on
from tests.handlers.conftest import Outages
from tests.program import PATIENCE, Program, wait_for

KINDS = ("nginx", "caddy", "traefik", "envoy")
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", str(Path(sys.executable).parent)])
INSTALLED = {kind: shutil.which(kind, path=_PATH) for kind in KINDS}
FILES = {
    "nginx": ("nginx/forward-auth.conf", "nginx/latchkey-identity.conf"),
    "caddy": ("caddy/forward-auth.Caddyfile",),
    "traefik": ("traefik/traefik.yml", "traefik/forward-auth.yml"),
    "envoy": ("envoy/forward-auth.yaml",),
}


@dataclass
class Site:
    """What a test works with. `stores` makes PostgreSQL or Redis unavailable."""

    kind: str
    proxy: Proxy
    application: Application
    stores: Outages


def configuration(
    kind: str, home: Path, port: int, servers: list[int], internal: list[int], application: int
) -> list[str]:
    """Write the shipped files of a proxy into its home; return what runs it in the foreground."""
    places = {"8001": str(servers[0]), "8002": str(servers[1]), "9000": str(application)}
    addresses = {f"127.0.0.1:{old}": f"127.0.0.1:{new}" for old, new in places.items()}
    plain = f"127.0.0.1:{free_port('127.0.0.1')}"
    tls = {f"/etc/{kind}/site.key": f"{home}/site.key"}
    certificate = f"\ttls {home}/site.crt {home}/site.key\n"
    changes: dict[str, Mapping[str, str]] = {
        "nginx/forward-auth.conf": {
            **addresses,
            **tls,
            "/etc/nginx/site.pem": f"{home}/site.crt",
            "listen 80;": f"listen {plain};",
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        },
        "caddy/forward-auth.Caddyfile": {
            **addresses,
            f"\n{PREFIX_HOST} {{\n": f"\n{PREFIX_HOST}:{port} {{\n{certificate}",
        },
        "traefik/traefik.yml": {
            '":80"': f'"{plain}"',
            '":443"': f'"127.0.0.1:{port}"',
            "/etc/traefik/forward-auth.yml": f"{home}/forward-auth.yml",
            "127.0.0.1:8009": f"127.0.0.1:{(verify := free_port('127.0.0.1'))}",
        },
        "traefik/forward-auth.yml": {
            **addresses,
            **tls,
            "/etc/traefik/site.crt": f"{home}/site.crt",
            "127.0.0.1:8009": f"127.0.0.1:{verify}",
        },
        "envoy/forward-auth.yaml": {
            **{
                f"port_value: {old}": f"port_value: {new}"
                for old, new in {**places, "9001": internal[0], "9002": internal[1]}.items()
            },
            **tls,
            "/etc/envoy/site.crt": f"{home}/site.crt",
            "{address: 0.0.0.0, port_value: 443}": f"{{address: 127.0.0.1, port_value: {port}}}",
        },
    }
    for file in FILES[kind]:
        text = replaced((DEPLOY / file).read_text(), changes.get(file, {}))
        (home / file.rpartition("/")[2]).write_text(text)
    program = INSTALLED[kind] or ""
    if kind == "traefik":
        return [program, f"--configfile={home}/traefik.yml"]
    if kind == "envoy":
        options = ["--concurrency", "2", "--use-dynamic-base-id", "--log-level", "warning"]
        return [program, "-c", f"{home}/forward-auth.yaml", *options]
    if kind == "nginx":
        (home / "forward-auth.conf").rename(home / "latchkey.conf")
        (home / "nginx.conf").write_text(NGINX.format(home=home))
    else:
        options = "{\n\tadmin off\n\tauto_https disable_redirects\n}\n"
        (home / "Caddyfile").write_text(options + (home / "forward-auth.Caddyfile").read_text())
    return command(kind, home)


@contextmanager
def protected(kind: str, stores: Outages) -> Iterator[Site]:
    """Run two servers, the application and the proxy in front of them."""
    urls = (stores.settings.database_url, stores.settings.redis_url)
    with ExitStack() as stack:
        ports = [free_port("127.0.0.1"), free_port("127.0.0.1")]

        internal = dict(zip(ports, (free_port("127.0.0.1"), free_port("127.0.0.1")), strict=True))

        def start(port: int) -> Program:
            settings = {
                "PORT": str(port),
                "INTERNAL_PORT": str(internal[port]),
                "TRUSTED_PROXIES": "127.0.0.1",
                "STORE_TIMEOUT": "2",
                "DRAIN_SECONDS": "3",
            }
            program = stack.enter_context(Program(**on(urls, **settings)))
            program.say(rf"serving on http://127\.0\.0\.1:{port}")
            return program

        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="latchkey-proxy-")))
        make_certificate(home)
        application = stack.enter_context(Application().running())
        proxy = Proxy(free_port("127.0.0.1"), [start(port) for port in ports], ports, start)
        line = configuration(kind, home, proxy.port, ports, [*internal.values()], application.port)
        log = stack.enter_context((home / "log").open("w+"))
        process = subprocess.Popen(
            line,
            env={**os.environ, "HOME": str(home), "XDG_DATA_HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:

            def is_up() -> bool:
                with contextlib.suppress(OSError, http.client.HTTPException):
                    return proxy.ask("GET", "/public/", host=PREFIX_HOST)[0] == 200
                return False

            assert wait_for(is_up), (home / "log").read_text()
            yield Site(kind, proxy, application, stores)
        finally:
            print((home / "log").read_text()[-20_000:])
            process.terminate()
            process.wait(PATIENCE)
