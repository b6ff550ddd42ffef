"""simplejwt's endpoints as rows: the texts of docs/contracts/simplejwt.md, and tokens to send.

djoser has three of the endpoints, at other paths; its tests use the same rows.
"""

import json
import time
from typing import Any

import jwt

from tests.handlers.contract import JSON, Row
from tests.handlers.dialects.drf_messages import BLANK, NOT_A_STRING, NULL, REQUIRED, not_an_object

KEY = "the-signing-key-of-the-old-back-end-and-long-enough-for-HS512-as-well"
PASSWORD = "Difference-Engine-1822"
CREDENTIALS = {"username": "ada", "password": PASSWORD}

CREATE, REFRESH = "POST /api/token", "POST /api/token/refresh"
VERIFY, BLACKLIST = "POST /api/token/verify", "POST /api/token/blacklist"
FIELDS = {REFRESH: "refresh", VERIFY: "token", BLACKLIST: "refresh"}
"""The one field of each endpoint that takes a token."""

BEARER = {"WWW-Authenticate": 'Bearer realm="api"'}
NO_CHALLENGE = {"WWW-Authenticate": None}
WRONG = {"detail": "No active account found with the given credentials"}
NO_ACCOUNT = {"detail": "No active account found for the given token."}
IS_BLACKLISTED = {"non_field_errors": ["Token is blacklisted"]}
TWO_VALUES = {
    "detail": "Authorization header must contain two space-delimited values",
    "code": "bad_authorization_header",
}
USER_NOT_FOUND = {"detail": "User not found", "code": "user_not_found"}
USER_INACTIVE = {"detail": "User is inactive", "code": "user_inactive"}
INVALID, EXPIRED = "Token is invalid", "Token is expired"
BLACKLISTED, WRONG_TYPE = "Token is blacklisted", "Token has wrong type"
ISSUED = {"refresh": "<refresh = jwt>", "access": "<access = jwt>"}
NUL = ["Null characters are not allowed."]


def not_valid(message: str) -> dict[str, str]:
    return {"detail": message, "code": "token_not_valid"}


def no_access(message: str) -> dict[str, Any]:
    """Return the body of a 401 for a token in the Authorization header."""
    messages = [{"token_class": "AccessToken", "token_type": "access", "message": message}]
    return {
        "detail": "Given token not valid for any token type",
        "code": "token_not_valid",
        "messages": messages,
    }


def log_in(response: Any = ISSUED, **fields: str) -> Row:
    return Row(CREATE, {**CREDENTIALS, **fields}, 200, response)


def send(request: str, token: str, status: int = 200, response: Any = None) -> Row:
    """Send a token to one of the endpoints that take one; a 401 has the challenge."""
    returned = BEARER if status == 401 else NO_CHALLENGE
    response = {} if response is None else response
    return Row(request, {FIELDS[request]: token}, status, response, {}, returned)


def refused(request: str, token: str, message: str) -> Row:
    return send(request, token, 401, not_valid(message))


def bearer(name: str = "<access>", scheme: str = "Bearer") -> dict[str, str]:
    return {"Authorization": f"{scheme} {name}"}


def claims_of(token: str) -> dict[str, Any]:
    """Return the claims of a token that KEY has signed, as PyJWT reads them."""
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}
    claims: dict[str, Any] = jwt.decode(token, KEY, ["HS256"])
    return claims


def signed(claims: Any, key: str = KEY, **header: Any) -> str:
    """Return a token of any claims, or of text where a test needs JSON that no library makes."""
    body = claims if isinstance(claims, str) else json.dumps(claims)
    return jwt.PyJWS().encode(body.encode(), key, "HS256", header)


def changed(token: str, **changes: Any) -> str:
    """Return a token with other claims, signed by KEY; a claim of None is left out."""
    claims = {**claims_of(token), **changes}
    return signed({name: value for name, value in claims.items() if value is not None})


def expired(token: str) -> str:
    return changed(token, exp=int(time.time()) - 1)


def field_rows(request: str, *names: str) -> list[Row]:
    """Return what is wrong with the fields of a body, each time with all of them."""
    cases: list[tuple[Any, list[str]]] = [
        ({}, REQUIRED),
        (dict.fromkeys(names, ""), BLANK),
        (dict.fromkeys(names, " \n"), BLANK),
        (dict.fromkeys(names), NULL),
        *[(dict.fromkeys(names, value), NOT_A_STRING) for value in (True, [], {})],
        (dict.fromkeys(names, "a\0"), NUL),
    ]
    rows = [Row(request, body, 400, dict.fromkeys(names, text)) for body, text in cases]
    rows.append(Row(request, None, 400, dict.fromkeys(names, REQUIRED)))
    for body, kind in (([], "list"), ("x", "str"), (1, "int"), (1.5, "float"), (True, "bool")):
        rows.append(Row(request, json.dumps(body).encode(), 400, not_an_object(kind), JSON))
    return rows
