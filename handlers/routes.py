"""Dialects and endpoints: what is mounted where, and which methods it takes."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from handlers.errors import Refuse, WrongMethod
from handlers.http.response import Answer, allow_header
from store.session import Grant

Handler = Callable[[web.Request], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path: it takes every method, and says which are its own.

    `cors` says that web pages of other origins may use it.
    """

    handler: Handler
    methods: tuple[str, ...]
    refuse: Refuse
    cors: bool = True


@dataclass(frozen=True, slots=True)
class NoOptions:
    """The options of a dialect that has none."""


@dataclass(frozen=True)
class Dialect:
    """A wire contract: where its paths lead, and how it says no.

    `other_endpoints` answer under the dialect's name, and at its mount where no other dialect
    claims their paths. `options` are those of DIALECTS with their defaults (handlers/mounts.py);
    the application carries the ones of its mount under `options_key`. `grants` are the sessions
    that it opens.
    """

    name: str
    refuse: Refuse
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    other_endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    options: Any = NoOptions()
    options_key: web.AppKey[Any] | None = None
    grants: Sequence[Grant] = ()


def by_method(refuse: Refuse, **handlers: Handler) -> Endpoint:
    """Return the endpoint of a path whose method is looked at first, and decides the handler."""
    methods = tuple(handlers)

    async def choose(request: web.Request) -> Answer:
        method = "GET" if request.method == "HEAD" and "GET" in handlers else request.method
        if method not in handlers:
            raise WrongMethod(method, allow_header(methods))
        return await handlers[method](request)

    return Endpoint(choose, methods, refuse)
