"""A request whose token ends before its body arrives changes nothing.

The head is sent and authenticated, then the session ends, then the body follows.
"""

import asyncio
import json
import re
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from handlers.app_keys import ACCESS, IMAGES
from tests.store.test_images import PNG

PASSWORD = "correct-Horse-9"
LOGOUT = "/fardel/api/auth/logout"
LOGOUT_ALL = "/wicare/api/auth/logoutall"
PROFILE = "/fardel/api/auth/profile"
PICTURE = "/lumotist/account/set_picture"


@dataclass(frozen=True)
class Late:
    """A request that needs a token and reads a body."""

    start: str
    body: bytes
    content_type: str = "application/json"

    async def send(self, client: TestClient, token: str, ended_by: str) -> tuple[int, bytes]:
        """Send all but the body, end the token's session, send the body; return the response."""
        reader, writer = await asyncio.open_connection(client.host, client.port)
        head = (
            f"{self.start} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: {self.content_type}\r\nContent-Length: {len(self.body)}\r\n"
            "Expect: 100-continue\r\n\r\n"
        )
        writer.write(head.encode() + self.body[:1])
        async with asyncio.timeout(10):
            assert b" 100 " in await reader.readuntil(b"\r\n\r\n")
            if ended_by:
                await end(client, ended_by, token)
            writer.write(self.body[1:])
            found = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"\r\nContent-Length: (\d+)", found)
            body = await reader.readexactly(int(length[1])) if length else b""
        writer.close()
        await writer.wait_closed()
        return int(found.split()[1]), body


def put(**fields: str) -> Late:
    return Late(f"PUT {PROFILE}", json.dumps(fields).encode())


CHANGES = [
    put(first_name="Late"),
    put(email="late@example.com"),
    put(password="a late password"),
    Late(f"POST {PICTURE}", b'{"id": 6}'),
    Late(f"POST {PICTURE}", PNG, "image/png"),
]
READS_FIRST = [  # on shared paths the body chooses the dialect, and then the token is checked
    Late("POST /api/auth/logout", b"{ }"),
]
AT_ONCE = [  # these do not wait for their body: the token was valid when they took effect
    "POST /wicare/api/auth/logout",
    "POST /wicare/api/auth/logoutall",
    "POST /lumotist/account/logout",
    "GET /lumotist/account/profile",
    "POST /lumotist/account/delete",
    "GET /lumotist/account/get_pictures",
    "POST /kust/auth/token/logout",
    "POST /kust/auth/users/me",
    "POST /kust/user/1",
    "POST /cellars/api/logout",
    "POST /fardel/api/auth/logout",
    "GET /fardel/api/auth/profile",
]


async def end(client: TestClient, path: str, token: str) -> None:
    async with client.post(path, headers={"Authorization": f"Bearer {token}"}) as response:
        assert response.status in (200, 204)


async def sign_up(client: TestClient, number: int) -> str:
    fields = {"email": f"mika{number}@example.com", "password": PASSWORD}
    async with client.post("/fardel/api/auth/register", json=fields) as response:
        return (await response.json())["access_token"]


@pytest.fixture
def state(database, redis_client) -> Any:
    """Return the content of both stores, without the time to which records are extended."""

    def state() -> tuple[Any, ...]:
        with database.cursor() as cursor:
            cursor.execute(
                "select id, email, password, first_name, picture_id from account order by id"
            )
            accounts = cursor.fetchall()
            cursor.execute("select id, account_id from picture order by id")
            return accounts, cursor.fetchall(), sorted(redis_client.keys())

    return state


@pytest.mark.parametrize("ended_by", [LOGOUT, LOGOUT_ALL])
async def test_a_token_that_ends_before_its_body_is_there_changes_nothing(client, state, ended_by):
    for number, late in enumerate([*CHANGES, *READS_FIRST]):
        token = await sign_up(client, number)
        before = state()
        status, body = await late.send(client, token, ended_by)
        assert status == 401, (late, body)
        *kept, sessions = state()
        assert kept == list(before[:2]), late
        assert set(sessions) <= set(before[2]), late
        fields = {"email": f"mika{number}@example.com", "password": PASSWORD}
        async with client.post("/fardel/api/auth/login", json=fields) as response:
            assert response.status == 200, late


async def test_the_same_requests_change_what_they_say_under_a_token_that_lives(client, state):
    for number, late in enumerate(CHANGES):
        token = await sign_up(client, number)
        before = state()
        status, body = await late.send(client, token, "")
        assert (status, state() != before) == (200, True), (late, body)


async def test_the_others_do_not_wait_for_their_body(client):
    for number, start in enumerate(AT_ONCE):
        token = await sign_up(client, number)
        head = f"{start} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        reader, writer = await asyncio.open_connection(client.host, client.port)
        writer.write(head.encode() + b"Content-Length: 10\r\n\r\n{")
        async with asyncio.timeout(10):
            response = await reader.readuntil(b"\r\n\r\n")
        assert response.split()[1] in (b"200", b"204"), (start, response)
        writer.close()
        await writer.wait_closed()


async def test_a_session_that_ends_while_its_picture_is_decoded_keeps_none(
    client, state, monkeypatch
):
    token, images = await sign_up(client, 0), client.app[IMAGES]
    square = images.square

    async def slowly(*given: Any) -> Any:
        sides = await square(*given)
        await end(client, LOGOUT, token)
        return sides

    monkeypatch.setattr(images, "square", slowly)
    before = state()[:2]
    status, _ = await Late(f"POST {PICTURE}", PNG, "image/png").send(client, token, "")
    assert (status, state()[:2]) == (401, before)


async def test_a_session_that_ends_while_its_password_is_hashed_changes_nothing(
    client, state, monkeypatch
):
    token, passwords = await sign_up(client, 0), client.app[ACCESS]._passwords
    really = passwords.hash

    async def slowly(*given: Any, **options: Any) -> str:
        made = await really(*given, **options)
        await end(client, LOGOUT, token)
        return made

    monkeypatch.setattr(passwords, "hash", slowly)
    before = state()[0]
    status, _ = await put(password="a late password").send(client, token, "")
    assert (status, state()[0]) == (401, before)
