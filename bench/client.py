"""A small HTTP client for what wrk can't do: logins, and answers that are looked at one by one."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from bench.accounts import PASSWORD

LOGIN = "/account/login"
LOGOUT = "/account/logout"


@dataclass(frozen=True)
class Response:
    """What came back."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


class Connection:
    """One keep-alive connection to a server on this machine."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> "Connection":
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def send(self, method: str, path: str, token: str = "", data: object = None) -> None:
        """Send a request."""
        body = b"" if data is None else json.dumps(data).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\n"
        if token:
            head += f"Authorization: Token {token}\r\n"
        if body:
            head += "Content-Type: application/json\r\n"
        self._writer.write(f"{head}\r\n".encode() + body)

    async def receive(self) -> Response:
        """Return the answer to the request that was sent first."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        return Response(int(head[9:12]), await self._reader.readexactly(int(length or 0)))

    async def ask(self, method: str, path: str, token: str = "", data: object = None) -> Response:
        """Send a request and return its answer."""
        self.send(method, path, token, data)
        return await self.receive()

    async def log_in(self, username: str, password: str = PASSWORD) -> Response:
        """Log in."""
        return await self.ask("POST", LOGIN, data={"username": username, "password": password})

    def close(self) -> None:
        """Hang up at once."""
        self._writer.transport.abort()
