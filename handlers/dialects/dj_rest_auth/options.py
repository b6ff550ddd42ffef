"""The options of a mount of dj-rest-auth, in a table in docs/contracts/dj-rest-auth.md#options."""

import re
from dataclasses import dataclass
from typing import Literal

from aiohttp import web

from handlers.app_links import check_app_link
from handlers.dialects.drf_jwt import JwtOptions
from handlers.dialects.drf_passwords import MIN_LENGTH, RULES, check_rules
from store.errors import BadValue
from store.mail_queue import RESET

USER_FIELDS = ("pk", "username", "email", "first_name", "last_name")
EXTRA_FIELDS = ("is_active", "is_staff", "is_superuser", "date_joined", "email_verified")
NAMES = ("first_name", "last_name")


_COOKIE_NAME = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_COOKIE_PATH = re.compile(r"/[!-:<-~]*")
_DOMAIN = re.compile(r"[\w.-]+", re.ASCII)


@dataclass(frozen=True)
class Options(JwtOptions):
    """The options, with the defaults of dj-rest-auth and django-allauth.

    Those of JWTs and cookies have an effect with `use_jwt`.
    """

    use_jwt: bool = False
    token_blacklist: bool = False
    jwt_auth_cookie: str = ""
    jwt_auth_refresh_cookie: str = ""
    jwt_auth_refresh_cookie_path: str = "/"
    jwt_auth_secure: bool = False
    jwt_auth_httponly: bool = True
    jwt_auth_samesite: Literal["Lax", "Strict", "None"] = "Lax"
    jwt_auth_cookie_domain: str = ""
    jwt_auth_return_expiration: bool = False
    cors_allow_credentials: bool = False

    login: Literal["username", "email", "either"] = "username"
    user_fields: tuple[str, ...] = USER_FIELDS
    register_fields: tuple[str, ...] = ()
    username_required: bool = True
    email_required: bool = False
    email_verification: Literal["none", "optional", "mandatory"] = "optional"
    old_password_field_enabled: bool = False
    logout_on_password_change: bool = False
    logout_requires_token: bool = False
    unauthenticated_status: Literal["401", "403"] = "401"
    password_reset_confirm_url: str = ""
    account_confirm_email_url: str = ""
    uid_encoding: Literal["base36", "base64"] = "base36"
    password_rules: tuple[str, ...] = tuple(RULES)
    password_length: int = MIN_LENGTH

    def __post_init__(self) -> None:
        """Raise BadValue for values that the dialect cannot use."""
        super().__post_init__()
        self._check_cookies()
        _check_list("user-fields", self.user_fields, (*USER_FIELDS, *EXTRA_FIELDS))
        _check_list("register-fields", self.register_fields, NAMES)
        check_rules(self.password_rules)
        if not (self.username_required or self.email_required):
            raise BadValue("username-required or email-required must be on: accounts need a name")
        if self.login == "email" and not self.email_required:
            raise BadValue("login=email needs email-required=on")
        check_app_link("password-reset-confirm-url", self.password_reset_confirm_url)
        check_app_link("account-confirm-email-url", self.account_confirm_email_url, ["{key}"])

    def _check_cookies(self) -> None:
        names = [each for each in (self.jwt_auth_cookie, self.jwt_auth_refresh_cookie) if each]
        if not all(map(_COOKIE_NAME.fullmatch, names)) or len(set(names)) < len(names):
            raise BadValue("jwt-auth-cookie and jwt-auth-refresh-cookie must be two names")
        if names and not self.use_jwt:
            raise BadValue("jwt-auth-cookie and jwt-auth-refresh-cookie need use-jwt=on")
        if self.cors_allow_credentials and not names:
            raise BadValue("cors-allow-credentials needs jwt-auth-cookie: it is about cookies")
        if not _COOKIE_PATH.fullmatch(self.jwt_auth_refresh_cookie_path):
            raise BadValue("jwt-auth-refresh-cookie-path must be a path, such as /token")
        if self.jwt_auth_cookie_domain and not _DOMAIN.fullmatch(self.jwt_auth_cookie_domain):
            raise BadValue("jwt-auth-cookie-domain must be a domain, such as example.com")
        if self.jwt_auth_samesite == "None" and not self.jwt_auth_secure:
            raise BadValue("jwt-auth-samesite=None needs jwt-auth-secure=on: browsers require it")

    @property
    def hides_refresh(self) -> bool:
        """Whether a refresh token is in its cookie only."""
        return self.jwt_auth_httponly and bool(self.jwt_auth_refresh_cookie)

    @property
    def forbids(self) -> bool:
        """Whether a missing or bad token is a 403."""
        return self.unauthenticated_status == "403"


OPTIONS = web.AppKey("dj_rest_auth_options", Options)


def _check_list(option: str, words: tuple[str, ...], known: tuple[str, ...]) -> None:
    if len({*words} & {*known}) < len(words):
        raise BadValue(f"{option} must be a list of these, each once: {', '.join(known)}")


def links(options: Options) -> dict[str, str]:
    """Return the links of messages by their kind."""
    uid = "{uid36}" if options.uid_encoding == "base36" else "{uid}"
    return {
        RESET: options.password_reset_confirm_url.replace("{uid}", uid),
        "verify": options.account_confirm_email_url.replace("{key}", "{token}"),
    }


def needs_mail(options: Options) -> bool:
    """Return whether no new account can log in without e-mail."""
    return options.email_verification == "mandatory"
