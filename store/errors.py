"""Errors that the store raises on purpose. They carry facts, not wording or HTTP status.

Each dialect renders them in its one `render_error`. Any other exception is a bug: it is logged, and
the response is a 500 without details.
"""

import enum
from collections.abc import Sequence


class AppError(Exception):
    """The request failed for a reason that the client may learn.

    `code` names the kind of error in metrics, traces and logs. Codes are stable: class names may
    change. docs/metrics.md lists them.
    """

    code = "refused"


class Taken(AppError):
    """An account with this username, e-mail or both exists already."""

    code = "taken"

    def __init__(self, fields: frozenset[str]) -> None:
        super().__init__(", ".join(sorted(fields)))
        self.fields = fields


class BadCredentials(AppError):
    """The account is unknown or the password is wrong. No response may show which."""

    code = "invalid_credentials"


class Inactive(AppError):
    """The credentials are right, and the account has been disabled."""

    code = "account_disabled"


class EmailNotVerified(AppError):
    """The credentials are right, and the account is not activated or its address not verified.

    An address must be verified if REQUIRE_VERIFIED_EMAIL is on.
    """

    code = "email_not_verified"


class WrongPassword(AppError):
    """A caller who is logged in gave a wrong current password."""

    code = "wrong_password"


class SecondFactorRequired(AppError):
    """The password is right, or the link, and the account's second factor is required as well.

    `methods` are those that the account has. With `challenge` a login can be continued; "" if it
    must be repeated with a code.
    """

    code = "second_factor_required"

    def __init__(self, methods: Sequence[str], challenge: str = "") -> None:
        super().__init__(", ".join(methods))
        self.methods = methods
        self.challenge = challenge


class ChallengeInvalid(AppError):
    """The challenge of a login was not made here, or is too old, or its account has changed."""

    code = "challenge_invalid"


class WrongCode(AppError):
    """The code is none of the authenticator app's or recovery codes, or was used before."""

    code = "wrong_code"


class NoFactor(AppError):
    """The account has no second factor, or none that waits to be confirmed."""

    code = "no_second_factor"


class FactorExists(AppError):
    """The account has a second factor already."""

    code = "second_factor_exists"


class BadPasskey(AppError):
    """What a client has made of a registration's options is not accepted; the text says why."""

    code = "invalid_passkey"


class TooManyPasskeys(AppError):
    """The account has as many passkeys as it may have."""

    code = "too_many_passkeys"


class BadIdToken(AppError):
    """The ID token of a provider is not accepted; the text says why."""

    code = "invalid_id_token"


class UnknownProvider(AppError):
    """No OpenID provider of this name is configured."""

    code = "unknown_provider"


class AccountExists(AppError):
    """An account has the address of an ID token, which alone must not log in to it."""

    code = "account_exists"


class IdentityTaken(AppError):
    """The identity is linked to another account, or the account to another identity."""

    code = "identity_taken"


class LastWayIn(AppError):
    """Without this identity, nobody could log in to the account."""

    code = "last_way_in"


class TokenProblem(enum.Enum):
    """Why a token is not accepted."""

    FORGED = "never made by this server"
    EXPIRED = "its session has expired"
    REVOKED = "its session was ended"
    INACTIVE = "its account has been disabled"
    REFRESH = "its session only refreshes, and this request needs one that gives access"
    NOT_REFRESH = "its session gives access, and this request needs one that refreshes"


_TOKEN_CODES = {
    TokenProblem.FORGED: "token_unknown",
    TokenProblem.EXPIRED: "token_expired",
    TokenProblem.REVOKED: "token_revoked",
    TokenProblem.INACTIVE: "account_disabled",
    TokenProblem.REFRESH: "token_unknown",
    TokenProblem.NOT_REFRESH: "token_unknown",
}


class BadToken(AppError):
    """The token has no live session of a kind that allows this request."""

    def __init__(self, problem: TokenProblem) -> None:
        super().__init__(problem.value)
        self.problem = problem
        self.code = _TOKEN_CODES[problem]


class LinkInvalid(AppError):
    """The token of a link was not made here, or its account has changed since, or was used."""

    code = "link_invalid"


class LinkExpired(AppError):
    """The token of a link is genuine, and its time has passed."""

    code = "link_expired"


class Unstorable(AppError):
    """The value of `field` cannot be stored: NUL, a lone surrogate, or too long."""

    code = "invalid_fields"

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


class NoSuchPicture(AppError):
    """The gallery has no picture of this id."""

    code = "not_found"


class CursorExpired(AppError):
    """Events after this cursor were deleted because of their age."""

    code = "cursor_expired"

    def __init__(self) -> None:
        super().__init__("events after this cursor were deleted because of their age")


class PictureProblem(enum.Enum):
    """Why a file is not accepted as a picture."""

    UNKNOWN_FORMAT = "not in a supported format"
    DAMAGED = "damaged or cut off"
    HEIF = "HEIC or AVIF, which are not supported"
    PIXELS = "too many pixels"
    ANIMATION = "too long an animation"
    COSTLY = "takes too much time or memory to decode"


class BadPicture(AppError):
    """The file is not accepted as a picture. `limit` is the maximum number of pixels."""

    code = "invalid_picture"

    def __init__(self, problem: PictureProblem, limit: int) -> None:
        super().__init__(problem.value)
        self.problem = problem
        self.limit = limit


class Busy(AppError):
    """The server is overloaded. The client may try again after `retry_after` seconds."""

    code = "busy"

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"retry after {retry_after:.1f} s")
        self.retry_after = retry_after


class Disconnected(Busy):
    """The client disconnected before its turn. It receives no response."""

    code = "client_disconnected"

    def __init__(self) -> None:
        super().__init__(0.0)


class RateLimited(AppError):
    """A rate limit was reached. The client may try again after `retry_after` seconds."""

    code = "rate_limited"

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"retry after {retry_after:.0f} s")
        self.retry_after = retry_after


class Unavailable(AppError):
    """A store cannot be reached, or is up and cannot serve. Never rendered as a bad token."""

    code = "unavailable"

    retry_after = 1.0

    def __init__(self, store: str, reason: str) -> None:
        super().__init__(f"{store}: {reason}")
        self.store = store


class StaleEpoch(AppError):
    """A session was to be opened under an epoch older than that of the account's open session."""

    code = "stale_epoch"

    def __init__(self, epoch: int) -> None:
        super().__init__(str(epoch))
        self.epoch = epoch


class IdempotencyKeyReused(AppError):
    """The service has sent another request with this Idempotency-Key."""

    code = "idempotency_key_reused"


class IdempotencyKeyInUse(AppError):
    """The request with this Idempotency-Key is still being processed."""

    code = "idempotency_key_in_use"

    retry_after = 1.0


class BadValue(ValueError):
    """A setting's value is invalid. The text says why, and contains no part of the value."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, or its class name when the text is empty."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
