"""The settings: names, defaults and allowed values. docs/settings.md lists them."""

import importlib.util
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import handlers
from handlers import mounts
from handlers.identity_providers import PROVIDERS_FORM, parse_providers
from handlers.internal import service_keys
from handlers.internal.service_keys import ServiceKey
from handlers.mounts import Mount, parse_mounts, read_mounts
from handlers.origins import parse_origins, parse_public_url
from handlers.passkey_origins import (
    PASSKEY_FORM,
    check_passkey_domain,
    parse_domain,
    parse_passkey_origins,
    web_origins,
)
from handlers.system import branding
from handlers.system.branding import Logo, PageOptions
from mail import settings as mail
from setting_sources import SECRET, BadSetting, file_of, parse_setting, text_of
from setting_types import (
    one_of,
    own_host,
    parse_directory,
    parse_jwt_keys,
    parse_keys,
    parse_networks,
    parse_proxies,
    parse_time,
    seconds,
    setting,
    whole,
)
from store.addresses import Network
from store.identity import Provider
from store.jwt_tokens import OWN
from store.limits import Limit, parse_limit
from store.password_rules import PasswordRules, parse_password_rules
from store.postgresql.hosts import check_database_url
from store.redis.client import check_redis_url
from store.tokens import MIN_KEY_BYTES
from webhooks import settings as webhook_settings
from webhooks.settings import Webhook

VERSION = "1.0.0"
__all__ = ["VERSION", "BadSetting", "Settings", "read_settings", "setting_fields"]


def _parse_dialects(text: str) -> dict[str, Mount]:
    return parse_mounts(text, handlers.DIALECTS)


def _read_dialects(text: str) -> dict[str, Mount]:
    return read_mounts(Path(text), handlers.DIALECTS)


_NETWORKS = "addresses or networks, separated by spaces or commas"


def _rate(default: str) -> Any:
    return setting(parse_limit(default), parse_limit, 'a limit such as "20 per 5 minutes"')


_NAMES = ", ".join(handlers.DIALECTS)
_DEFAULT_DIALECTS = [name for name, dialect in handlers.DIALECTS.items() if dialect.by_default]
_DAY = 86_400
_OF_PYTHON = ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
"""The variables that Python needs to start. None of them is a secret."""
_LOOPBACK = "127.0.0.0/8 ::1"
_EXPORTER = "opentelemetry.exporter.otlp.proto.http"


