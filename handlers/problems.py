"""Errors of the dialect latchkey and of /internal: RFC 9457 problem details with a stable code.

Contract: docs/contracts/latchkey.md#errors. docs/errors.md has the tables that are here, and
/docs/errors shows them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import orjson

from handlers.errors import (
    NOT_COMPRESSED,
    BadHeader,
    FreshLoginRequired,
    HeadersTooLarge,
    InsufficientScope,
    Malformed,
    MethodNotAllowed,
    MissingToken,
    NotFound,
    OwnAccount,
    PayloadTooLarge,
    PreconditionFailed,
    RequestTimeout,
    SuperuserRequired,
    TargetTooLong,
    UnsupportedEncoding,
    UnsupportedMediaType,
)
from handlers.http.response import Response, retry_after
from handlers.picture_upload import NotBase64, NothingSent, PictureMissing
from store.errors import (
    AppError,
    BadCredentials,
    BadPicture,
    BadToken,
    Busy,
    CursorExpired,
    EmailNotVerified,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    Inactive,
    LinkExpired,
    LinkInvalid,
    NoSuchPicture,
    PictureProblem,
    RateLimited,
    Taken,
    TokenProblem,
    Unavailable,
    Unstorable,
    WrongPassword,
)

PROBLEM_JSON = "application/problem+json"
TYPE = "/docs/errors#{}"
"""The `type` of a problem: a page of this server, relative as RFC 9457, 3.1.1 allows."""

BEARER = {"WWW-Authenticate": "Bearer"}


class Problem(NamedTuple):
    """A row of the table of errors."""

    status: int
    title: str
    advice: str
    """What an app should do."""


PROBLEMS = {
    "invalid_json": Problem(400, "The body is not valid JSON.", "Fix the app."),
    "invalid_body": Problem(
        400,
        "The body is cut off or not what its type says, or a header occurs twice.",
        "Send the request again once.",
    ),
    "link_invalid": Problem(
        400,
        "The link was used, or is not valid any more.",
        "Offer to send a new link.",
    ),
    "link_expired": Problem(400, "The link has expired.", "Offer to send a new link."),
    "invalid_credentials": Problem(
        401, "The login or the password is wrong.", "Let the user try again, or reset the password."
    ),
    "token_missing": Problem(401, "The request has no token.", "Fix the app, or show the login."),
    "token_unknown": Problem(
        401, "The token is not one of this server.", "Delete the token and show the login."
    ),
    "token_expired": Problem(
        401, "The session has expired.", "Delete the token and show the login."
    ),
    "token_revoked": Problem(401, "The session was ended.", "Delete the token and show the login."),
    "account_disabled": Problem(
        403, "The account has been disabled.", "Tell the user to contact support."
    ),
    "email_not_verified": Problem(
        403, "The e-mail address is not verified.", "Ask the user to open the link in the e-mail."
    ),
    "insufficient_scope": Problem(
        403, "The service key may not do this.", "Use a service key with a wider scope."
    ),
    "superuser_required": Problem(
        403,
        "Only a superuser who logged in through this API may do this.",
        "Tell the user that the account has no such rights.",
    ),
    "fresh_login_required": Problem(
        403,
        "This requires a login within the last 10 minutes.",
        "Ask for the password, log in again, then repeat the request with the new token.",
    ),
    "own_account": Problem(
        403,
        "Superusers cannot delete, disable or demote themselves.",
        "Tell the user to ask another superuser.",
    ),
    "not_found": Problem(404, "There is nothing here.", "Fix the app, or reload the list."),
    "method_not_allowed": Problem(405, "The path does not support this method.", "Fix the app."),
    "timeout": Problem(408, "The body did not arrive in time.", "Send the request again."),
    "taken": Problem(
        409, "The username or the e-mail is taken.", "Show `errors` beside the fields."
    ),
    "idempotency_key_in_use": Problem(
        409,
        "The request with this Idempotency-Key is still being processed.",
        "Wait for `Retry-After` seconds, then try again.",
    ),
    "cursor_expired": Problem(
        410,
        "Events after this cursor were deleted.",
        "Read all accounts again, then the events without a cursor.",
    ),
    "precondition_failed": Problem(
        412,
        "It was changed after it was read.",
        "Read it again, and let the user decide.",
    ),
    "payload_too_large": Problem(
        413, "The body is too large.", "Send less; shrink a picture before you send it."
    ),
    "uri_too_long": Problem(414, "The request line is too long.", "Fix the app."),
    "unsupported_media_type": Problem(
        415, "The body has an unsupported content type or encoding.", "Fix the app."
    ),
    "invalid_fields": Problem(
        422, "Some fields are not valid.", "Show `errors` beside the fields."
    ),
    "wrong_password": Problem(
        422, "The current password is wrong.", "Let the user type the password again."
    ),
    "idempotency_key_reused": Problem(
        422,
        "Another request was sent with this Idempotency-Key.",
        "Use a new key for each request that is not a repetition.",
    ),
    "rate_limited": Problem(
        429, "There were too many attempts.", "Wait for `Retry-After` seconds, then try again."
    ),
    "headers_too_large": Problem(431, "The headers are too large.", "Fix the app."),
    "internal": Problem(500, "The server failed.", "Report it with the response's `X-Request-ID`."),
    "unavailable": Problem(
        503,
        "The service is temporarily unavailable.",
        "Keep the token. Wait for `Retry-After` seconds, then try again.",
    ),
}
"""Every code, in the order of its status."""

FIELD_CODES = {
    "required": "The field is missing, null or empty.",
    "unknown": "The endpoint has no such field.",
    "invalid": "The value has the wrong type, form or characters.",
    "too_long": "The value has too many characters.",
    "too_short": "The new password has too few characters.",
    "too_common": "The new password is one of the most common.",
    "too_similar": "The new password is too similar to the username or the e-mail.",
    "breached": "The new password is known from a data breach.",
    "taken": "Another account has this username or this e-mail.",
    "not_found": "The gallery has no such picture, or the search no such account.",
    "unsupported": "The image has a format that is not supported.",
    "damaged": "The image is damaged or cut off.",
    "too_large": "The image has too many pixels, or takes too long to read.",
}
"""The codes of fields in `errors`, each with its meaning."""


class FieldError(NamedTuple):
    """What is wrong with one field of a request."""

    field: str
    code: str
    message: str


class InvalidFields(AppError):
    """Fields are missing, unknown or not as they should be: all of them at once."""

    code = "invalid_fields"

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__(", ".join(f"{each.field}: {each.code}" for each in errors))
        self.errors = errors


REQUIRED = "This field is required."
NOT_AN_OBJECT = "The body must be a JSON object."

_TAKEN = {
    "username": "This username is taken.",
    "email": "This e-mail address is taken.",
}
_PICTURES = {
    PictureProblem.UNKNOWN_FORMAT: ("unsupported", "Use a JPEG, PNG, WebP or GIF image."),
    PictureProblem.HEIF: ("unsupported", "Use a JPEG, PNG, WebP or GIF image."),
    PictureProblem.DAMAGED: ("damaged", "The image is damaged or cut off."),
    PictureProblem.PIXELS: ("too_large", "The image has too many pixels."),
    PictureProblem.ANIMATION: ("too_large", "The animation is too long."),
    PictureProblem.COSTLY: ("too_large", "The image takes too long to read."),
}
_TOKENS = {
    TokenProblem.EXPIRED: "token_expired",
    TokenProblem.REVOKED: "token_revoked",
    TokenProblem.INACTIVE: "token_revoked",
}
"""The codes of bad tokens; `token_unknown` for others, as for a token of another kind."""


def render_error(error: AppError) -> Response:
    """Return the response to an error (docs/contracts/latchkey.md#errors)."""
    match error:
        case InvalidFields():
            return _problem("invalid_fields", errors=error.errors)
        case Unstorable():
            return _field(error.field, "invalid", "This has characters that cannot be stored.")
        case BadPicture():
            return _field("picture", *_PICTURES[error.problem])
        case NotBase64():
            return _field("picture", "invalid", "This is not base64.")
        case PictureMissing() | NothingSent():
            return _field("picture", "required", "Send an image, or the id of a gallery picture.")
        case NoSuchPicture():
            return _field("gallery", "not_found", "The gallery has no picture with this id.")
        case Taken():
            fields = [field for field in _TAKEN if field in error.fields]
            errors = [FieldError(field, "taken", _TAKEN[field]) for field in fields]
            return _problem("taken", errors=errors)
        case BadCredentials():
            return _problem("invalid_credentials", BEARER)
        case CursorExpired() | IdempotencyKeyReused():
            return _problem(error.code)
        case Inactive() | EmailNotVerified() | WrongPassword() | LinkInvalid() | LinkExpired():
            return _problem(error.code)
        case MissingToken() | BadHeader(spaces=False):
            return _problem("token_missing", BEARER)
        case BadHeader():
            return _problem("token_unknown", BEARER)
        case BadToken():
            return _problem(_TOKENS.get(error.problem, "token_unknown"), BEARER)
        case SuperuserRequired() | FreshLoginRequired() | OwnAccount() | PreconditionFailed():
            return _problem(error.code)
        case InsufficientScope():
            challenge = f'Bearer error="insufficient_scope", scope="{error.scope}"'
            return _problem(error.code, {"WWW-Authenticate": challenge})
        case Malformed(form="JSON"):
            return _problem("invalid_json")
        case Malformed():
            return _problem("invalid_body")
        case UnsupportedMediaType():
            return _problem("unsupported_media_type")
        case UnsupportedEncoding():
            return _problem("unsupported_media_type", NOT_COMPRESSED)
        case MethodNotAllowed():
            return _problem("method_not_allowed", {"Allow": error.allowed})
        case IdempotencyKeyInUse() | RateLimited():
            return _problem(error.code, retry_after(error.retry_after))
        case Busy() | Unavailable():
            return _problem("unavailable", retry_after(error.retry_after))
        case (
            NotFound() | RequestTimeout() | PayloadTooLarge() | TargetTooLong() | HeadersTooLarge()
        ):
            return _problem(error.code)
        case _:
            return _problem("internal")


def _field(field: str, code: str, message: str) -> Response:
    return _problem("invalid_fields", errors=[FieldError(field, code, message)])


def _problem(
    code: str, headers: dict[str, str] | None = None, errors: Sequence[FieldError] = ()
) -> Response:
    status, title, _ = PROBLEMS[code]
    content = {"type": TYPE.format(code), "title": title, "status": status, "code": code}
    listed = {"errors": [each._asdict() for each in errors]} if errors else {}
    return Response(status, orjson.dumps({**content, **listed}), PROBLEM_JSON, headers or {})
