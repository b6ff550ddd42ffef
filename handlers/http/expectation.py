"""`Expect: 100-continue` (RFC 9110, 10.1.1): the client waits for a 100 before it sends the body.

The 100 is sent when a handler reads the body, so a request that fails before gets its error at
once. Any other expectation is ignored, as the RFC allows: a 417 would be in no dialect's words. An
expectation of HTTP/1.0 is ignored, because such a client would take the 100 for the response.
"""

from typing import Protocol, cast

from aiohttp import HttpVersion11, hdrs, web


class Connection(Protocol):
    """The part of handlers/http/connection.py that is used here."""

    def send_continue(self) -> None:
        """Send the interim response 100."""


def expects_continue(request: web.Request) -> bool:
    """Return whether the client sends its body only after a 100, and has not sent all of it."""
    return (
        request.headers.get(hdrs.EXPECT, "").lower() == "100-continue"
        and request.version >= HttpVersion11
        and not request.content.is_eof()
    )


def request_body(request: web.Request) -> None:
    """Send 100 Continue if the client waits for it."""
    if hdrs.EXPECT in request.headers and expects_continue(request):
        cast(Connection, request.protocol).send_continue()


async def ignore_expectation(request: web.Request) -> None:
    """Do nothing. aiohttp would send 100 Continue here, before the request is checked."""
