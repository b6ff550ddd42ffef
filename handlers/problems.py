"""Errors of the dialect latchkey and of /internal: RFC 9457 problem details with a stable code.

Contract: docs/contracts/latchkey.md#errors. The codes are in handlers/problem_codes.py.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

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
from handlers.problem_codes import PROBLEMS
from store.errors import (
    AccountExists,
    AppError,
    BadCredentials,
    BadIdToken,
    BadPasskey,
    BadPicture,
    BadToken,
    Busy,
    ChallengeInvalid,
    CursorExpired,
    EmailNotVerified,
    FactorExists,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    IdentityTaken,
    Inactive,
    LastWayIn,
    LinkExpired,
    LinkInvalid,
    NoFactor,
    NoSuchPicture,
    PictureProblem,
    RateLimited,
    SecondFactorRequired,
    Taken,
    TokenProblem,
    TooManyPasskeys,
    Unavailable,
    UnknownProvider,
    Unstorable,
    WrongCode,
    WrongPassword,
)

PROBLEM_JSON = "application/problem+json"
TYPE = "/docs/errors#{}"
"""The `type` of a problem: a page of this server, relative as RFC 9457, 3.1.1 allows."""

BEARER = {"WWW-Authenticate": "Bearer"}


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
        case SecondFactorRequired():
            more: dict[str, Any] = {"methods": list(error.methods)}
            if error.challenge:
                more["challenge"] = error.challenge
            return _problem(error.code, BEARER, more=more)
        case ChallengeInvalid():
            return _problem(error.code, BEARER)
        case CursorExpired() | IdempotencyKeyReused():
            return _problem(error.code)
        case Inactive() | EmailNotVerified() | WrongPassword() | LinkInvalid() | LinkExpired():
            return _problem(error.code)
        case BadPasskey():
            return _field("credential", "invalid", "This passkey was not accepted.")
        case UnknownProvider():
            return _field("provider", "invalid", "This server has no such provider.")
        case BadIdToken() | AccountExists() | IdentityTaken() | LastWayIn():
            return _problem(error.code)
        case WrongCode() | NoFactor() | FactorExists() | TooManyPasskeys():
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
    code: str,
    headers: dict[str, str] | None = None,
    errors: Sequence[FieldError] = (),
    more: Mapping[str, Any] | None = None,
) -> Response:
    status, title, _ = PROBLEMS[code]
    content = {"type": TYPE.format(code), "title": title, "status": status, "code": code}
    listed = {"errors": [each._asdict() for each in errors]} if errors else {}
    return Response(
        status, orjson.dumps({**content, **listed, **(more or {})}), PROBLEM_JSON, headers or {}
    )
