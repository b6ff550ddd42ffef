"""A receiver of events that checks each as the library of the specification does."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from standardwebhooks import Webhook as Verifier

from webhooks.settings import PREFIX, Webhook, parse_webhooks

SECRET = PREFIX + base64.b64encode(b"a secret of the receiver, 32 byte").decode()
OTHER_SECRET = PREFIX + base64.b64encode(b"another secret of this receiver!!").decode()


class Receiver:
    """What was received, in its order. `statuses` are the next responses, then 204."""

    def __init__(self, secret: str = SECRET) -> None:
        self._verifier = Verifier(secret)
        self.received: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.statuses: list[int] = []
        self.open_now = self.open_most = 0
        self.pause = 0.0
        self.hangs = False
        self.url = ""

    async def receive(self, request: web.Request) -> web.Response:
        self.open_now += 1
        self.open_most = max(self.open_most, self.open_now)
        try:
            body = await request.read()
            verified = self._verifier.verify(body, dict(request.headers))
            await asyncio.sleep(3600 if self.hangs else self.pause)
            status = self.statuses.pop(0) if self.statuses else 204
            if status < 300:
                self.received.append(verified["data"])
            self.ids.append(request.headers["webhook-id"])
            return web.Response(status=status, headers={"Location": "/elsewhere"})
        finally:
            self.open_now -= 1

    @property
    def names(self) -> list[str]:
        return [event["account"]["username"] for event in self.received]

    def webhook(self, name: str, secrets: str = SECRET) -> Webhook:
        [webhook] = parse_webhooks(f"{name} {self.url} {secrets}")
        return webhook


@contextlib.asynccontextmanager
async def receiving(secret: str = SECRET) -> AsyncIterator[Receiver]:
    receiver = Receiver(secret)
    application = web.Application()
    application.router.add_post("/hook", receiver.receive)
    async with TestServer(application, handler_cancellation=True) as server:
        receiver.url = str(server.make_url("/hook"))
        yield receiver
