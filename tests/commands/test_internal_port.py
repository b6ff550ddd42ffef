"""INTERNAL_PORT with one process and with two: printed at the start, shown by `check`."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.handlers.internal.keys import KEYS, TEXT, Scope, bearer
from tests.pages import free_port
from tests.program import KEY, Client, Program
from tests.secrecy import WATCH


@pytest.fixture(params=["1", "2"])
def where(request, stores: tuple[str, str]) -> Iterator[dict[str, str]]:
    """The settings of a server with one worker, and of one with two."""
    WATCH.passwords.update(KEYS.values())
    with tempfile.TemporaryDirectory(prefix="lk-") as directory:
        keys = Path(directory) / "keys"
        keys.write_text(TEXT.replace(" ", "\n") + "\n")
        keys.chmod(0o600)
        yield {
            "DATABASE_URL": stores[0],
            "REDIS_URL": stores[1],
            "SECRET_KEYS": KEY,
            "SERVICE_KEYS_FILE": str(keys),
            "PORT": str(free_port()),
            "INTERNAL_PORT": str(free_port()),
            "WORKERS": request.param,
        }


def ask(port: int, method: str, path: str, **headers: str) -> int:
    """Return the status of a response on this port."""
    with contextlib.closing(Client(port)) as client:
        client.send(method, path, **headers)
        return client.receive().status


def test_internal_endpoints_are_on_that_port_only(where):
    public, internal = int(where["PORT"]), int(where["INTERNAL_PORT"])
    with Program(**where) as server:
        assert server.serve().port == public
        server.say(f"internal endpoints on http://127.0.0.1:{internal}")
        key = bearer(KEYS[Scope.INTROSPECT])
        for _ in range(int(where["WORKERS"]) * 8):  # a connection each: every worker serves some
            for path in ("/readyz", "/metrics"):
                assert ask(internal, "GET", path) == 200
                assert ask(public, "GET", path) == 404
            assert ask(internal, "POST", "/internal/introspect", **key) == 415
            assert ask(public, "POST", "/internal/introspect", **key) == 404
            assert ask(public, "GET", "/healthz") == ask(internal, "GET", "/healthz") == 200
        with Program("check", **where) as check:
            assert check.wait() == 0, check.out
            for port in (public, internal):
                assert f"ok       the server is listening on 127.0.0.1:{port}\n" in check.out
    with Program("check", **where) as check:
        assert check.wait() == 0, check.out
        for port in (public, internal):
            assert f"ok       the server can listen on 127.0.0.1:{port}\n" in check.out
        services = "gateway (introspect), reader (read), billing (write)"
        assert f"ok       SERVICE_KEYS: {services}\n" in check.out
        assert (
            f"ok       /internal, /metrics and /readyz are on port {internal} only\n" in check.out
        )
        assert not any(key in check.out for key in KEYS.values())


def test_an_internal_port_in_use_is_the_reason(where):
    with Program(**where) as server:
        server.serve()
        with Program(**where | {"PORT": "0"}) as second:
            assert second.wait() == 1
            at = f"127.0.0.1:{where['INTERNAL_PORT']}"
            assert f"cannot listen on {at}: {os.strerror(98)}" in second.err
