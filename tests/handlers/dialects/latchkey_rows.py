"""What the tests of latchkey begin with: its shapes and its errors."""

from typing import Any

from handlers.problem_codes import PROBLEMS
from tests.handlers.contract import Row

PASSWORD = "Analytical-Engine-1843"
ADA = {"username": "ada", "email": "ada@example.org", "password": PASSWORD}
PHONE, TABLET = "Ada's phone", "Tablet"


def account(**changed: Any) -> dict[str, Any]:
    """Return an account as responses show it: Ada's, unless changed."""
    return {
        "id": 1,
        "username": "ada",
        "email": "ada@example.org",
        "email_verified": False,
        "first_name": None,
        "last_name": None,
        "picture": None,
        "created": "<seconds>",
        "last_login": "<seconds>",
        **changed,
    }


def session(
    device: str | None = PHONE, session_id: str = "<16 hex>", **changed: Any
) -> dict[str, Any]:
    return {
        "id": session_id,
        "dialect": "latchkey",
        "kind": "device",
        "device": device,
        "created": "<seconds>",
        "last_used": "<seconds>",
        "expires": "<seconds>",
        "current": True,
        **changed,
    }


def register(fields: dict[str, Any] = ADA, issued: str = "<token = 64 hex>", **more: Any) -> Row:
    """Register on the phone."""
    content = {
        "account": account(**more.pop("account", {})),
        "session": session(**more.pop("session", {})),
        "token": issued,
    }
    return Row(
        "POST /v1/accounts",
        {**fields, "device": PHONE},
        201,
        content,
        returned={"Location": "/v1/account"},
        **more,
    )


def log_in(
    login: str = "ada", device: str = TABLET, issued: str = "<other = 64 hex>", **more: Any
) -> Row:
    content = {
        "account": account(**more.pop("account", {})),
        "session": session(device, **more.pop("session", {})),
        "token": issued,
    }
    fields = {"login": login, "password": more.pop("password", PASSWORD), "device": device}
    return Row("POST /v1/sessions", fields, 201, content, **more)


def bearer(name: str = "<token>", scheme: str = "Bearer") -> dict[str, str]:
    return {"Authorization": f"{scheme} {name}"}


def problem(
    request: str,
    body: Any,
    code: str,
    *fields: tuple[str, str],
    headers: dict[str, str] | None = None,
    **returned: str | None,
) -> Row:
    """Return a request that is an error; `fields` are the codes of its fields."""
    status, title, _ = PROBLEMS[code]
    content: dict[str, Any] = {
        "type": f"/docs/errors#{code}",
        "title": title,
        "status": status,
        "code": code,
    }
    if fields:
        content["errors"] = [
            {"field": field, "code": what, "message": "<text>"} for field, what in fields
        ]
    challenge = {"WWW-Authenticate": "Bearer" if status == 401 else None}
    return Row(
        request,
        body,
        status,
        content,
        headers or {},
        {**challenge, **returned},
        "application/problem+json",
    )
