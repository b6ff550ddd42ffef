"""CORS, when `CORS_ORIGINS` narrows the origins: aiohttp-cors decides, for every answer.

Without it every answer carries the contracts' `Access-Control-Allow-Origin: *`
(handlers/http/middleware.py), which aiohttp-cors has no way to send.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import hdrs, web
from aiohttp_cors import CorsConfig, ResourceOptions
from aiohttp_cors.abc import AbstractRouterAdapter

from handlers.http.middleware import EXPOSED

WITHOUT_CORS = frozenset({"/healthz", "/readyz", "/metrics"})
"""The paths of the endpoints that are mounted with `cors=False`."""


class AllRoutes(AbstractRouterAdapter):
    """Has aiohttp-cors treat every path alike, known or not; OPTIONS are answered before it."""

    def __init__(self, origins: Mapping[str, ResourceOptions]) -> None:
        self._origins = origins

    def add_preflight_handler(
        self, routing_entity: Any, handler: Any, webview: bool = False
    ) -> None:
        """Do nothing: handlers/http/middleware.py answers every OPTIONS."""

    def is_preflight_request(self, request: web.Request) -> bool:
        """Return False: no request reaches aiohttp-cors' own preflight handler."""
        return False

    def is_cors_enabled_on_request(self, request: web.Request) -> bool:
        """Return True for all but probes and metrics: for errors and unknown paths too."""
        return request.path not in WITHOUT_CORS

    def set_config_for_routing_entity(self, routing_entity: Any, config: Any) -> None:
        """Do nothing: there is one configuration."""

    async def get_preflight_request_config(
        self, preflight_request: web.Request, origin: str, request_method: str
    ) -> Mapping[str, ResourceOptions]:
        """Return the allowed origins."""
        return self._origins

    def get_non_preflight_request_config(
        self, request: web.Request
    ) -> Mapping[str, ResourceOptions]:
        """Return the allowed origins."""
        return self._origins


def narrow(app: web.Application, origins: Sequence[str]) -> None:
    """Let only these origins read answers.

    None may send credentials (cookies): there are none, tokens travel in Authorization.
    """
    options = {origin: ResourceOptions() for origin in origins}
    CorsConfig(app, router_adapter=AllRoutes(options))
    app.on_response_prepare.append(_complete)


async def _complete(request: web.Request, response: web.StreamResponse) -> None:
    """Add what all answers have, whatever the origin; aiohttp-cors wants it added after it."""
    if request.path not in WITHOUT_CORS:
        response.headers.update(EXPOSED)
        response.headers.add(hdrs.VARY, "Origin")
