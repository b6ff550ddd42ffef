"""What the application carries, by typed keys."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from handlers.log import RequestLog
from store.access import Access
from store.errors import Refused
from store.pictures import Pictures

ACCESS = web.AppKey("access", Access)
PICTURES = web.AppKey("pictures", Pictures)

Ping = Callable[[], Awaitable[str | None]]
STORES = web.AppKey("stores", Mapping[str, Ping])
"""By name, how to ask a store whether it answers: None when it does, else why not."""

PUBLIC_URL = web.AppKey("public_url", str)
"""What the URLs of pictures begin with; "" to follow the request."""

ALLOW_ORIGIN = web.AppKey("allow_origin", str)
"""The Access-Control-Allow-Origin of every answer; "" to have handlers/cors.py decide each."""

DRAINING = web.AppKey("draining", asyncio.Event)
"""Set when this process is about to stop: every answer then closes its connection."""

BODY_TIMEOUT = web.AppKey("body_timeout", float)
"""Seconds in which a request's body must be there."""

REQUEST_ID = web.RequestKey("request_id", str)
REFUSAL = web.RequestKey("refusal", Refused)
"""Why a request was refused; not there when it was not."""

REQUEST_LOG = web.AppKey("request_log", RequestLog)
