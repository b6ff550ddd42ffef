"""GET /ui/admin/api/live: a few of the metrics, of which the page draws graphs."""

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from handlers.admin.routes import PREFIX, Administrator, routes
from handlers.app_keys import METRICS
from handlers.http.response import Response, json_response
from handlers.routes import GET
from handlers.system.health import READINESS

_PATH = "/live"


@routes.require(_PATH, methods=GET)
async def show(request: web.Request, _: Administrator) -> Response:
    """GET /ui/admin/api/live: return counters since the start, queues, and the stores' health.

    With WORKERS they are the sums of all processes. Requests of this path are not counted.
    """
    metrics = request.app[METRICS]
    metrics.flush()
    samples = await asyncio.to_thread(metrics.samples)
    stores = await request.app[READINESS].check()
    return json_response({"time": time.time(), **_sums(samples), "stores": stores})


def _sums(samples: Iterable[Any]) -> dict[str, float]:
    sums = dict.fromkeys(
        (
            "requests",
            "failures",
            "seconds",
            "logins",
            "failed_logins",
            "registrations",
            "mail",
            "password",
            "picture",
        ),
        0.0,
    )
    for name, labels, value, *_ in samples:
        if labels.get("route") == PREFIX + _PATH:
            continue
        match name:
            case "latchkey_requests_total":
                sums["requests"] += value
                sums["failures"] += value if labels["status"].startswith("5") else 0
            case "latchkey_request_seconds_sum":
                sums["seconds"] += value
            case "latchkey_logins_total":
                sums["logins" if labels["outcome"] == "success" else "failed_logins"] += value
            case "latchkey_registrations_total" if labels["outcome"] == "success":
                sums["registrations"] += value
            case "latchkey_mail_queue_depth":
                sums["mail"] += value
            case "latchkey_queue_depth":
                sums[labels["work"]] += value
    return sums
