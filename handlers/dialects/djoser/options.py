"""The options of a mount of djoser. docs/contracts/djoser.md#options has them in a table."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from aiohttp import web

from handlers.app_links import check_app_link
from handlers.dialects.drf_jwt import JwtOptions, check_header_types
from handlers.dialects.drf_passwords import MIN_LENGTH, RULES, check_rules
from store.errors import BadValue
from store.mail_queue import ACTIVATE, RENAME, RESET

EXTRA_FIELDS = (
    "username",
    "first_name",
    "last_name",
    "is_active",
    "is_staff",
    "is_superuser",
    "date_joined",
)
"""What the user object may have besides the id, the e-mail and the username."""


@dataclass(frozen=True)
class Options(JwtOptions):
    """The options, with djoser's defaults. Those of JWTs have an effect with `jwt`."""

    jwt: bool = False
    token_endpoints: bool = True
    login: Literal["username", "email", "either"] = "username"
    header_types: tuple[str, ...] = ("Token",)
    hide_users: bool = True
    user_fields: tuple[str, ...] = ()
    user_create_password_retype: bool = False
    set_password_retype: bool = False
    password_reset_confirm_retype: bool = False
    set_username_retype: bool = False
    username_reset_confirm_retype: bool = False
    logout_on_password_change: bool = False
    send_activation_email: bool = False
    activation_url: str = ""
    password_reset_confirm_url: str = ""
    username_reset_confirm_url: str = ""
    password_rules: tuple[str, ...] = tuple(RULES)
    password_length: int = MIN_LENGTH
    trim_passwords: bool = True

    def __post_init__(self) -> None:
        """Raise BadValue for values that the dialect cannot use."""
        super().__post_init__()
        if not (self.jwt or self.token_endpoints):
            raise BadValue("token-endpoints=off needs jwt=on, or no account can log in")
        if unknown := set(self.user_fields) - set(EXTRA_FIELDS):
            raise BadValue(f"user-fields has {min(unknown)!r}; known are {', '.join(EXTRA_FIELDS)}")
        check_rules(self.password_rules)
        check_header_types("header-types", self.header_types)
        if self.jwt and self.schemes & self.jwt_schemes:
            raise BadValue("header-types and auth-header-types must have no word in common")
        for name in ("activation_url", "password_reset_confirm_url", "username_reset_confirm_url"):
            check_app_link(name.replace("_", "-"), getattr(self, name))
        if self.send_activation_email and not self.activation_url:
            raise BadValue("send-activation-email needs activation-url, where the link leads")

    @cached_property
    def schemes(self) -> frozenset[str]:
        """The schemes of the Authorization header of opaque tokens, in lower case."""
        return frozenset(each.lower() for each in self.header_types if self.token_endpoints)

    @property
    def login_field(self) -> str:
        """The account's name, as the user object has it."""
        return "email" if self.login == "email" else "username"


OPTIONS = web.AppKey("djoser_options", Options)


def links(options: Options) -> dict[str, str]:
    """Return the links of messages by their kind."""
    activation = options.activation_url if options.send_activation_email else ""
    return {
        ACTIVATE: activation,
        "change": activation,
        RESET: options.password_reset_confirm_url,
        RENAME: options.username_reset_confirm_url,
    }
