"""Flask: an extension that reads `LATCHKEY_URL` and `LATCHKEY_TIMEOUT` of the application."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from flask import Flask, current_app, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import ServiceUnavailable, Unauthorized

from latchkey_client.calls import TIMEOUT
from latchkey_client.errors import Unavailable
from latchkey_client.identity import Identity, token_of
from latchkey_client.sync import LatchkeyClient

P = ParamSpec("P")
R = TypeVar("R")

_KEY = "latchkey.identity"


class Latchkey:
    """Authenticates the requests of an application; each at most once, when it is needed.

    An outage is werkzeug's ServiceUnavailable with Retry-After, a missing user its Unauthorized.
    """

    def __init__(self, app: Flask | None = None) -> None:
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Use this extension in an application that has its configuration."""
        timeout = app.config.get("LATCHKEY_TIMEOUT", TIMEOUT)
        app.extensions["latchkey"] = LatchkeyClient(app.config["LATCHKEY_URL"], timeout=timeout)

    @property
    def identity(self) -> Identity | None:
        """The caller of the current request; None without a valid token."""
        # Not in Flask's g: in tests and commands several requests share it.
        if _KEY not in request.environ:
            request.environ[_KEY] = self._authenticate()
        found: Identity | None = request.environ[_KEY]
        return found

    @property
    def caller(self) -> Identity:
        """The caller of the current request. Raises Unauthorized without a valid token."""
        identity = self.identity
        if identity is None:
            raise Unauthorized(www_authenticate=WWWAuthenticate("bearer"))
        return identity

    def required(self, view: Callable[P, R]) -> Callable[P, R]:
        """Decorate a view so that it runs for authenticated requests only."""

        @functools.wraps(view)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            _ = self.caller
            return view(*args, **kwargs)

        return checked

    def _authenticate(self) -> Identity | None:
        token = token_of(request.headers.get("Authorization"))
        client: LatchkeyClient = current_app.extensions["latchkey"]
        try:
            return client.authenticate(token) if token is not None else None
        except Unavailable as error:
            raise ServiceUnavailable(retry_after=error.retry_after) from None
