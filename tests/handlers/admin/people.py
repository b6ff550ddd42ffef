"""The accounts of the tests of the admin page's API, and what they do."""

import json
from typing import Any

import psycopg2.extensions
import redis
from aiohttp.test_utils import TestClient

from handlers.admin.routes import PREFIX
from store.fresh_sessions import SECONDS

PASSWORD = "paper-Lantern-9"
ROOT, MIKA = 1, 2
"""The ids of the first accounts."""


class Office:
    """A client of the server, and its administrator."""

    def __init__(
        self,
        client: TestClient,
        redis_client: "redis.Redis",
        database: "psycopg2.extensions.connection",
    ) -> None:
        self.client, self._redis, self._database = client, redis_client, database
        self.token = ""

    async def open(self) -> None:
        """Register root, who becomes a superuser, and mika."""
        self.token = await self.register("root")
        self.sql("update account set is_superuser = true where id = 1")
        await self.register("mika")

    def sql(self, statement: str, *parameters: object) -> list[Any]:
        """Run a statement."""
        with self._database.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    async def register(self, name: str) -> str:
        """Register an account; return the token of its session."""
        body = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
        response = await self.client.post("/v1/accounts", json=body)
        assert response.status == 201, await response.text()
        return (await response.json())["token"]

    async def log_in(self, name: str) -> str:
        """Log an account in; return the token."""
        body = {"login": name, "password": PASSWORD, "device": "test"}
        response = await self.client.post("/v1/sessions", json=body)
        assert response.status == 201, await response.text()
        return (await response.json())["token"]

    async def send(
        self,
        method: str,
        path: str,
        data: Any = None,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Send a request as root, or with another token; return the status and the content."""
        sent = {"Authorization": f"Bearer {token or self.token}", **(headers or {})}
        body = None
        if data is not None:
            body, sent["Content-Type"] = json.dumps(data), "application/json"
        async with self.client.request(method, PREFIX + path, data=body, headers=sent) as response:
            if response.status == 204:
                return 204, None
            is_problem = response.content_type == "application/problem+json"
            assert is_problem == (response.status >= 400), response.content_type
            return response.status, await response.json(content_type=None)

    async def code(self, method: str, path: str, data: Any = None, **others: Any) -> str | None:
        """Send a request as `send`; return the code of its error, None if it succeeds."""
        status, content = await self.send(method, path, data, **others)
        assert content is None or content.get("status", status) == status
        return content["code"] if status >= 400 else None

    async def events(self) -> list[tuple[Any, ...]]:
        """Return the events by administrators, the newest first."""
        _, found = await self.send("GET", "/events")
        return [
            (each["type"], each["account"]["username"], each["actor"]["name"], each["data"])
            for each in found["events"]
            if each["actor"]["type"] == "admin"
        ]

    def age(self, seconds: float = SECONDS + 5) -> None:
        """Make all sessions older by so many seconds."""
        make_older(self._redis, seconds)


def make_older(redis_client: "redis.Redis", seconds: float = SECONDS + 5) -> None:
    """Make all sessions older by so many seconds, and not confirmed since."""
    for key in redis_client.scan_iter("fresh:*"):
        redis_client.delete(key)
    for key in redis_client.scan_iter("session:*"):
        record = redis_client.get(key).decode().split(" ", 6)
        if len(record) > 5:  # it is not revoked
            record[5] = str(int(record[5]) - int(seconds))
            redis_client.set(key, " ".join(record), keepttl=True)
