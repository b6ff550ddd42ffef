"""Probes: /healthz for liveness, /readyz for readiness.

They belong to no dialect and are for monitoring, so web pages of other origins cannot read them.
`/readyz` names the unavailable store but not the reason, because a driver's message has hosts,
ports, paths and roles. The reason is logged when it changes.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from handlers.app_keys import DRAINING
from handlers.dialects import drf
from handlers.http.response import Response, json_response
from handlers.routes import GET, Checks, Routes

REUSE_SECONDS = 0.5
"""How long a result is reused: any client may call this, and each ping is a round trip."""

Ping = Callable[[], Awaitable[str | None]]

_log = logging.getLogger("latchkey.readiness")


class Readiness:
    """Pings every store, once for concurrent requests, and at most once in REUSE_SECONDS."""

    def __init__(self, pings: Mapping[str, Ping]) -> None:
        """Create it for stores by name. A ping returns None, or why the store is unavailable."""
        self._pings = pings
        self._reasons: dict[str, str | None] = dict.fromkeys(pings)
        self._pinging: asyncio.Task[None] | None = None
        self._valid_until = 0.0

    async def check(self) -> dict[str, bool]:
        """Return, for each store, whether it is available."""
        if asyncio.get_running_loop().time() >= self._valid_until:
            if self._pinging is None:
                self._pinging = asyncio.create_task(self._ping_all())
            await asyncio.shield(self._pinging)  # a client that disconnects does not cancel it
        return {name: reason is None for name, reason in self._reasons.items()}

    async def close(self) -> None:
        """Wait for the pings in progress. Each has a timeout."""
        if self._pinging is not None:
            await asyncio.wait((self._pinging,))

    async def _ping_all(self) -> None:
        try:
            reasons = await asyncio.gather(*(ping() for ping in self._pings.values()))
            for name, reason in zip(self._pings, reasons, strict=True):
                if reason is not None and self._reasons[name] is None:
                    _log.warning("not ready: %s", reason)
                elif reason is None and self._reasons[name] is not None:
                    _log.info("ready again: %s", name)
                self._reasons[name] = reason
            self._valid_until = asyncio.get_running_loop().time() + REUSE_SECONDS
        finally:
            self._pinging = None


READINESS = web.AppKey("readiness", Readiness)

routes = Routes(drf.render_error, Checks(method_first=True))


@routes.open("/healthz", methods=GET, cors=False)
async def health(request: web.Request) -> Response:
    """GET /healthz: return that the process is running, without using a store."""
    return json_response({"status": "ok"})


@routes.open("/readyz", methods=GET, internal=True)
async def ready(request: web.Request) -> Response:
    """GET /readyz: return whether each store is available; 503 if not, and while draining."""
    stores = await request.app[READINESS].check()
    draining = request.app[DRAINING].is_set()
    is_ready = all(stores.values()) and not draining
    report = {name: "ok" if is_up else "unavailable" for name, is_up in stores.items()}
    status = "draining" if draining else "ok" if is_ready else "unavailable"
    return json_response({"status": status, **report}, 200 if is_ready else 503)
