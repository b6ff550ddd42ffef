"""Shared by the dialects with JWTs: simplejwt's options, its errors, and how it finds the caller.

Contract: docs/contracts/simplejwt.md. `JwtOptions` are the options of a mount, and `authenticate`
finds the caller of `Authorization: Bearer <access token>`. A 401 is a `JwtError`, which has its
body and its challenge. The views are in handlers/dialects/drf_jwt_views.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from aiohttp import hdrs, web

from handlers.app_keys import ACCESS, ACCOUNTS, JWTS
from handlers.dialects import drf
from handlers.errors import BadHeader, MissingToken
from handlers.http.response import Response, json_response
from store.authentication import Caller
from store.errors import AppError, BadToken, BadValue, TokenProblem
from store.jwt_sessions import JwtRules
from store.session_record import JWT

CLAIMS = ("username", "email", "first_name", "last_name", "is_active", "is_staff", "is_superuser")
"""What a token may state of its account, besides the id."""
MAX_LIFETIME = 3650 * 86_400
MAX_GRACE = 300
BEARER = "Bearer"

WRONG_CREDENTIALS = "No active account found with the given credentials"
NO_ACCOUNT = "No active account found for the given token."
NOT_VALID = "Given token not valid for any token type"
NOT_FOUND = {"detail": "User not found", "code": "user_not_found"}
TWO_VALUES = "Authorization header must contain two space-delimited values"
BLACKLISTED = "Token is blacklisted"
WRONG_TYPE = "Token has wrong type"
MESSAGES = {
    TokenProblem.FORGED: "Token is invalid",
    TokenProblem.EXPIRED: "Token is expired",
    TokenProblem.REVOKED: BLACKLISTED,
    TokenProblem.REFRESH: WRONG_TYPE,
    TokenProblem.NOT_REFRESH: WRONG_TYPE,
}
"""The library's messages. A token of an account that is disabled has another response."""


@dataclass(frozen=True)
class JwtOptions:
    """The options of a mount with JWTs, as SIMPLE_JWT names them. Lifetimes are in seconds.

    See docs/contracts/simplejwt.md#options.
    """

    access_token_lifetime: int = 300
    refresh_token_lifetime: int = 86_400
    rotate_refresh_tokens: bool = False
    blacklist_after_rotation: bool = True
    rotation_grace: int = 10
    auth_header_types: tuple[str, ...] = (BEARER,)
    claims: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise BadValue for values that these endpoints cannot use."""
        check_header_types("auth-header-types", self.auth_header_types)
        if len({*self.claims} & {*CLAIMS}) < len(self.claims):
            raise BadValue(f"claims must be a list of these, each once: {', '.join(CLAIMS)}")
        if not 1 <= self.refresh_token_lifetime <= MAX_LIFETIME:
            raise BadValue(f"refresh-token-lifetime must be from 1 to {MAX_LIFETIME} seconds")
        if not 1 <= self.access_token_lifetime <= self.refresh_token_lifetime:
            raise BadValue("access-token-lifetime must be from 1 to refresh-token-lifetime")
        if self.rotation_grace > MAX_GRACE:
            raise BadValue(f"rotation-grace must be at most {MAX_GRACE} seconds")

    @cached_property
    def challenge(self) -> str:
        """The WWW-Authenticate header of a 401."""
        return challenge(self.auth_header_types[0])

    @cached_property
    def jwt_schemes(self) -> frozenset[str]:
        """The header types in lower case, as `Dialect.schemes` returns them."""
        return frozenset(each.lower() for each in self.auth_header_types)

    def jwt_rules(self, dialect: str) -> JwtRules:
        """Return the rules of a dialect's sessions."""
        return JwtRules(
            dialect,
            access_lifetime=self.access_token_lifetime,
            refresh_lifetime=self.refresh_token_lifetime,
            rotate=self.rotate_refresh_tokens,
            blacklist=self.blacklist_after_rotation,
            grace=self.rotation_grace,
            claims=self.claims,
        )

    def jwt_lifetimes(self) -> dict[str, int]:
        """Return the seconds that a session lives, as `Dialect.lifetimes` does."""
        return {JWT: self.refresh_token_lifetime}


