"""Probes for whoever runs this server: /healthz says the process is up, /readyz that it serves."""

from aiohttp import web

from handlers import drf
from handlers.answers import Answer, json_response
from handlers.dialect import Endpoint
from handlers.keys import DRAINING, STORES


async def health(request: web.Request) -> Answer:
    """Say that the process is up; touches no store."""
    return json_response({"status": "ok"})


async def ready(request: web.Request) -> Answer:
    """Say whether each store answers; 503 when one does not, or when this process is leaving."""
    stores = {name: await ping() for name, ping in request.app[STORES].items()}
    draining = request.app[DRAINING].is_set()
    good = all(why is None for why in stores.values()) and not draining
    report = {name: why or "ok" for name, why in stores.items()}
    status = "draining" if draining else "ok" if good else "unavailable"
    return json_response({"status": status, **report}, 200 if good else 503)


HEALTH = Endpoint(health, ("GET",), drf.refuse)
READY = Endpoint(ready, ("GET",), drf.refuse)
