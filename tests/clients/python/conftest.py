"""A server of the tests of latchkey-client, whose Redis can become unavailable."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

from tests.handlers.internal.keys import KEYS, TEXT
from tests.program import KEY, Program
from tests.secrecy import WATCH

PASSWORD = "Analytical-Engine-1843"


class Latchkey(Program):
    """A server that reaches Redis by a symbolic link, which `without_redis` removes."""

    def __init__(self, stores: tuple[str, str], link: Path, client: "redis.Redis") -> None:
        self._link, self._client = link, client
        self.mail = link.parent / "mail"
        self.mail.mkdir()
        self._socket = urlsplit(stores[1]).path
        link.symlink_to(self._socket)
        WATCH.passwords.update(KEYS.values())
        super().__init__(
            DATABASE_URL=stores[0],
            REDIS_URL=f"unix://{link}",
            SECRET_KEYS=KEY,
            SERVICE_KEYS=TEXT,
            MAIL_URL=f"file:{self.mail}",
            VERIFY_URL="https://app.example/verify#{token}",
            RESET_URL="https://app.example/reset#{token}",
            STORE_TIMEOUT="0.5",
        )

    def sign_up(self, name: str, **fields: str) -> tuple[str, int]:
        """Register an account in the dialect latchkey; return its token and its id."""
        body = {"username": name, "password": PASSWORD, **fields}
        response = self.ask("POST", "/latchkey/v1/accounts", body)
        assert response.status == 201, response
        return response.json["token"], response.json["account"]["id"]

    def log_out(self, token: str) -> None:
        """End the session of a token."""
        response = self.ask("DELETE", "/latchkey/v1/sessions/current", token=token)
        assert response.status == 204, response

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def without_redis(self) -> Iterator[None]:
        self._link.unlink()
        self._client.client_kill_filter(_type="normal", skipme=True)
        yield
        self._link.symlink_to(self._socket)


@pytest.fixture(scope="module")
def latchkey(stores: tuple[str, str], redis_client: "redis.Redis") -> Iterator[Latchkey]:
    """A server that runs for all tests of a file."""
    with (
        tempfile.TemporaryDirectory(prefix="lk-") as directory,
        Latchkey(stores, Path(directory) / "r", redis_client) as server,
    ):
        yield server.serve()
