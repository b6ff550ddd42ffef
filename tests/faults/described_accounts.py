"""Accounts and tokens for what schemathesis sends. It loads this into its own process.

Tokens come from the paths without a dialect's name, which schemathesis itself does not ask.
"""

import http.client
import itertools
import json
import os
import re
import traceback
from typing import Any

import hypothesis
import requests
import schemathesis
from requests.structures import CaseInsensitiveDict
from schemathesis.specs.openapi.checks import unsupported_method

PORT = int(os.environ["DESCRIBED_PORT"])
RUN = os.environ["DESCRIBED_RUN"]
PASSWORD = "correct horse"
BAD = f"Token {'0' * 40}"
ENDING = ("/logout", "/delete", "PUT ", "DELETE ", "/deletion")
"""What may end the session it is asked with, and so needs a new one each time."""

_numbers = itertools.count()
_asked = itertools.count(1)
_tokens: dict[str, str] = {}
_again: list[Any] = []
_session = requests.Session()


def new_fields() -> dict[str, str]:
    name = f"described-{RUN}-{next(_numbers)}"
    return {"username": name, "email": f"{name}@example.com", "password": PASSWORD}


def register(path: str) -> tuple[dict[str, str], dict[str, Any]]:
    """Make an account; return its fields and the answer."""
    fields = new_fields()
    if path == "/api/auth/register/":
        del fields["username"]  # with one it would be wicare's
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
    try:
        kind = {"Content-Type": "application/json"}
        connection.request("POST", path, json.dumps(fields), kind)
        return fields, json.loads(connection.getresponse().read())
    finally:
        connection.close()


KNOWN, _ = register("/account/register")
LOGINS = "/(login|api-token-auth|simplejwt/api/token)/?$"


def refresh_token() -> str:
    """Return a JWT of another login."""
    url = f"http://127.0.0.1:{PORT}/at/simplejwt/api/token/"
    token: str = requests.post(url, json=KNOWN, timeout=30).json()["refresh"]
    return token


def token_for(operation: str) -> str:
    if "/fardel/" in operation:
        _, answer = register("/api/auth/register/")
        return answer["refresh_token" if "refresh" in operation else "access_token"]
    return register("/account/register")[1]["token"]


@schemathesis.auth(refresh_interval=None)
class Tokens:
    """Gives nine requests in ten a good token; the tenth has none."""

    def get(self, case: Any, context: Any) -> str | None:
        operation = case.operation.label
        if next(_asked) % 10 == 0:
            return None
        if any(word in operation for word in ENDING):
            return token_for(operation)
        if operation not in _tokens:
            _tokens[operation] = token_for(operation)
        return _tokens[operation]

    def set(self, case: Any, data: str | None, context: Any) -> None:
        if data:
            scheme = "Token" if "/knox/" in case.operation.label else "Bearer"
            case.headers["Authorization"] = f"{scheme} {data}"


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Let every other login and look-up find an account, and every other registration none."""
    if _again or not case.meta.generation.mode.is_positive or next(_asked) % 2:
        return
    operation = case.operation.label
    if "id" in case.path_parameters:
        case.path_parameters["id"] = "current" if "/latchkey/" in operation else 1
    elif isinstance(case.body, dict) and re.search(LOGINS, operation):
        case.body = {name: KNOWN[name] for name in case.body if name in KNOWN}
    elif isinstance(case.body, dict) and re.search("token/(refresh|verify|blacklist)/$", operation):
        case.body = dict.fromkeys(case.body, refresh_token())
    elif isinstance(case.body, dict) and operation == "POST /latchkey/v1/sessions":
        case.body = {**case.body, "login": KNOWN["username"], "password": PASSWORD}
    elif isinstance(case.body, dict) and "/latchkey/v1/account/" in f"{operation}/":
        right = {"password": PASSWORD, "current": PASSWORD}
        case.body = {name: right.get(name, value) for name, value in case.body.items()}
    elif isinstance(case.body, dict) and re.search("/(register|users|accounts)/?$", operation):
        new = new_fields()
        case.body = {name: new.get(name, value) for name, value in case.body.items()}


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Ask the same again without a token, and with a bad one; hold these answers, too.

    A bad token is looked at before the method.
    """
    if _again:
        return
    _again.append(case)
    headers = {name: value for name, value in case.headers.items() if name != "Authorization"}
    try:
        for brought in ({}, {"Authorization": BAD}):
            asked = case.derive(headers=CaseInsensitiveDict({**headers, **brought}))
            asked.call_and_validate(session=_session, excluded_checks=[unsupported_method])
    except BaseException:
        traceback.print_exc()  # schemathesis counts what fails here, and shows nothing of it
        raise
    finally:
        _again.clear()


def _no_target(*_: object, **__: object) -> None:
    """Let Hypothesis not climb towards answers of 200: half of the time would go into that."""


hypothesis.target = _no_target
