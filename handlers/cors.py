"""CORS when `CORS_ORIGINS` restricts the origins: aiohttp-cors decides for every response.

Without the setting, every response has the contracts' `Access-Control-Allow-Origin: *`
(handlers/http/middleware.py), which aiohttp-cors cannot send.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import hdrs, web
from aiohttp_cors import CorsConfig, ResourceOptions
from aiohttp_cors.abc import AbstractRouterAdapter

from handlers.http.middleware import EXPOSED_HEADERS

WITHOUT_CORS = frozenset({"/healthz", "/readyz", "/metrics"})
"""The paths of monitoring; those below /internal and /ui have no CORS headers either."""


def _has_cors(path: str) -> bool:
    return path not in WITHOUT_CORS and not path.startswith(("/internal/", "/ui/"))


class AllRoutes(AbstractRouterAdapter):
    """Makes aiohttp-cors treat all paths the same. OPTIONS requests do not reach it."""

    def __init__(self, origins: Mapping[str, ResourceOptions]) -> None:
        self._origins = origins

    def add_preflight_handler(
        self, routing_entity: Any, handler: Any, webview: bool = False
    ) -> None:
        """Do nothing: handlers/http/middleware.py handles every OPTIONS."""

    def is_preflight_request(self, request: web.Request) -> bool:
        """Return False: no request reaches aiohttp-cors' own preflight handler."""
        return False

    def is_cors_enabled_on_request(self, request: web.Request) -> bool:
        """Return True, for errors and unknown paths too, except for monitoring and /internal."""
        return _has_cors(request.path)

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


def restrict_origins(
    app: web.Application, origins: Sequence[str], *, credentials: bool = False
) -> None:
    """Allow only these origins to read responses, and with `credentials` to send cookies.

    No dialect reads a cookie of a page of another origin unless its options say so.
    """
    options = {origin: ResourceOptions(allow_credentials=credentials) for origin in origins}
    CorsConfig(app, router_adapter=AllRoutes(options))
    app.on_response_prepare.append(_add_shared_headers)


async def _add_shared_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers that do not depend on the origin; aiohttp-cors requires this order."""
    if _has_cors(request.path):
        response.headers.update(EXPOSED_HEADERS)
        response.headers.add(hdrs.VARY, "Origin")
