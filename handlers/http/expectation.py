"""`Expect: 100-continue` (RFC 9110, 10.1.1): the client waits for a word before it sends the body.

It is sent when a handler asks for the body, so a request that is refused without its body gets the
refusal itself. An expectation of another kind is ignored, as the RFC allows: a 417 would be in no
dialect's words. So is one of HTTP/1.0, to which the interim response would be the response.
"""

from typing import Protocol, cast

from aiohttp import HttpVersion11, hdrs, web


class Connection(Protocol):
    """What handlers/http/connection.py does for a client that waits."""

    def send_continue(self) -> None:
        """Send the interim response 100."""


def expects_continue(request: web.Request) -> bool:
    """Return whether the client of this request holds its body back, or did at first."""
    return (
        request.headers.get(hdrs.EXPECT, "").lower() == "100-continue"
        and request.version >= HttpVersion11
        and not request.content.is_eof()
    )


def request_body(request: web.Request) -> None:
    """Have the client send the body, if it waits to be asked."""
    if hdrs.EXPECT in request.headers and expects_continue(request):
        cast(Connection, request.protocol).send_continue()


async def ignore_expectation(request: web.Request) -> None:
    """Do nothing: aiohttp would send 100 Continue here, before it is known what is answered."""
