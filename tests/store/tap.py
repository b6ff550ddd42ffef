"""A socket between a server and PostgreSQL that counts statements."""

import asyncio
import contextlib


class Tap:
    """A socket on the way to PostgreSQL that counts the statements sent through it."""

    def __init__(self, target: str) -> None:
        self._target = target
        self.statements = 0

    async def relay(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        replies, server = await asyncio.open_unix_connection(self._target)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._requests(client, server))
                group.create_task(self._replies(replies, back))
        finally:
            for writer in (server, back):
                writer.close()

    async def _requests(self, client: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        """Pass messages on: the first has a length, the others a letter before it."""
        letter = b""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                length = await client.readexactly(4)
                body = await client.readexactly(int.from_bytes(length) - 4)
                self.statements += letter in (b"Q", b"P")
                server.write(letter + length + body)
                letter = await client.readexactly(1)
        server.close()

    async def _replies(self, replies: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        while chunk := await replies.read(65_536):
            back.write(chunk)
