"""The watch over the logs of the whole suite (tests/secrecy.py) sees what it is there to see."""

import logging

import pytest

from tests.secrecy import WATCH, Watch

TOKEN = "0123456789abcdef" * 4
PASSWORD = "correct horse"


@pytest.mark.parametrize("secret", [TOKEN, TOKEN[:40], PASSWORD])
def test_a_secret_in_a_line_is_seen(secret: str):
    watch = Watch()
    watch.tokens = {TOKEN, TOKEN[:40]} - {secret} | ({secret} - {PASSWORD})
    watch.note_password(PASSWORD)
    watch.lines = ["GET /a 200", f"GET /?token={secret} 404"]
    assert secret in watch.leaks()
    watch.lines.pop()
    assert watch.leaks() == set()


async def test_the_suite_is_watched(client):
    """The client's server notes what it derives, hashes and logs, like every other's."""
    body = {"username": "watched", "email": "w@example.com", "password": PASSWORD}
    async with client.post("/account/register", json=body) as answer:
        token = (await answer.json())["token"]
    assert token in WATCH.tokens
    assert PASSWORD in WATCH.passwords
    logging.getLogger("latchkey").warning("a line for the watch")
    assert any("a line for the watch" in line for line in WATCH.lines)
