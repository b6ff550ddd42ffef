"""Who sends a request: `/verify`, which the integrations use, and introspection.

Contract: docs/contracts/service.md.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote

import httpx

from latchkey_client.calls import Call, content_of, unexpected

SCHEMES = frozenset({"bearer", "token"})
_TOKEN = re.compile(r"[!-~]{1,1024}")


@dataclass(frozen=True, slots=True)
class Identity:
    """The account of a valid token, and the session. An account may have no username or e-mail."""

    id: int
    username: str | None
    email: str | None
    email_verified: bool
    is_staff: bool
    is_superuser: bool
    session_id: str
    """The public id of the session, with which it can be ended. It is not secret."""
    session_dialect: str
    session_kind: str


@dataclass(frozen=True, slots=True)
class TokenStatus:
    """What introspection (RFC 7662) says of an active token. Times are in UTC."""

    account_id: int
    username: str | None
    email: str | None
    email_verified: bool
    session_id: str
    session_dialect: str
    session_kind: str
    opened: datetime
    expires: datetime
    """When the session ends unless it is used again."""


def token_of(authorization: str | None) -> str | None:
    """Return the token of an Authorization header, None if it has none.

    The scheme is `Bearer` or `Token`, in any case. A header of another scheme has no token.
    """
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() in SCHEMES else None


def is_possible(token: str) -> bool:
    """Return whether a header can carry this token. Another one is not sent: it is not valid."""
    return _TOKEN.fullmatch(token) is not None


def verification(token: str) -> Call[Identity | None]:
    """Return the call that authenticates a token; its result is None if the token is not valid."""
    return Call("GET", "/verify", _read_identity, token=token, repeatable=True)


def introspection(token: str) -> Call[TokenStatus | None]:
    """Return the call that introspects a token; its result is None if the token is not active."""
    return Call(
        "POST", "/internal/introspect", _read_status, form={"token": token}, repeatable=True
    )


def _read_identity(response: httpx.Response) -> Identity | None:
    """Read a response of /verify. Only its 401 means that there is no user, not a proxy's own."""
    headers = response.headers
    scheme = headers.get("WWW-Authenticate", "").partition(" ")[0].lower()
    if response.status_code == 401 and scheme in SCHEMES:
        return None
    if response.status_code != 200 or not headers.get("X-Account-Id", "").isdecimal():
        raise unexpected(response)
    return Identity(
        id=int(headers["X-Account-Id"]),
        username=_text(headers, "X-Account-Username"),
        email=_text(headers, "X-Account-Email"),
        email_verified="X-Account-Email-Verified" in headers,
        is_staff="X-Account-Staff" in headers,
        is_superuser="X-Account-Superuser" in headers,
        session_id=headers.get("X-Session-Id", ""),
        session_dialect=headers.get("X-Session-Dialect", ""),
        session_kind=headers.get("X-Session-Kind", ""),
    )


def _text(headers: Mapping[str, str], name: str) -> str | None:
    return unquote(headers[name]) if name in headers else None


def _read_status(response: httpx.Response) -> TokenStatus | None:
    found = content_of(response)
    if not found["active"]:
        return None
    return TokenStatus(
        account_id=int(found["sub"]),
        username=found.get("username"),
        email=found.get("email"),
        email_verified=found["email_verified"],
        session_id=found["sid"],
        session_dialect=found["dialect"],
        session_kind=found["kind"],
        opened=datetime.fromtimestamp(found["iat"], UTC),
        expires=datetime.fromtimestamp(found["exp"], UTC),
    )