@dataclass(frozen=True)
class Settings:
    """Every setting. Its name in the environment is the field's in upper case."""

    host: str = own_host("127.0.0.1")
    port: int = whole(8000, 0, 65535)
    internal_host: str = own_host("127.0.0.1")
    internal_port: int = whole(0, 1, 65535)
    """0, which cannot be given, if nothing listens there."""
    service_keys: tuple[ServiceKey, ...] = setting(
        (), service_keys.parse_service_keys, service_keys.FORM, is_secret=True
    )
    workers: int = whole(1, 1, 1024)
    data_dir: str = setting("data", parse_directory, "a directory for the embedded stores")
    database_url: str = setting("", check_database_url, "a libpq connection string", is_secret=True)
    redis_url: str = setting(
        "",
        check_redis_url,
        "a URL that begins with redis://, rediss://, unix://, redis+sentinel:// "
        "or redis+cluster://",
        is_secret=True,
    )
    secret_keys: tuple[str, ...] = setting(
        (),
        parse_keys,
        f"random keys of {MIN_KEY_BYTES} bytes or more, separated by spaces or commas",
        is_secret=True,
    )
    jwt_signing_keys: tuple[str, ...] = setting(
        (OWN,),
        parse_jwt_keys,
        f"keys of {MIN_KEY_BYTES} bytes or more, or the word {OWN}, separated by spaces",
        is_secret=True,
    )
    jwt_moved_at: float = setting(0, parse_time, "a time such as 2026-12-01T00:00:00Z")
    """In seconds since 1970; 0 if no refresh tokens of another back end are accepted."""
    dialects: Mapping[str, Mount] = setting(
        _parse_dialects(" ".join(f"{name}=/" for name in _DEFAULT_DIALECTS)),
        _parse_dialects,
        f"{mounts.FORM}; the names are {_NAMES}",
    )
    dialects_file: Mapping[str, Mount] | None = setting(
        None, _read_dialects, "a TOML file with a table for each dialect"
    )
    cors_origins: tuple[str, ...] = setting(
        ("*",), parse_origins, "* alone, or origins like https://app.example, separated by spaces"
    )
    trusted_proxies: tuple[Network, ...] = setting((), parse_proxies, _NETWORKS)
    public_url: str = setting("", parse_public_url, "a URL that begins with http:// or https://")
    picture_max_bytes: int = whole(5 * 1024 * 1024, 1024, 256 * 1024 * 1024)
    picture_max_pixels: int = whole(25_000_000, 4096, 500_000_000)
    picture_timeout: float = seconds(60, 0.1, 3600)
    product_name: str = setting(
        "Latchkey", mail.check_product_name, "a name of at most 60 printable characters"
    )
    account_page: str = one_of("on", "on", "off")
    ui_logo: Logo | None = setting(  # noqa: RUF009  # a field
        None, branding.parse_logo, branding.LOGO_FORM
    )
    ui_accent: str = setting(branding.ACCENT, branding.parse_accent, branding.ACCENT_FORM)
    ui_links: tuple[tuple[str, str], ...] = setting((), branding.parse_links, branding.LINKS_FORM)
    mail_url: str = setting(
        "",
        mail.check_mail_url,
        "smtp://user:password@host:587, smtps://user:password@host:465 or file:<directory>",
        is_secret=True,
    )
    mail_from: str = setting(
        "", mail.check_mail_from, "an e-mail address, or a name and an address in angle brackets"
    )
    mail_templates: str = setting("", parse_directory, "a directory of templates")
    mail_language: str = setting("en", mail.check_language, "a language such as en or pt-BR")
    verify_url: str = setting("", mail.check_link_url, mail.LINK_FORM)
    reset_url: str = setting("", mail.check_link_url, mail.LINK_FORM)
    verify_link_lifetime: int = whole(3 * _DAY, 60, 30 * _DAY)
    reset_link_lifetime: int = whole(3600, 60, _DAY)
    require_verified_email: str = one_of("off", "on", "off")
    password_rules: PasswordRules = setting(  # noqa: RUF009  # a field
        PasswordRules(),
        parse_password_rules,
        "rules separated by spaces, each at most once: length=<characters>, common, similar",
    )
    breached_passwords: str = setting(
        "", parse_public_url, "the URL of a range API, such as https://api.example/range/"
    )
    passkey_origins: tuple[str, ...] = setting(
        (), parse_passkey_origins, f"{PASSKEY_FORM}, separated by spaces"
    )
    passkey_rp_id: str = setting("", parse_domain, "a domain such as example.com")
    oidc_providers: tuple[Provider, ...] = setting((), parse_providers, PROVIDERS_FORM)
    device_notices: str = one_of("off", "on", "off")
    events: str = one_of("off", "on", "off")
    event_days: int = whole(30, 1, 3650)
    webhooks: tuple[Webhook, ...] = setting(
        (), webhook_settings.parse_webhooks, webhook_settings.FORM, is_secret=True
    )
    session_lifetime: int = whole(14 * _DAY, 1, 3650 * _DAY)
    access_token_lifetime: int = whole(15 * 60, 1, 3650 * _DAY)
    refresh_token_lifetime: int = whole(30 * _DAY, 1, 3650 * _DAY)
    imported_tokens: str = one_of("off", "on", "off")
    sessions_per_account: int = whole(100, 10, 1000)
    rate_limits: str = one_of("on", "on", "off")
    login_limit: Limit = _rate("20 per 5 minutes")  # noqa: RUF009  # a field
    address_limit: Limit = _rate("300 per 5 minutes")  # noqa: RUF009
    register_limit: Limit = _rate("60 per hour")  # noqa: RUF009
    refresh_limit: Limit = _rate("60 per 10 minutes")  # noqa: RUF009
    mail_limit: Limit = _rate("5 per hour")  # noqa: RUF009
    code_limit: Limit = _rate("10 per 15 minutes")  # noqa: RUF009
    bcrypt_rounds: int = whole(12, 4, 16)
    password_wait: float = seconds(5, 0.1, 3600)
    store_timeout: float = seconds(0.8, 0.05, 60)
    start_timeout: float = seconds(30, 0, 3600)
    database_pool: int = whole(8, 1, 500)
    redis_pool: int = whole(32, 1, 5000)
    keepalive_timeout: float = seconds(75, 1, 3600)
    body_timeout: float = seconds(10, 0.1, 3600)
    drain_seconds: float = seconds(3, 0, 600)
    log_format: str = one_of("text", "text", "json")
    log_requests: str = one_of("all", "all", "errors", "off")
    tracing: str = one_of("off", "on", "off")
    metrics_allow: tuple[Network, ...] = setting(
        parse_networks(_LOOPBACK), parse_networks, _NETWORKS
    )
    docs: str = one_of("on", "on", "off")
    admin: str = one_of("", "on", "off")
    """Whether the admin page is there; "" if commands/stores.py decides."""
    own_url: str = ""
    """What links begin with if no setting says so: this server's address on this machine, with
    `{port}` in it, where the stores are embedded. Not a setting itself."""
    secret_files: tuple[Path, ...] = ()
    """The files that secrets were read from. Not a setting."""
    decoder_environment: Mapping[str, str] = field(default_factory=dict, compare=False)
    """The environment of the processes that decode pictures. Not a setting."""

    @property
    def pages(self) -> PageOptions:
        """What the settings say about the pages below /ui/."""
        return PageOptions(
            self.product_name,
            self.ui_accent,
            self.ui_logo,
            self.ui_links,
            account=self.account_page == "on",
            admin=self.admin == "on",
            passkey_origins=web_origins(self.passkey_origins),
        )

    @property
    def lifetimes(self) -> dict[str, int]:
        """The lifetime of a session of each kind, or dialect and kind, in seconds."""
        access = self.access_token_lifetime
        mounted = {
            f"{name}:{kind}": seconds
            for name, mount in self.dialects.items()
            for kind, seconds in handlers.lifetimes(name, mount).items()
        }
        return {
            **mounted,
            "token": self.session_lifetime,
            "device": self.session_lifetime,
            "fixed": self.session_lifetime,
            "imported": self.session_lifetime,
            "fresh": access,
            "access": access,
            "refresh": self.refresh_token_lifetime,
            "jwt": self.refresh_token_lifetime,
        }


