"""The half of suite_adapter.py for the cases of dj-rest-auth.

A case's settings of the library, of django-allauth and of Django become options. Each request goes
to the server whose mount has them. Mails that the server has written are those of Django's outbox.
"""

import importlib
import os
import re
import sys
import time
import types
from email import message_from_bytes
from pathlib import Path
from typing import Any

from django.conf import settings as of_django
from django.core import mail
from django.http import HttpResponse
from suite_adapter import URLS, Now, no_option, passwords, paths, send, service

APPS = [
    "django.contrib.messages",
    "django.contrib.admin",
    "django.contrib.sessions",
    "django.contrib.sites",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.facebook",
    "allauth.socialaccount.providers.twitter",
    "rest_framework",
    "rest_framework.authtoken",
    "dj_rest_auth",
    "dj_rest_auth.registration",
    "dj_rest_auth.mfa",
    "rest_framework_simplejwt.token_blacklist",
]
SESSION = "rest_framework.authentication.SessionAuthentication"
SETTINGS: dict[str, Any] = {
    "MIDDLEWARE": ["allauth.account.middleware.AccountMiddleware"],
    "TEMPLATES": [{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    "SITE_ID": 1,
    "REST_AUTH": {},
    "REST_FRAMEWORK": {
        "DEFAULT_AUTHENTICATION_CLASSES": [
            SESSION,
            "dj_rest_auth.jwt_auth.JWTCookieAuthentication",
        ]
    },
}
NOT_ASKED = {
    "test_social": "logins of other providers",
    "test_mfa": "a second factor",
    "test_utils": "functions",
    "test_serializers": "classes of the framework",
    "test_registration_with_custom_permission_class": "classes of the framework",
    "test_misconfigured_token_model": "functions",
}
MAIL = Path(os.environ["ADAPTED_MAIL"])
SENDS = re.compile(r"/(password/reset|registration|registration/resend-email)/?")
MAIL_SECONDS = 0.4
"""After which a server that sends a mail has written it."""
RULES = {"NumericPasswordValidator": "numeric", "MinimumLengthValidator": "length"}
SAME = (
    "OLD_PASSWORD_FIELD_ENABLED",
    "JWT_AUTH_COOKIE",
    "JWT_AUTH_REFRESH_COOKIE",
    "JWT_AUTH_REFRESH_COOKIE_PATH",
    "JWT_AUTH_HTTPONLY",
    "JWT_AUTH_RETURN_EXPIRATION",
)
"""Settings of the library whose options have their names."""
urlpatterns: list[Any] = []

_seen: set[Path] = set()


def adapt() -> None:
    """Put what asks the server in the place of the library's classes."""
    for name in ("responses", "pyotp"):  # of cases that are not asked
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__getattr__ = lambda _: lambda *given, **_: given[0] if given else None
    forms = importlib.import_module("allauth.account.forms")
    tokens = importlib.import_module("django.contrib.auth.tokens")
    models = importlib.import_module("allauth.account.models")
    for generator in (forms.default_token_generator, tokens.default_token_generator):
        generator.make_token = mailed_reset
    models.EmailAddress.emailconfirmation_set = property(lambda _: Confirmations())
    paths.update(
        {
            "/rest-registration/": "/registration/",
            "/rest-registration/verify-email": "/registration/verify-email",
            "/rest-registration/resend-email": "/registration/resend-email",
            "/protected-view/": "/user/",
        }
    )


def choose(method: str, path: str) -> str:
    """Choose the server whose options are the settings as they are; return the method to send."""
    Now.variant = ""
    if path == "/rest-registration-no-password/":
        no_option("REGISTER_SERIALIZER")
    if method == "GET" and path == "/logout" and getattr(of_django, "ACCOUNT_LOGOUT_ON_GET", False):
        no_option("ACCOUNT_LOGOUT_ON_GET")
    text = "&".join(f"{name}={value}" for name, value in sorted(options().items()))
    if text not in URLS:
        raise AssertionError(f"no server has these options: {text}")
    Now.variant = text
    # A view of the cases, which is the user's. What is posted to it changes nothing.
    return "PATCH" if path == "/protected-view/" and method == "POST" else method


def options() -> dict[str, str]:
    """Return the options of the dialect that differ from the defaults."""
    api = importlib.import_module("dj_rest_auth.app_settings").api_settings
    allauth = importlib.import_module("allauth.account.app_settings")
    jwt = importlib.import_module("rest_framework_simplejwt.settings").api_settings
    for name in ("JWT_AUTH_COOKIE_USE_CSRF", "JWT_AUTH_COOKIE_ENFORCE_CSRF_ON_UNAUTHENTICATED"):
        if getattr(api, name):
            no_option("JWT_AUTH_COOKIE_USE_CSRF")
    if api.user_settings.get("JWT_TOKEN_CLAIMS_SERIALIZER"):
        no_option("JWT_TOKEN_CLAIMS_SERIALIZER")
    if api.user_settings.get("TOKEN_MODEL", 1) is None:
        no_option("TOKEN_MODEL of None")
    if api.user_settings.get("SESSION_LOGIN"):
        no_option("SESSION_LOGIN")
    found: dict[str, Any] = {
        name.lower().replace("_", "-"): value
        for name in SAME
        if (value := api.user_settings.get(name)) is not None
    }
    if of_django.REST_FRAMEWORK["DEFAULT_AUTHENTICATION_CLASSES"][0] == SESSION:
        found["unauthenticated-status"] = "403"
    if not api.SESSION_LOGIN and not api.USE_JWT:
        found["logout-requires-token"] = "on"
    if api.USE_JWT:
        found |= {"use-jwt": "on", "auth-header-types": "JWT,Bearer"}
        if "rest_framework_simplejwt.token_blacklist" in of_django.INSTALLED_APPS:
            found["token-blacklist"] = "on"
        # Two cases set it, and leave it set.
        if jwt.ROTATE_REFRESH_TOKENS and "rotat" in os.environ["PYTEST_CURRENT_TEST"]:
            found["rotate-refresh-tokens"] = "on"
    if "allauth" not in of_django.INSTALLED_APPS:
        found |= {"login": "either", "uid-encoding": "base64"}
    elif len(allauth.LOGIN_METHODS) == 2:
        found["login"] = "either"
    elif "email" in {each.value for each in allauth.LOGIN_METHODS}:
        found |= {"login": "email", "email-required": "on"}
    if allauth.EMAIL_VERIFICATION.value == "mandatory":
        found["email-verification"] = "mandatory"
    names = [each["NAME"].rpartition(".")[2] for each in of_django.AUTH_PASSWORD_VALIDATORS]
    found["password-rules"] = ",".join(RULES[each] for each in names) or "none"
    return {
        name: ("on" if value else "off") if isinstance(value, bool) else value
        for name, value in found.items()
    }


def note(method: str, path: str, body: bytes | None, response: HttpResponse) -> None:
    """Take over from a response what the case looks up in Django's database or outbox."""
    from django.contrib.auth.models import User  # noqa: PLC0415  # needs the settings of Django

    if method == "POST" and SENDS.fullmatch(path):
        time.sleep(MAIL_SECONDS)
        fresh = _mails() - _seen
        _seen.update(fresh)
        mail.outbox.extend(fresh)
    if path == "/registration/" and response.status_code == 201:
        fields = importlib.import_module("json").loads(body or b"{}")
        name = fields["username"]
        [account] = service("GET", f"/internal/accounts?username={name}")["accounts"]
        passwords[account["id"]] = fields["password1"]
        user = User(username=name, email=account["email"] or "")
        user.account = user.pk = account["id"]
        user.save()
        if user.email:
            user.emailaddress_set.create(email=user.email, primary=True)
    if path.startswith("/user") and method == "PATCH" and response.status_code == 200:
        names = {name: response.data[name] for name in ("first_name", "last_name")}
        User.objects.filter(username=response.data["username"]).update(**names)


def newest(kind: str) -> str:
    """Return the token of the link of the newest mail of a kind."""
    file = sorted(MAIL.glob(f"*-{kind}.eml"))[-1]
    found = re.search(r"#([\w-]+)", message_from_bytes(file.read_bytes()).as_string())
    assert found
    return found[1]


def mailed_reset(user: Any) -> str:
    """Return the token of a link to reset a password, which is requested."""
    send("POST", "/password/reset/", {"email": user.email})
    time.sleep(MAIL_SECONDS)
    _seen.update(_mails())
    return newest("reset")


def _mails() -> set[Path]:
    """Return the mails that the library sends as well: others report new passwords."""
    return {*MAIL.glob("*-reset.eml"), *MAIL.glob("*-verify.eml")}


class Confirmations:
    """The links that a case has had sent to verify an e-mail."""

    def order_by(self, _: str) -> list[Any]:
        return [types.SimpleNamespace(key=newest("verify"))]
