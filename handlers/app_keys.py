"""The typed keys of what the application and its requests store."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from handlers.body_memory import BodyMemory, HeldBytes
from handlers.http.response import Response
from store.access import Access
from store.accounts import Accounts
from store.admin import Admin
from store.directory import Directory
from store.errors import AppError
from store.event_log import EventLog
from store.fresh_sessions import FreshSessions
from store.idempotency import IdempotencyKeys
from store.identities import Identities
from store.images import Images
from store.introspection import Introspection
from store.jwt_sessions import JwtSessions
from store.limits import Limits
from store.passkeys import Passkeys
from store.pictures import Pictures
from store.recovery import Recovery
from store.second_factors import SecondFactors
from telemetry.log import RequestLog
from telemetry.metrics import Metrics

if TYPE_CHECKING:
    from telemetry.tracing import Tracing

ACCESS = web.AppKey("access", Access)
ACCOUNTS = web.AppKey("accounts", Accounts)
PICTURES = web.AppKey("pictures", Pictures)

PRODUCT = web.AppKey("product", str)
"""The name of the product, in pages and in authenticator apps."""
PUBLIC_URL = web.AppKey("public_url", str)
"""The beginning of the URLs of pictures; "" to take it from the request."""

ALLOW_ORIGIN = web.AppKey("allow_origin", str)
"""The Access-Control-Allow-Origin of every response; "" if handlers/cors.py decides each."""

COOKIE_ORIGINS: "web.AppKey[frozenset[str]]" = web.AppKey("cookie_origins")
"""The other origins whose pages may send cookies."""

DRAINING = web.AppKey("draining", asyncio.Event)
"""Set before this process stops: from then on every response closes its connection."""

BODY_TIMEOUT = web.AppKey("body_timeout", float)
"""Seconds within which a request's body must arrive (handlers/body.py)."""

BODY_MEMORY = web.AppKey("body_memory", BodyMemory)
PICTURE_MEMORY = web.AppKey("picture_memory", BodyMemory)
"""Pictures have a separate limit. Only requests with a valid token can use it."""

LIMITS = web.AppKey("limits", Limits)
"""Present if RATE_LIMITS is on."""

REQUIRE_VERIFIED_EMAIL = web.AppKey("require_verified_email", bool)
"""Whether an account whose e-mail is not verified cannot log in."""

ADMIN = web.AppKey("admin", Admin)
DIRECTORY = web.AppKey("directory", Directory)
IDEMPOTENCY_KEYS = web.AppKey("idempotency_keys", IdempotencyKeys)
IDENTITIES = web.AppKey("identities", Identities)
FRESH_SESSIONS = web.AppKey("fresh_sessions", FreshSessions)
PASSKEYS = web.AppKey("passkeys", Passkeys)
FACTORS = web.AppKey("factors", SecondFactors)
IMAGES = web.AppKey("images", Images)
JWTS = web.AppKey("jwts", JwtSessions)
"""Present if a mounted dialect issues JWTs."""
RECOVERY = web.AppKey("recovery", Recovery)
EVENTS = web.AppKey("events", EventLog)
INTROSPECTION = web.AppKey("introspection", Introspection)


@dataclass(frozen=True, slots=True)
class PictureLimits:
    """The largest picture in `bytes`, and the `seconds` within which its body must arrive."""

    bytes: int
    seconds: float

    @property
    def body_bytes(self) -> int:
        """The largest body that can contain such a picture, as base64 or in a form."""
        return self.bytes * 4 // 3 + 65_536


PICTURE_LIMITS = web.AppKey("picture_limits", PictureLimits)

REQUEST_ID = web.RequestKey("request_id", str)
DIALECT = web.RequestKey("dialect", str)
"""The dialect of a request on a shared path."""
RENDER_ERROR: web.RequestKey[Callable[[AppError], Response]] = web.RequestKey("render_error")
"""The error renderer of a request, if it is not its endpoint's: on a shared path that of the chosen
dialect, and where options of a mount say so."""
BODY: web.RequestKey[bytes | AppError] = web.RequestKey("body")
"""The body that was read, or the error that reading it raised."""
HELD_BYTES = web.RequestKey("held_bytes", HeldBytes)
PARSED: web.RequestKey[tuple[Any, str | None]] = web.RequestKey("parsed")
"""The value of a JSON body and None, or None and the reason why it is malformed."""

UNREADABLE = web.RequestKey("unreadable", AppError)
"""The error of a request that the HTTP parser rejected."""

REQUEST_LOG = web.AppKey("request_log", RequestLog)
METRICS = web.AppKey("metrics", Metrics)
TRACING: "web.AppKey[Tracing]" = web.AppKey("tracing")
"""Present if tracing is on."""