def setting_fields() -> list["Field[Any]"]:
    """Return the fields of Settings that are settings."""
    return [each for each in fields(Settings) if each.metadata]


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Return the settings of an environment. Raises BadSetting."""
    files = tuple(file for name in SECRET if (file := file_of(environment, name)))
    texts = {each.name: text_of(environment, each.name) for each in setting_fields()}
    given = {
        each.name: parse_setting(each, texts[each.name])
        for each in setting_fields()
        if texts[each.name]
    }
    decoder = {name: environment[name] for name in _OF_PYTHON if name in environment}
    settings = Settings(**given, secret_files=files, decoder_environment=decoder)
    if settings.dialects_file:
        if texts["dialects"]:
            raise BadSetting("DIALECTS and DIALECTS_FILE are both set: set only one of them")
        settings = replace(settings, dialects=settings.dialects_file)
    if settings.redis_url and not settings.secret_keys:
        raise BadSetting("SECRET_KEYS is not set: with REDIS_URL it is required")
    if settings.mail_url.startswith("smtp") and not settings.mail_from:
        raise BadSetting("MAIL_FROM is not set: with an SMTP server in MAIL_URL it is required")
    if texts["internal_host"] and not settings.internal_port:
        raise BadSetting("INTERNAL_PORT is not set: with INTERNAL_HOST it is required")
    if settings.internal_port and settings.internal_port == settings.port:
        raise BadSetting("INTERNAL_PORT and PORT must differ")
    if not check_passkey_domain(settings.passkey_rp_id, settings.passkey_origins):
        raise BadSetting("PASSKEY_RP_ID must be the host of each of PASSKEY_ORIGINS, or end it")
    if settings.webhooks and settings.events == "off":
        raise BadSetting("EVENTS is off: with WEBHOOKS it must be on")
    if settings.admin == "on" and "latchkey" not in settings.dialects:
        raise BadSetting("ADMIN is on: DIALECTS must name latchkey, through which the page works")
    if handlers.allows_credentials(settings.dialects) and settings.cors_origins == ("*",):
        raise BadSetting("CORS_ORIGINS must list origins: cors-allow-credentials is on")
    if settings.tracing == "on" and not _is_installed(_EXPORTER):
        raise BadSetting(
            "TRACING is on, but OpenTelemetry is not installed: "
            "pip install -r requirements-tracing.txt"
        )
    return settings


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # its package is not installed either
        return False
