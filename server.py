"""Latchkey: the settings, the application and the program. Start reading here.

This file alone knows everything, and alone reads the environment.
"""

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from ipaddress import ip_network
from typing import Any

from aiohttp import web

import commands
import handlers
from handlers import cors, keys
from handlers.log import RequestLog
from handlers.proxies import PROXIES, Network, Proxies
from store.access import Access
from store.accounts import Accounts
from store.connect import keep_trying
from store.database import check_database_url, connect_database
from store.images import Images
from store.limits import Limit, Limits, parse_limit
from store.passwords import Passwords
from store.pictures import Pictures
from store.redis import check_redis_url, connect_redis
from store.schema import prepare
from store.sessions import Sessions
from store.tokens import MIN_KEY_BYTES, Tokens
from store.workers import usable_cores


class BadSetting(Exception):
    """A setting's value can't be used; the text names it, the value and what is allowed."""


def _setting(default: Any, parse: Callable[[str], Any], allowed: str) -> Any:
    return field(default_factory=lambda: default, metadata={"parse": parse, "allowed": allowed})


def _whole(default: int, low: int, high: int) -> Any:
    def parse(text: str) -> int:
        if not low <= int(text) <= high:
            raise ValueError
        return int(text)

    return _setting(default, parse, f"a whole number from {low} to {high}")


def _seconds(default: float, low: float, high: float) -> Any:
    def parse(text: str) -> float:
        if not low <= float(text) <= high:
            raise ValueError
        return float(text)

    return _setting(default, parse, f"a number of seconds from {low:g} to {high:g}")


def _text(default: str, allowed: str) -> Any:
    return _setting(default, str.strip, allowed)


def _parse_dialects(text: str) -> dict[str, str]:
    pairs = [word.partition("=") for word in text.split()]
    mounts = {name: prefix for name, _, prefix in pairs}
    if not pairs or len(mounts) < len(pairs) or mounts.keys() - handlers.DIALECTS.keys():
        raise ValueError
    if not all(re.fullmatch(r"/[\w.~/-]*", prefix, re.ASCII) for prefix in mounts.values()):
        raise ValueError
    return mounts


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def _parse_keys(text: str) -> tuple[str, ...]:
    found = _words(text)
    if not found or any(len(key.encode()) < MIN_KEY_BYTES for key in found):
        raise ValueError
    return found


def _parse_url(text: str) -> str:
    if not re.fullmatch(r"https?://[^/\s]+(/[^\s?#]*)?", text.strip()):
        raise ValueError
    return text.strip().rstrip("/")


def _parse_origins(text: str) -> tuple[str, ...]:
    origins = _words(text)
    if origins != ("*",) and not all(re.fullmatch(r"[a-z+.-]+://[^/\s*]+", o) for o in origins):
        raise ValueError
    return origins


def _one_of(default: str, *choices: str) -> Any:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError
        return text

    return _setting(default, parse, " or ".join(choices))


def _rate(default: str) -> Any:
    return _setting(parse_limit(default), parse_limit, 'a limit such as "20 per 5 minutes"')


_NAMES = ", ".join(handlers.DIALECTS)
_DAY = 86_400
_SECRET = ("secret_keys", "database_url", "redis_url")


