"""The half of suite_adapter.py for the cases of Django REST framework about `authtoken`."""

import importlib
import json
from typing import Any

from suite_adapter import aliases, not_askable, passwords, paths, send, service

APPS = ["rest_framework", "rest_framework.authtoken", "django.contrib.admin"]
APPS += ["django.contrib.sessions", "django.contrib.messages", "tests.authentication"]
SETTINGS: dict[str, Any] = {
    "TEMPLATES": [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
}
NOT_ASKED = {
    "SessionAuthTests": "another scheme",
    "RemoteUserAuthenticationUnitTests": "another scheme",
    "IncorrectCredentialsTests": "classes of the framework",
    "FailingAuthAccessedInRenderer": "classes of the framework",
    "NoAuthenticationClassesTests": "classes of the framework",
    "BasicAuthenticationUnitTests": "classes of the framework",
    "test_deleting_the_proxy_revokes_the_token": "models and the admin of Django",
    "test_whitespace_in_password": "",
    "test_authtoken": "models and the admin of Django",
}
urlpatterns: list[Any] = []


def adapt() -> None:
    """Put what asks the server in the place of the library's classes."""
    models = importlib.import_module("rest_framework.authtoken.models")
    serializers = importlib.import_module("rest_framework.authtoken.serializers")
    custom = importlib.import_module("tests.authentication.models")
    models.Token.objects.__class__.create = create
    models.Token.generate_key = lambda *_: not_askable("a function")
    custom.CustomToken.objects.__class__.create = create
    serializers.AuthTokenSerializer = Serializer
    # A view behind the token, and one behind HTTP Basic: any endpoint is.
    paths.update(dict.fromkeys(("/token/", "/customtoken/", "/customkeywordtoken/"), "/verify"))
    paths.update({"/auth-token/": "/api-token-auth/", "/basic/": "/knox/login/"})


def create(manager: Any, user: Any, key: str = "") -> Any:
    """Log in; the key of the case stands for the token."""
    account = f"/internal/accounts/{user.account}"
    fields = {"username": user.username, "password": passwords[user.account]}
    if not user.is_active:
        service("PATCH", account, {"is_active": True})
    status, _, body = send("POST", "/api-token-auth/", fields)
    assert status == 200, body
    if not user.is_active:
        service("PATCH", account, {"is_active": False})
    token = json.loads(body)["token"]
    if key:
        aliases[key] = token
    made = manager.model(key=key or token, user=user)
    made.save(force_insert=True)
    return made


class Serializer:
    """The serializer of a login: the endpoint that has it."""

    def __init__(self, data: Any = None) -> None:
        self._data = data

    def is_valid(self) -> bool:
        return send("POST", "/api-token-auth/", self._data)[0] == 200

    def validate(self, data: Any) -> None:
        not_askable("a method")
