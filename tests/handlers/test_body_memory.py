"""The bytes of long bodies that a process holds at a time are bounded, over all its connections."""

import asyncio
import json

import pytest

from handlers import app_keys
from handlers.body_memory import UNCOUNTED_BYTES
from tests.handlers.contract import play
from tests.handlers.dialects.lumotist_rows import LOGIN, SIGN_UP

KIB = 1024
HEAD = "POST {} HTTP/1.1\r\nHost: x\r\nContent-Type: {}\r\nContent-Length: {}\r\n{}\r\n"


@pytest.fixture
def little_memory(client, monkeypatch):
    """Room for two bodies of 200 KiB, and for two pictures."""
    for key in (app_keys.BODY_MEMORY, app_keys.PICTURE_MEMORY):
        monkeypatch.setattr(client.app[key], "limit", 300 * KIB)
    return client.app[app_keys.BODY_MEMORY], client.app[app_keys.PICTURE_MEMORY]


async def send(client, path, kind, body, length, more=""):
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(HEAD.format(path, kind, length, more).encode() + body)
    return reader, writer


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("path", ["/account/login", "/account/set_picture"])
async def test_a_body_for_which_there_is_no_room_is_refused(client, little_memory, path):
    names = await play(client, [SIGN_UP])
    memory = little_memory[path.endswith("picture")]
    kind = "image/png" if path.endswith("picture") else "application/json"
    mine = f"Authorization: Token {names['token']}\r\n"
    waiting = [await send(client, path, kind, b" " * 200 * KIB, 999_999, mine) for _ in range(2)]
    await until(lambda: memory.held == 2 * (200 * KIB - UNCOUNTED_BYTES))
    reader, writer = await send(client, path, kind, b" " * 200 * KIB, 200 * KIB, mine)
    refused = await reader.readuntil(b"\r\n\r\n")
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 1\r\n" in refused
    assert b"\r\nConnection: close\r\n" in refused
    writer.close()
    short = json.dumps(LOGIN).encode()
    reader, writer = await send(client, "/account/login", "application/json", short, len(short))
    assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")  # a short one is always accepted
    for _, gone in [*waiting, (reader, writer)]:
        gone.close()
    await until(lambda: memory.held == 0)
    padded = short + b" " * 200 * KIB
    reader, writer = await send(client, "/account/login", "application/json", padded, len(padded))
    assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    writer.close()
    await until(lambda: little_memory[0].held == 0)
