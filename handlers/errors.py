"""The errors that only an HTTP request can cause, and the response to a handler's exception.

Each dialect renders these errors and those of store/errors.py. Any other exception is logged here
and rendered as `InternalError`.
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
    """The body is not valid `form` (JSON, a form, …); `reason` says why."""

    def __init__(self, form: str, reason: object) -> None:
        super().__init__(f"{form} parse error - {reason}")
        self.form = form
        self.code = _MALFORMED.get(form, "malformed_body")
        self.reason = str(reason)


class UnsupportedMediaType(AppError):
    """The dialect does not accept this content type."""

    code = "unsupported_media_type"

    def __init__(self, media_type: str) -> None:
        super().__init__(media_type)
        self.media_type = media_type


class UnsupportedEncoding(AppError):
    """The body is compressed (Content-Encoding). No dialect accepts that."""

    code = "unsupported_content_encoding"


NOT_COMPRESSED = {"Accept-Encoding": "identity"}
"""The header of that response (RFC 9110, 12.5.3)."""


class PayloadTooLarge(AppError):
    """The body is longer than `limit` bytes. The rest is not read."""

    code = "payload_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(str(limit))
        self.limit = limit


class RequestTimeout(AppError):
    """The body did not arrive in time."""

    code = "timeout"


class HeadersTooLarge(AppError):
    """A header is too long, or there are too many (RFC 6585, 5)."""

    code = "headers_too_large"


class TargetTooLong(AppError):
    """The request line is too long (RFC 9110, 15.5.15)."""

    code = "uri_too_long"


class NotFound(AppError):
    """There is nothing at this path or with this id."""

    code = "not_found"


class MethodNotAllowed(AppError):
    """The path does not allow this method. `allowed` is the value of the Allow header."""

    code = "method_not_allowed"

    def __init__(self, method: str, allowed: str) -> None:
        super().__init__(method)
        self.method = method
        self.allowed = allowed


class MissingToken(AppError):
    """The request needs a token and has none."""

    code = "token_missing"


class BadHeader(AppError):
    """The Authorization header is malformed: too many parts with `spaces`, otherwise too few."""

    code = "malformed_authorization"

    def __init__(self, *, spaces: bool) -> None:
        super().__init__("spaces" if spaces else "no token")
        self.spaces = spaces


class InsufficientScope(AppError):
    """The service key has a narrower scope than the endpoint needs, which is `scope`."""

    code = "insufficient_scope"

    def __init__(self, scope: str) -> None:
        super().__init__(scope)
        self.scope = scope


class SuperuserRequired(AppError):
    """The account is not a superuser's, or its session is not one of the dialect latchkey."""

    code = "superuser_required"


class FreshLoginRequired(AppError):
    """The session was opened too long ago for this request."""

    code = "fresh_login_required"


class OwnAccount(AppError):
    """A superuser cannot delete, disable or demote itself."""

    code = "own_account"


class PreconditionFailed(AppError):
    """What is to be changed is not what If-Match says (RFC 9110, 13.1.1)."""

    code = "precondition_failed"


class InternalError(AppError):
    """An unexpected error. It is logged; clients are not told what it is."""

    code = "internal"


def error_response(render_error: RenderError, problem: Exception, request: web.Request) -> Response:
    """Return the response to a handler's exception. An unexpected one is logged here."""
    if not isinstance(problem, AppError):
        _log.error("unexpected error", exc_info=problem, extra={"request_id": request[REQUEST_ID]})
        problem = InternalError()
    response = render_error(problem)
    response.reason = (
        f"{problem.code}: {problem}" if isinstance(problem, Unavailable) else problem.code
    )
    return response
