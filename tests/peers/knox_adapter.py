"""The half of suite_adapter.py for the cases of django-rest-knox."""

import base64
import datetime
import functools
import json
import sys
import time
import types
from collections.abc import Iterator
from typing import Any

from django.http import HttpResponse
from django.test import override_settings
from django.urls import path
from suite_adapter import Now, no_option, not_askable, passwords, send, session_id, sessions, wait

APPS = ["rest_framework", "knox"]
SETTINGS: dict[str, Any] = {
    "REST_FRAMEWORK": {
        "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.BasicAuthentication"]
    }
}
NOT_ASKED = {"test_settings": "settings in the process", "test_crypto": "functions"}
TEN_HOURS = datetime.timedelta(hours=10)
SHORT = 2.0
"""Seconds that the tokens of the server "short" live."""


def _view(request: Any) -> HttpResponse:
    raise AssertionError("the server has this")


urlpatterns = [
    path("api/login/", _view, name="knox_login"),
    path("api/logout/", _view, name="knox_logout"),
    path("api/logoutall/", _view, name="knox_logoutall"),
    path("api/user/", _view, name="api-root"),
]


def adapt() -> None:
    """Put what asks the server in the place of the library's classes."""
    import knox.auth  # noqa: PLC0415  # needs the settings of Django
    import knox.models  # noqa: PLC0415
    import knox.signals  # noqa: PLC0415
    from django.contrib.auth.models import User  # noqa: PLC0415

    knox.models.AuthToken = types.SimpleNamespace(objects=Tokens())
    knox.models.get_expiry = lambda *_: not_askable("a function")
    knox.auth.TokenAuthentication = Authentication
    knox.signals.token_expired.connect = lambda *_: not_askable("a signal of Django")
    User.auth_token_set = property(lambda user: Tokens(user.account))
    frozen = types.ModuleType("freezegun")
    frozen.freeze_time = lambda *_: not_askable("the server's clock is set")
    sys.modules["freezegun"] = frozen
    override_settings.enable = functools.partialmethod(enable, override_settings.enable)
    override_settings.disable = functools.partialmethod(disable, override_settings.disable)


def enable(override: Any, of_django: Any) -> None:
    """Ask the server whose mount has the settings of a case as its options."""
    from knox.settings import DEFAULTS  # noqa: PLC0415

    given = override.options.get("REST_KNOX", {})
    changed = [name for name in given if given[name] != DEFAULTS[name]]
    if changed == ["USER_SERIALIZER"]:
        Now.variant = "user"
    elif changed:
        no_option(" ".join(changed))
    of_django(override)


def disable(override: Any, of_django: Any) -> None:
    """Ask the server without options again."""
    Now.variant = ""
    of_django(override)


class Token:
    """What a case sees of a token in the database: the session's public id stands for its keys."""

    def __init__(self, sid: str, user: Any, expiry: Any, **listed: str) -> None:
        self.digest, self.user, self.expiry = sid, user, expiry
        self.__dict__ |= listed

    def __getattr__(self, name: str) -> Any:
        not_askable("a column of the library's table")

    def __str__(self) -> str:  # noqa: PLE0307
        not_askable("the text of a model")


class Tokens:
    """The table of tokens: the sessions of the case's accounts."""

    def __init__(self, account: int | None = None, sid: str = "") -> None:
        self._account, self._sid = account, sid

    def create(self, user: Any, expiry: Any = TEN_HOURS, prefix: str = "") -> tuple[Token, str]:
        if prefix:
            no_option("TOKEN_PREFIX")
        if expiry not in (TEN_HOURS, datetime.timedelta(seconds=-1)):
            no_option("TOKEN_TTL of None" if expiry is None else "TOKEN_TTL of one token")
        Now.variant = "" if expiry == TEN_HOURS else "short"
        basic = base64.b64encode(f"{user.username}:{passwords[user.account]}".encode()).decode()
        _, _, body = send("POST", "/api/login/", headers={"Authorization": f"Basic {basic}"})
        if Now.variant:
            Now.variant, Now.ripe = "", time.time() + SHORT + 0.1
        content = json.loads(body)
        expires = datetime.datetime.fromisoformat(content["expiry"])
        return Token(session_id(content["token"]), user, expires), content["token"]

    def all(self) -> "Tokens":
        return self

    def __iter__(self) -> Iterator[Token]:
        accounts = [self._account] if self._account else list(passwords)
        for each in (each for account in accounts for each in sessions(account, "knox")):
            if self._sid in ("", each["id"]):
                expires = datetime.datetime.fromisoformat(each["expires"])
                yield Token(each["id"], None, expires, token_key=each["id"])

    def filter(self, user: Any = None, digest: str = "", expiry__isnull: bool = False) -> "Tokens":
        if expiry__isnull:
            no_option("TOKEN_TTL of None")
        return Tokens(user and user.account, digest)

    def count(self) -> int:
        return len([*self])

    def exists(self) -> bool:
        return self.count() > 0

    def first(self) -> Token:
        return next(iter(self))

    def get(self) -> Token:
        [found] = self
        return found


class Authentication:
    """The library's class, asked by requests to the endpoint that shows the user."""

    def authenticate(self, request: Any) -> Any:
        from rest_framework.exceptions import AuthenticationFailed  # noqa: PLC0415

        wait()
        headers = {"Authorization": request.META["HTTP_AUTHORIZATION"]}
        status, _, body = send("GET", "/api/user/", headers=headers)
        content = json.loads(body)
        if status == 200:
            return content, Token("", content, None)
        if content["detail"] == "Authentication credentials were not provided.":
            return None
        raise AuthenticationFailed(content["detail"])
