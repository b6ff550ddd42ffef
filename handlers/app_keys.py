"""What the application carries, by typed keys."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from handlers.body_memory import BodyMemory, HeldBytes
from handlers.http.response import Response
from store.access import Access
from store.accounts import Accounts
from store.errors import AppError
from store.images import Images
from store.mail_queue import MailQueue
from store.pictures import Pictures
from telemetry.log import RequestLog
from telemetry.metrics import Metrics

if TYPE_CHECKING:
    from telemetry.tracing import Tracing

ACCESS = web.AppKey("access", Access)
ACCOUNTS = web.AppKey("accounts", Accounts)
PICTURES = web.AppKey("pictures", Pictures)

PUBLIC_URL = web.AppKey("public_url", str)
"""What the URLs of pictures begin with; "" to follow the request."""

ALLOW_ORIGIN = web.AppKey("allow_origin", str)
"""The Access-Control-Allow-Origin of every answer; "" to have handlers/cors.py decide each."""

DRAINING = web.AppKey("draining", asyncio.Event)
"""Set when this process is about to stop: every answer then closes its connection."""

BODY_TIMEOUT = web.AppKey("body_timeout", float)
"""Seconds in which a request's body must be there."""

BODY_MEMORY = web.AppKey("body_memory", BodyMemory)
PICTURE_MEMORY = web.AppKey("picture_memory", BodyMemory)
"""Pictures have a memory to themselves, which nobody can fill without a token."""

IMAGES = web.AppKey("images", Images)
MAIL = web.AppKey("mail", MailQueue)


@dataclass(frozen=True, slots=True)
class PictureLimits:
    """What a picture may be: `bytes` long, in a body that is there within `seconds`."""

    bytes: int
    seconds: float

    @property
    def body_bytes(self) -> int:
        """How long a body may be that holds such a picture, as base64 or in a form."""
        return self.bytes * 4 // 3 + 65_536


PICTURE_LIMITS = web.AppKey("picture_limits", PictureLimits)

REQUEST_ID = web.RequestKey("request_id", str)
DIALECT = web.RequestKey("dialect", str)
"""The dialect of a request, where its path alone does not tell."""
RENDER_ERROR: web.RequestKey[Callable[[AppError], Response]] = web.RequestKey("render_error")
"""How the dialect renders errors, where the path alone does not tell which dialect it is."""
BODY: web.RequestKey[bytes | AppError] = web.RequestKey("body")
"""The body, once it has been read, or why it could not be."""
HELD_BYTES = web.RequestKey("held_bytes", HeldBytes)
PARSED: web.RequestKey[tuple[Any, str | None]] = web.RequestKey("parsed")
"""What a JSON body says, once it has been parsed, or why it could not be."""

UNREADABLE = web.RequestKey("unreadable", AppError)
"""Why the HTTP parser has refused the request."""

REQUEST_LOG = web.AppKey("request_log", RequestLog)
METRICS = web.AppKey("metrics", Metrics)
TRACING: "web.AppKey[Tracing]" = web.AppKey("tracing")
"""Present if tracing is on."""
