"""The errors that only a request can cause, and what any exception of a handler is answered with.

Each dialect puts them, and the errors of store/errors.py, into its own words. Any other exception
is logged here and reported to the dialect as `Crashed`.
"""

import logging
from collections.abc import Callable

from aiohttp import web

from handlers.app_keys import REQUEST_ID
from handlers.http.response import Answer
from store.errors import Refused, Unavailable

_log = logging.getLogger("latchkey")

RenderError = Callable[[Refused], Answer]


class Malformed(Refused):
    """The body can't be read as the `form` it says it has; the text says why."""

    def __init__(self, form: str, why: object) -> None:
        super().__init__(f"{form} parse error - {why}")
        self.form = form
        self.why = str(why)


class WrongMediaType(Refused):
    """The body is of a content type that this dialect does not read."""

    def __init__(self, media_type: str) -> None:
        super().__init__(media_type)
        self.media_type = media_type


class UnsupportedEncoding(Refused):
    """The body is compressed (Content-Encoding), and no dialect takes that."""


NOT_COMPRESSED = {"Accept-Encoding": "identity"}
"""The header that says so (RFC 9110, 12.5.3)."""


class TooLarge(Refused):
    """The body is longer than `limit` bytes; it was not read on."""

    def __init__(self, limit: int) -> None:
        super().__init__(str(limit))
        self.limit = limit


class TooSlow(Refused):
    """The body was not there in time."""


class HeadersTooLarge(Refused):
    """A header is too long, or there are too many (RFC 6585, 5)."""


class TargetTooLong(Refused):
    """The request line is too long (RFC 9110, 15.5.15)."""


class NotFound(Refused):
    """Nothing is at this path, or nobody has this id."""


class WrongMethod(Refused):
    """The path is known and the method is none of its own. `allowed` is an Allow header."""

    def __init__(self, method: str, allowed: str) -> None:
        super().__init__(method)
        self.method = method
        self.allowed = allowed


class MissingToken(Refused):
    """The request needs a token and brings none."""


class BadHeader(Refused):
    """The Authorization header is malformed; `spaces` tells too many parts from too few."""

    def __init__(self, *, spaces: bool) -> None:
        super().__init__("spaces" if spaces else "no token")
        self.spaces = spaces


class Crashed(Refused):
    """Something went wrong that no client may be told about. It has been logged."""


def error_response(render_error: RenderError, problem: Exception, request: web.Request) -> Answer:
    """Return what a handler's exception is answered with; what is no refusal is logged here."""
    if not isinstance(problem, Refused):
        _log.error("unexpected error", exc_info=problem, extra={"request_id": request[REQUEST_ID]})
        problem = Crashed()
    response = render_error(problem)
    response.why = _name(problem)
    return response


def _name(refusal: Refused) -> str:
    """Return what the log calls a refusal; a store that can't serve has its reason there."""
    name = type(refusal).__name__
    return f"{name}: {refusal}" if isinstance(refusal, Unavailable) else name
