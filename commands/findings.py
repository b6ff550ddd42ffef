"""What `check` reports of the settings, and `serve` logs at its start."""

import enum
import resource
import stat
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

import handlers
from app import create_app
from handlers import Conflict
from options import mail_options
from settings import Settings
from store.addresses import Network
from store.redis.topology import has_credentials, is_on_loopback, is_on_socket

FEWEST_FILES = 10_000
"""Open files: each client uses one."""


class Level(enum.StrEnum):
    """The level of a finding. Only WRONG changes the exit status."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    WRONG = "WRONG"


class Finding(NamedTuple):
    """One line of a report."""

    level: Level
    what: str


def judge_settings(settings: Settings) -> Iterator[Finding]:
    """Report what the settings mean on this machine."""
    mounted = ", ".join(f"{name} at {each.prefix}" for name, each in settings.dialects.items())
    try:
        create_app(settings)
        yield Finding(Level.OK, f"the dialects do not conflict: {mounted}")
    except Conflict as problem:
        yield Finding(Level.WRONG, f"DIALECTS: {problem}")
    if "kust" in settings.dialects:
        yield Finding(Level.NOTE, "in kust every account can read all accounts")
    yield from judge_secrets(settings)
    keys = len(settings.secret_keys)
    where = f"{keys} configured" if keys else "generated and stored in DATA_DIR"
    yield Finding(Level.OK, f"SECRET_KEYS: {where}")
    yield from _judge_service_keys(settings)
    yield from _judge_webhooks(settings)
    if settings.rate_limits == "off":
        yield Finding(Level.WARNING, "RATE_LIMITS is off: attempts are not counted")
    yield either(
        bool(settings.trusted_proxies) or _is_loopback(settings.host),
        "clients are distinguished by their addresses",
        f"TRUSTED_PROXIES is empty and HOST is {settings.host}: behind a load balancer, all "
        "clients would count as one",
    )
    yield from _judge_networks(settings)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    yield either(
        files == resource.RLIM_INFINITY or files >= FEWEST_FILES,
        f"{files} open files are allowed",
        f"only {files} open files are allowed, and each client takes one: raise `ulimit -n`",
    )


def _judge_service_keys(settings: Settings) -> Iterator[Finding]:
    """Report the services that have a key, and whether the public port has their endpoints."""
    if settings.service_keys:
        services = (f"{each.name} ({each.scope.name.lower()})" for each in settings.service_keys)
        yield Finding(Level.OK, f"SERVICE_KEYS: {', '.join(services)}")
        yield either(
            bool(settings.internal_port),
            f"/internal, /metrics and /readyz are on port {settings.internal_port} only",
            "INTERNAL_PORT is not set: the public port has /internal, which the proxy must refuse",
            Level.NOTE,
        )


def _judge_webhooks(settings: Settings) -> Iterator[Finding]:
    """Report the receivers of events, and those to which events are sent unencrypted."""
    if settings.webhooks:
        names = ", ".join(webhook.name for webhook in settings.webhooks)
        yield Finding(Level.OK, f"WEBHOOKS: events are sent to {names}")
    for webhook in settings.webhooks:
        if not webhook.is_encrypted:
            what = f"WEBHOOKS: events are sent to {webhook.name} without encryption: use https://"
            yield Finding(Level.WARNING, what)


def judge_mail(settings: Settings) -> Finding:
    """Report whether this server sends mail."""
    if not settings.database_url and not settings.mail_url:
        return Finding(Level.OK, "MAIL_URL is not set: mail is written to DATA_DIR/mail")
    problem = mail_options(settings).problem if settings.database_url else None
    if problem and settings.require_verified_email == "on":
        what = f"REQUIRE_VERIFIED_EMAIL is on, but no mail is sent to verify addresses: {problem}"
        return Finding(Level.WARNING, what)
    if problem and handlers.needs_mail(settings.dialects):
        what = f"accounts are to be activated by e-mail, but none is sent: {problem}"
        return Finding(Level.WARNING, what)
    return either(
        problem is None,
        "the settings for mail are complete",
        f"no mail is sent, so no password can be reset by its user: {problem}",
        Level.NOTE,
    )


def judge_secrets(settings: Settings) -> Iterator[Finding]:
    """Report secrets that other users can read, and stores without a password."""
    for file in (*settings.secret_files, Path(settings.data_dir) / "secret_key"):
        if _is_exposed(file):
            what = f"every user of this machine can read the secrets in {file}: run chmod o-r on it"
            yield Finding(Level.WRONG, what)
    url = settings.redis_url
    if url and not is_on_socket(url) and not has_credentials(url):
        level, who = (
            (Level.WARNING, "every user of this machine")
            if is_on_loopback(url)
            else (Level.WRONG, "anyone who can connect to Redis")
        )
        what = f"REDIS_URL has no password: {who} can open sessions of any account"
        yield Finding(level, what)
    if bool(url) != bool(settings.database_url):
        ours, store = ("DATABASE_URL", "PostgreSQL") if url else ("REDIS_URL", "Redis")
        yield Finding(
            Level.WARNING,
            f"{ours} is not set: the embedded {store} of DATA_DIR ({settings.data_dir}) is used",
        )


def _is_exposed(file: Path) -> bool:
    """Return whether a file exists that others than its owner and group can read."""
    try:
        path = file.resolve()
        reachable = all(each.stat().st_mode & stat.S_IXOTH for each in path.parents)
        return reachable and bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def _judge_networks(settings: Settings) -> Iterator[Finding]:
    """Report networks that are too wide, and /metrics if a proxy could expose it."""
    for network in settings.trusted_proxies:
        if _is_wide(network):
            yield Finding(
                Level.WRONG,
                f"TRUSTED_PROXIES contains {network}: a client in it can claim any address",
            )
    for network in settings.metrics_allow:
        if _is_wide(network):
            yield Finding(
                Level.WARNING, f"METRICS_ALLOW contains {network}: /metrics is nearly public"
            )
        for proxy in settings.trusted_proxies:
            if proxy.version == network.version and proxy.overlaps(network):
                yield Finding(
                    Level.NOTE,
                    f"METRICS_ALLOW {network} contains the trusted proxy {proxy}: without "
                    "X-Forwarded-For from it, its clients can read /metrics",
                )


def _is_wide(network: Network) -> bool:
    """Return whether a network is larger than that of one organisation."""
    return not network.is_private and network.prefixlen < (8 if network.version == 4 else 16)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def either(fits: bool, fine: str, otherwise: str, level: Level = Level.WARNING) -> Finding:
    """Return the finding OK if it `fits`, else the other one."""
    return Finding(Level.OK, fine) if fits else Finding(level, otherwise)