@dataclass(frozen=True)
class Settings:
    """Every setting: its name in the environment is the field's in capitals."""

    host: str = _text("127.0.0.1", "an address to listen on")
    port: int = _whole(8000, 0, 65535)
    workers: int = _whole(1, 1, 1024)
    data_dir: str = _text("data", "a directory for the embedded stores")
    database_url: str = _setting("", check_database_url, "a libpq connection string")
    redis_url: str = _setting(
        "",
        check_redis_url,
        "redis://, rediss://, unix://, "
        "redis+sentinel://host:port,.../service or redis+cluster://host:port,...",
    )
    secret_keys: tuple[str, ...] = _setting(
        (), _parse_keys, f"keys of {MIN_KEY_BYTES} bytes or more, separated by spaces or commas"
    )
    dialects: Mapping[str, str] = _setting(
        dict.fromkeys(handlers.DIALECTS, "/"),
        _parse_dialects,
        f"name=/prefix, each name once, separated by spaces; the names are {_NAMES}",
    )
    cors_origins: tuple[str, ...] = _setting(
        ("*",), _parse_origins, "* alone, or origins like https://app.example, separated by spaces"
    )
    trusted_proxies: tuple[Network, ...] = _setting(
        (),
        lambda text: tuple(ip_network(word, strict=False) for word in _words(text)),
        "addresses or networks, separated by spaces or commas",
    )
    public_url: str = _setting("", _parse_url, "a URL that begins with http:// or https://")
    picture_max_bytes: int = _whole(5 * 1024 * 1024, 1024, 256 * 1024 * 1024)
    picture_max_pixels: int = _whole(25_000_000, 4096, 500_000_000)
    picture_timeout: float = _seconds(60, 0.1, 3600)
    session_lifetime: int = _whole(14 * _DAY, 1, 3650 * _DAY)
    access_token_lifetime: int = _whole(15 * 60, 1, 3650 * _DAY)
    refresh_token_lifetime: int = _whole(30 * _DAY, 1, 3650 * _DAY)
    sessions_per_account: int = _whole(100, 10, 1000)
    rate_limits: str = _one_of("on", "on", "off")
    login_limit: Limit = _rate("20 per 5 minutes")  # noqa: RUF009  # a field
    address_limit: Limit = _rate("300 per 5 minutes")  # noqa: RUF009
    register_limit: Limit = _rate("60 per hour")  # noqa: RUF009
    bcrypt_rounds: int = _whole(12, 4, 16)
    password_wait: float = _seconds(5, 0.1, 3600)
    store_timeout: float = _seconds(0.8, 0.05, 60)
    start_timeout: float = _seconds(30, 0, 3600)
    database_pool: int = _whole(8, 1, 500)
    redis_pool: int = _whole(32, 1, 5000)
    keepalive_timeout: float = _seconds(75, 1, 3600)
    body_timeout: float = _seconds(10, 0.1, 3600)
    drain_seconds: float = _seconds(3, 0, 600)
    log_format: str = _one_of("text", "text", "json")

    @property
    def lifetimes(self) -> dict[str, int]:
        """Seconds that a session of each kind lives."""
        access = self.access_token_lifetime
        return {
            "token": self.session_lifetime,
            "fresh": access,
            "access": access,
            "refresh": self.refresh_token_lifetime,
        }


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Return the settings that an environment gives. Raises BadSetting."""
    given = {
        each.name: _parse(each, environment[each.name.upper()])
        for each in fields(Settings)
        if environment.get(each.name.upper(), "").strip()
    }
    settings = Settings(**given)
    if settings.redis_url and not settings.secret_keys:
        raise BadSetting("SECRET_KEYS is not set: with REDIS_URL it is required")
    return settings


def _parse(each: "Field[Any]", text: str) -> Any:
    try:
        return each.metadata["parse"](text)
    except ValueError:
        shown = "(not shown)" if each.name in _SECRET else repr(text)
        allowed = each.metadata["allowed"]
        raise BadSetting(f"{each.name.upper()} is {shown}: allowed is {allowed}") from None


def create_app(settings: Settings) -> web.Application:
    """Return the application. It needs the URLs of both stores, and a secret key.

    Raises handlers.Conflict when two dialects claim one path.
    """
    app = web.Application()
    everywhere = settings.cors_origins == ("*",)
    app[keys.ALLOW_ORIGIN] = "*" if everywhere else ""
    app[keys.PUBLIC_URL] = settings.public_url
    app[PROXIES] = Proxies(settings.trusted_proxies)
    app[keys.BODY_TIMEOUT] = settings.body_timeout
    app[keys.PICTURE_LIMITS] = keys.PictureLimits(
        settings.picture_max_bytes, settings.picture_timeout
    )
    app[keys.DRAINING] = asyncio.Event()
    app[keys.REQUEST_LOG] = RequestLog(sys.stderr, as_json=settings.log_format == "json")
    handlers.mount(app, settings.dialects)
    if not everywhere:
        cors.narrow(app, settings.cors_origins)

    async def stores(app: web.Application) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as closing:
            await _connect(app, settings, closing)
            yield

    app.cleanup_ctx.append(stores)
    return app


async def _connect(
    app: web.Application, settings: Settings, closing: contextlib.AsyncExitStack
) -> None:
    """Connect both stores and give them to the handlers; what is to be closed goes on the stack."""
    deadline, patience = settings.store_timeout, settings.start_timeout
    database = await keep_trying(
        lambda: connect_database(settings.database_url, settings.database_pool, deadline),
        patience,
        _say,
    )
    closing.push_async_callback(database.close)
    redis = await keep_trying(
        lambda: connect_redis(settings.redis_url, settings.redis_pool, deadline), patience, _say
    )
    closing.push_async_callback(redis.close)
    await prepare(database)
    accounts, pictures = Accounts(database), Pictures(database)
    tokens = Tokens([key.encode() for key in settings.secret_keys])
    sessions = Sessions(redis, tokens, settings.lifetimes, settings.sessions_per_account)
    closing.push_async_callback(sessions.finish)
    wait, cores = settings.password_wait, max(1, usable_cores() // settings.workers)
    passwords = Passwords(settings.bcrypt_rounds, cores, wait)
    closing.callback(passwords.close)
    images = Images(max(1, cores // 2), wait, settings.picture_max_pixels)
    closing.callback(images.close)
    closing.callback(app[keys.REQUEST_LOG].flush)
    app[keys.ACCOUNTS], app[keys.PICTURES], app[keys.IMAGES] = accounts, pictures, images
    limits = None
    if settings.rate_limits == "on":
        limits = Limits(
            redis, settings.login_limit, settings.address_limit, settings.register_limit
        )
    app[keys.ACCESS] = Access(accounts, sessions, passwords, limits)
    app[keys.STORES] = {"postgresql": database.ping, "redis": redis.ping}


def _say(what: str) -> None:
    print(f"latchkey: {what}", flush=True)


def main() -> int:
    """Run the command line; return the exit status."""
    try:
        settings = read_settings(os.environ)
        return commands.run(sys.argv[1:], settings, create_app)
    except BadSetting as problem:
        print(f"latchkey: {problem}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
