"""A receiver that sends what it wants."""

import asyncio
import datetime
from collections.abc import AsyncIterator

import pytest

from store.event_log import Cursor, Event
from store.event_writer import Actor
from tests.webhooks.receivers import SECRET
from webhooks.delivery import Deliveries, NotDelivered
from webhooks.settings import parse_webhooks

SECRET_PATH = "/services/T0/5ec4e7"
TIME = datetime.datetime(2026, 11, 26, tzinfo=datetime.UTC)
EVENT = Event(1, "account.created", TIME, 1, "ada", Actor("account", None), {}, Cursor(1, 1))


@pytest.fixture
async def deliveries() -> AsyncIterator[Deliveries]:
    made = Deliveries(2.0)
    yield made
    await made.close()


async def deliver(deliveries: Deliveries, response: bytes) -> None:
    """Deliver an event to a receiver that responds with this."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        [webhook] = parse_webhooks(f"crm http://127.0.0.1:{port}{SECRET_PATH} {SECRET}")
        await deliveries.deliver(webhook, EVENT)


INVALID = {
    "text": b"5ec4e7 is no response\r\n\r\n",
    "a version": b"HTTP/x 200 OK\r\n\r\n",
    "a long header": b"HTTP/1.1 200 OK\r\nA: " + b"x" * 20_000 + b"\r\n\r\n",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
    "a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("response", INVALID.values(), ids=INVALID)
async def test_the_reason_has_neither_the_url_nor_the_response(deliveries, response):
    """A URL may be all that a receiver asks for; reasons are logged and stored."""
    with pytest.raises(NotDelivered) as raised:
        await deliver(deliveries, response)
    assert "5ec4e7" not in str(raised.value)
    assert "127.0.0.1" not in str(raised.value)
    assert raised.value.__suppress_context__