def check_header_types(name: str, words: tuple[str, ...]) -> None:
    """Check the schemes of an Authorization header that an option has. Raises BadValue."""
    if not all(each.isascii() and each.isalnum() for each in words):
        raise BadValue(f"{name} must be words of letters and digits")


class JwtError(AppError):
    """A 401 in the words of simplejwt; `content` is its body, `challenge` its WWW-Authenticate."""

    code = "token_unknown"

    def __init__(self, code: str, content: Mapping[str, Any], challenge: str) -> None:
        super().__init__(content["detail"])
        self.code = code
        self.content = content
        self.challenge = challenge


def render_error(error: AppError) -> Response:
    """Return the response to an error: simplejwt's, and those of Django REST framework."""
    match error:
        case JwtError():
            return json_response(error.content, 401, {"WWW-Authenticate": error.challenge})
        case MissingToken() | BadHeader() | BadToken():
            return render_error(access_error(error, challenge(BEARER)))
        case _:
            return drf.render_error(error)


def challenge(header_type: str) -> str:
    """Return the WWW-Authenticate header that asks for a token of this type."""
    return f'{header_type} realm="api"'


def access_error(error: MissingToken | BadHeader | BadToken, challenge: str) -> JwtError:
    """Return the error of a request that needs an access token, or has one in its header."""
    content: dict[str, Any]
    match error:
        case MissingToken():
            content = {"detail": drf.NOT_PROVIDED}
        case BadHeader():
            content = {"detail": TWO_VALUES, "code": "bad_authorization_header"}
        case BadToken(problem=TokenProblem.INACTIVE):
            content = {"detail": "User is inactive", "code": "user_inactive"}
        case BadToken():
            message = {"token_class": "AccessToken", "token_type": "access"}
            message["message"] = MESSAGES[error.problem]
            content = {"detail": NOT_VALID, "code": "token_not_valid", "messages": [message]}
    return JwtError(error.code, content, challenge)


def field_error(error: BadToken, challenge: str) -> JwtError:
    """Return the error of a request that has a token among its fields."""
    if error.problem is TokenProblem.INACTIVE:
        return JwtError(error.code, {"detail": NO_ACCOUNT}, challenge)
    content = {"detail": MESSAGES[error.problem], "code": "token_not_valid"}
    return JwtError(error.code, content, challenge)


def find_token(request: web.Request, options: JwtOptions) -> str | None:
    """Return the token of the Authorization header, None without one or with another scheme.

    The case of the scheme counts. Raises JwtError.
    """
    parts = request.headers.get(hdrs.AUTHORIZATION, "").split()
    if not parts or parts[0] not in options.auth_header_types:
        return None
    if len(parts) != 2:
        raise access_error(BadHeader(spaces=len(parts) > 2), options.challenge)
    return parts[1]


def missing_token(options: JwtOptions) -> JwtError:
    """Return the error of a request that needs an access token and has none."""
    return access_error(MissingToken(), options.challenge)


async def authenticate(request: web.Request, options: JwtOptions, token: str) -> Caller:
    """Return the caller of an access token. Raises JwtError."""
    try:
        if "." not in token:  # an opaque token
            raise BadToken(TokenProblem.FORGED)
        return await request.app[ACCESS].authenticate(token)
    except BadToken as error:
        if error.problem is TokenProblem.REVOKED and await is_deleted(request, token):
            raise JwtError(error.code, NOT_FOUND, options.challenge) from None
        raise access_error(error, options.challenge) from None


async def is_deleted(request: web.Request, token: str) -> bool:
    """Return whether the account that a token states does not exist."""
    account_id = request.app[JWTS].account_id_of(token)
    return account_id is not None and await request.app[ACCOUNTS].get(account_id) is None
