"""The errors that only a request can cause, and what any exception of a handler is answered with.

Each dialect puts them, and the errors of store/errors.py, into its own words. Any other exception
is logged here and reported to the dialect as `InternalError`.
"""

import logging
from collections.abc import Callable

from aiohttp import web

from handlers.app_keys import REQUEST_ID
from handlers.http.response import Response
from store.errors import AppError, Unavailable

_log = logging.getLogger("latchkey")

RenderError = Callable[[AppError], Response]


_MALFORMED = {"JSON": "invalid_json", "Header": "malformed_header"}


class Malformed(AppError):
    """The body can't be read as the `form` it says it has; the text says why."""

    def __init__(self, form: str, reason: object) -> None:
        super().__init__(f"{form} parse error - {reason}")
        self.form = form
        self.code = _MALFORMED.get(form, "malformed_body")
        self.reason = str(reason)


class UnsupportedMediaType(AppError):
    """The body is of a content type that this dialect does not read."""

    code = "unsupported_media_type"

    def __init__(self, media_type: str) -> None:
        super().__init__(media_type)
        self.media_type = media_type


class UnsupportedEncoding(AppError):
    """The body is compressed (Content-Encoding), and no dialect takes that."""

    code = "unsupported_content_encoding"


NOT_COMPRESSED = {"Accept-Encoding": "identity"}
"""The header that says so (RFC 9110, 12.5.3)."""


class PayloadTooLarge(AppError):
    """The body is longer than `limit` bytes; it was not read on."""

    code = "payload_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(str(limit))
        self.limit = limit


class RequestTimeout(AppError):
    """The body was not there in time."""

    code = "timeout"


class HeadersTooLarge(AppError):
    """A header is too long, or there are too many (RFC 6585, 5)."""

    code = "headers_too_large"


class TargetTooLong(AppError):
    """The request line is too long (RFC 9110, 15.5.15)."""

    code = "uri_too_long"


class NotFound(AppError):
    """Nothing is at this path, or nobody has this id."""

    code = "not_found"


class MethodNotAllowed(AppError):
    """The path is known and the method is none of its own. `allowed` is an Allow header."""

    code = "method_not_allowed"

    def __init__(self, method: str, allowed: str) -> None:
        super().__init__(method)
        self.method = method
        self.allowed = allowed


class MissingToken(AppError):
    """The request needs a token and brings none."""

    code = "token_missing"


class BadHeader(AppError):
    """The Authorization header is malformed; `spaces` tells too many parts from too few."""

    code = "malformed_authorization"

    def __init__(self, *, spaces: bool) -> None:
        super().__init__("spaces" if spaces else "no token")
        self.spaces = spaces


class InternalError(AppError):
    """Something went wrong that no client may be told about. It has been logged."""

    code = "internal"


def error_response(render_error: RenderError, problem: Exception, request: web.Request) -> Response:
    """Return what a handler's exception is answered with; what is no refusal is logged here."""
    if not isinstance(problem, AppError):
        _log.error("unexpected error", exc_info=problem, extra={"request_id": request[REQUEST_ID]})
        problem = InternalError()
    response = render_error(problem)
    response.reason = (
        f"{problem.code}: {problem}" if isinstance(problem, Unavailable) else problem.code
    )
    return response
