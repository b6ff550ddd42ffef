"""Probes: /healthz says that the process is up, /readyz that it can serve.

They belong to no dialect and are for the machine that runs this server, so no web page of another
origin may read them. `/readyz` tells anybody which store is unavailable, but not why: a driver's
message names hosts, ports, paths and roles. The reason is logged when it changes.
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
"""How long a result is given to others who ask: anybody may, and each ping is a trip to a store."""

Ping = Callable[[], Awaitable[str | None]]

_log = logging.getLogger("latchkey.readiness")


class Readiness:
    """Pings every store, for all who ask at once, and at most once in REUSE_SECONDS."""

    def __init__(self, pings: Mapping[str, Ping]) -> None:
        """Take the stores by name; a ping returns None if the store answers, else the reason."""
        self._pings = pings
        self._reasons: dict[str, str | None] = dict.fromkeys(pings)
        self._asking: asyncio.Task[None] | None = None
        self._valid_until = 0.0

    async def ask(self) -> dict[str, bool]:
        """Return, for each store, whether it answers."""
        if asyncio.get_running_loop().time() >= self._valid_until:
            if self._asking is None:
                self._asking = asyncio.create_task(self._ask_all())
            await asyncio.shield(self._asking)  # one who leaves does not take the answer along
        return {name: reason is None for name, reason in self._reasons.items()}

    async def close(self) -> None:
        """Wait for the pings under way; each has a deadline."""
        if self._asking is not None:
            await asyncio.wait((self._asking,))

    async def _ask_all(self) -> None:
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
            self._asking = None


READINESS = web.AppKey("readiness", Readiness)

routes = Routes(drf.render_error, Checks(method_first=True))


@routes.open("/healthz", methods=GET, cors=False)
async def health(request: web.Request) -> Response:
    """GET /healthz: say that the process is up; touches no store."""
    return json_response({"status": "ok"})


@routes.open("/readyz", methods=GET, cors=False)
async def ready(request: web.Request) -> Response:
    """GET /readyz: say whether each store answers; 503 if one does not, or while draining."""
    stores = await request.app[READINESS].ask()
    draining = request.app[DRAINING].is_set()
    good = all(stores.values()) and not draining
    report = {name: "ok" if answers else "unavailable" for name, answers in stores.items()}
    status = "draining" if draining else "ok" if good else "unavailable"
    return json_response({"status": status, **report}, 200 if good else 503)
