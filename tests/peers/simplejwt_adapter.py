"""The half of suite_adapter.py for the cases of Simple JWT for Django REST framework.

The tokens that a case makes itself are those of an old back end: the server has its signing key,
and the move is yet to come. Without an account in it, such a token is one of the case's account.
"""

import datetime
import importlib
import json
import sys
import time
import types
from typing import Any

from suite_adapter import (
    UNUSED_PASSWORD,
    Now,
    no_option,
    not_askable,
    passwords,
    paths,
    send,
    service,
)

APPS = ["rest_framework", "rest_framework_simplejwt", "rest_framework_simplejwt.token_blacklist"]
SETTINGS: dict[str, Any] = {
    "SIMPLE_JWT": {"USER_ID_FIELD": "account", "BLACKLIST_AFTER_ROTATION": True}
}
TABLES, CLOCK = "a column of the library's table", "the server's clock is set"
NOT_ASKED = {
    "test_authentication": "classes of the framework",
    "test_backends": "functions",
    "test_init": "functions",
    "test_migrations": "models and the admin of Django",
    "test_models": "models and the admin of Django",
    "test_token_blacklist": TABLES,
    "test_tokens": "functions",
    "test_utils": "functions",
    "TestCustomTokenView": "classes of the framework",
    "TestTokenViewBase": "classes of the framework",
    "test_blacklist_app_not_installed_should_pass": "settings in the process",
    "test_it_should_blacklist_refresh_token_if_everything_ok": TABLES,
    "test_it_should_blacklist_refresh_token_if_tokens_should_be_rotated_and_blacklisted": TABLES,
    "test_it_should_return_access_token_for_active_users": CLOCK,
    "test_it_should_return_access_token_if_everything_ok": CLOCK,
    "test_it_should_return_refresh_token_if_tokens_should_be_rotated": CLOCK,
    "test_update_last_login": TABLES,
}
SHORT = 1.0
"""Seconds that the access tokens of the server "short" live."""
urlpatterns: list[Any] = []
PAIR, REFRESH = "/api/token/", "/api/token/refresh/"
VERIFY, BLACKLIST = "/api/token/verify/", "/api/token/blacklist/"


def adapt() -> None:
    """Put what asks the server in the place of the library's classes."""
    serializers = importlib.import_module("rest_framework_simplejwt.serializers")
    tokens = importlib.import_module("rest_framework_simplejwt.tokens")
    from django.contrib.auth.models import User  # noqa: PLC0415  # needs the settings of Django
    from django.test.client import ClientHandler  # noqa: PLC0415

    # Any endpoint is behind the token; `foo` is what the view of the cases returns.
    paths.update(
        {
            "/token/pair/": PAIR,
            "/token/refresh/": REFRESH,
            "/token/verify/": VERIFY,
            "/token/blacklist/": BLACKLIST,
            "/test-view/": "/djoser/auth/users/me/",
        }
    )
    urlpatterns.extend(importlib.import_module("tests.urls").urlpatterns)
    for name, imported in (("freezegun", "freeze_time"), ("jose", "jwt")):  # of cases not asked
        sys.modules[name] = types.ModuleType(name)
        setattr(sys.modules[name], imported, lambda *_: not_askable(CLOCK))
    of_adapter, new = ClientHandler.__call__, tokens.Token.__init__

    def ask(handler: Any, environ: dict[str, Any]) -> Any:
        choose_server(environ["PATH_INFO"])
        response = of_adapter(handler, environ)
        if Now.variant == "short":
            Now.ripe = time.time() + SHORT + 1
        Now.variant = ""
        if environ["PATH_INFO"] == "/test-view/" and response.status_code == 200:
            response.data["foo"] = "bar"
        return response

    def init(token: Any, text: Any = None, verify: bool = True) -> None:
        new(token, text, verify)
        if text is None:
            token["user_id"] = str(next(reversed(passwords), None) or create_account())

    ClientHandler.__call__ = ask
    tokens.Token.__init__ = init
    for name, path in (
        ("TokenObtainSerializer", PAIR),
        ("TokenObtainPairSerializer", PAIR),
        ("TokenRefreshSerializer", REFRESH),
        ("TokenVerifySerializer", VERIFY),
        ("TokenBlacklistSerializer", BLACKLIST),
    ):
        setattr(serializers, name, type(name, (Serializer,), {"path": path}))
    for name in ("TokenObtainSlidingSerializer", "TokenRefreshSlidingSerializer"):
        setattr(serializers, name, SlidingSerializer)
    User.delete = delete


def create_account() -> int:
    """Create the account of a case that has none."""
    fields = {"username": "anyone", "password": UNUSED_PASSWORD}
    account: int = service("POST", "/internal/accounts", fields)["id"]
    passwords[account] = UNUSED_PASSWORD
    return account


def delete(user: Any) -> None:
    """Delete the account of a user of the case."""
    service("DELETE", f"/internal/accounts/{user.account}")
    del passwords[user.account]


def choose_server(path: str) -> None:
    """Ask the server whose mount has the settings of the case as its options."""
    from rest_framework_simplejwt.settings import api_settings  # noqa: PLC0415
    from rest_framework_simplejwt.tokens import AccessToken  # noqa: PLC0415

    if "/sliding/" in path:
        no_option("sliding tokens")
    if api_settings.UPDATE_LAST_LOGIN:
        no_option("UPDATE_LAST_LOGIN")
    if not api_settings.CHECK_USER_IS_ACTIVE:
        no_option("CHECK_USER_IS_ACTIVE")
    if not AccessToken.lifetime:
        Now.variant = "short"
    elif AccessToken.lifetime != datetime.timedelta(minutes=5):
        not_askable("settings in the process")


class Serializer:
    """A serializer of the library: the endpoint that has it."""

    path = ""
    username_field = "username"

    def __init__(self, data: Any = None, context: Any = None) -> None:
        self._data = data
        self.errors: Any = {}
        self.validated_data: Any = {}

    def is_valid(self) -> bool:
        from rest_framework.exceptions import AuthenticationFailed  # noqa: PLC0415
        from rest_framework_simplejwt.exceptions import TokenError  # noqa: PLC0415

        choose_server(self.path)
        status, _, body = send("POST", self.path, self._data)
        content = json.loads(body)
        if status == 401:
            raised = TokenError if content.get("code") else AuthenticationFailed
            raise raised(content["detail"])
        self.errors = content if status == 400 else {}
        self.validated_data = content
        return status == 200


class SlidingSerializer(Serializer):
    """A serializer of sliding tokens, which are both access and refresh tokens."""

    def __init__(self, **_: Any) -> None:
        no_option("sliding tokens")
