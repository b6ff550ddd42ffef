"""Latchkey: how everything is put together, and the program. Start reading here.

This file alone knows everything, and alone reads the environment.
"""

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from aiohttp import web

import commands
import handlers
from commands.process import fail, say
from handlers import app_keys, cors, log
from handlers.body_memory import BODY_BYTES, BodyMemory
from handlers.log import REQUEST_LOGS
from handlers.metrics import METRICS, Metrics
from handlers.proxies import PROXIES, Proxies
from handlers.system.health import READINESS, Readiness
from settings import VERSION, BadSetting, Settings, read_settings
from store.access import Access
from store.accounts import Accounts
from store.connect import keep_trying
from store.images import Images
from store.limits import Limits
from store.metrics import StoreMetrics, count_together, make_registry
from store.passwords import Passwords
from store.pictures import Pictures
from store.postgresql.database import connect_database
from store.redis.client import connect_redis
from store.schema import prepare
from store.sessions import Sessions
from store.tokens import Tokens
from store.workers import usable_cores

if TYPE_CHECKING:
    from handlers.tracing import Tracing


def create_app(settings: Settings) -> web.Application:
    """Return the application. It needs the URLs of both stores, and a secret key.

    Raises handlers.Conflict when two dialects claim one path.
    """
    app = web.Application()
    everywhere = settings.cors_origins == ("*",)
    app[app_keys.ALLOW_ORIGIN] = "*" if everywhere else ""
    app[app_keys.PUBLIC_URL] = settings.public_url
    app[PROXIES] = Proxies(settings.trusted_proxies)
    app[app_keys.BODY_TIMEOUT] = settings.body_timeout
    app[app_keys.PICTURE_LIMITS] = app_keys.PictureLimits(
        settings.picture_max_bytes, settings.picture_timeout
    )
    app[app_keys.BODY_MEMORY] = BodyMemory(BODY_BYTES)
    app[app_keys.PICTURE_MEMORY] = BodyMemory(
        max(BODY_BYTES, 4 * app[app_keys.PICTURE_LIMITS].body_bytes)
    )
    app[app_keys.DRAINING] = asyncio.Event()
    app[app_keys.REQUEST_LOG] = REQUEST_LOGS[settings.log_requests](
        sys.stderr, as_json=settings.log_format == "json"
    )
    registry = make_registry(shared=settings.workers > 1)
    app[METRICS] = Metrics(
        registry,
        StoreMetrics(registry),
        settings.metrics_allow,
        shared=settings.workers > 1,
        version=VERSION,
    )
    tracing = _tracing(app, settings)
    around = tracing.around if tracing else None
    handlers.mount(app, settings.dialects, with_docs=settings.docs == "on", around=around)
    if not everywhere:
        cors.narrow(app, settings.cors_origins)

    async def stores(app: web.Application) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as closing:
            if tracing:
                with _understood():
                    await closing.enter_async_context(tracing.sending())
            await _connect(app, settings, closing, tracing)
            yield

    app.cleanup_ctx.append(stores)
    return app


def _tracing(app: web.Application, settings: Settings) -> "Tracing | None":
    """Return what makes traces, None when they are off: then OpenTelemetry is not imported."""
    if settings.tracing == "off":
        return None
    from handlers.tracing import TRACING, Tracing  # noqa: PLC0415

    with _understood():
        tracing = app[TRACING] = Tracing()
    tracing.name_in(app[app_keys.REQUEST_LOG])
    return tracing


@contextlib.contextmanager
def _understood() -> Iterator[None]:
    """Say which of OpenTelemetry's own settings it can't use as it is said of ours."""
    try:
        yield
    except ValueError as problem:
        raise BadSetting(f"TRACING is on, and OpenTelemetry says: {problem}") from None


async def _connect(
    app: web.Application,
    settings: Settings,
    closing: contextlib.AsyncExitStack,
    tracing: "Tracing | None",
) -> None:
    """Connect both stores and give them to the handlers; what is to be closed goes on the stack."""
    deadline, patience = settings.store_timeout, settings.start_timeout
    database = await keep_trying(
        lambda: connect_database(settings.database_url, settings.database_pool, deadline),
        patience,
        say,
    )
    closing.push_async_callback(database.close)
    redis = await keep_trying(
        lambda: connect_redis(settings.redis_url, settings.redis_pool, deadline), patience, say
    )
    closing.push_async_callback(redis.close)
    await prepare(database)
    accounts, pictures = Accounts(database), Pictures(database)
    closing.callback(accounts.close)
    tokens = Tokens([key.encode() for key in settings.secret_keys])
    sessions = Sessions(
        redis,
        tokens,
        settings.lifetimes,
        settings.sessions_per_account,
        imported_tokens=settings.imported_tokens == "on",
    )
    closing.push_async_callback(sessions.finish)
    wait, cores = settings.password_wait, max(1, usable_cores() // settings.workers)
    passwords = Passwords(settings.bcrypt_rounds, cores, wait)
    closing.callback(passwords.close)
    images = Images(
        max(1, cores // 2), wait, settings.picture_max_pixels, _environment_of_programs()
    )
    closing.callback(images.close)
    closing.callback(app[app_keys.REQUEST_LOG].flush)
    closing.callback(app[METRICS].flush)
    app[app_keys.ACCOUNTS], app[app_keys.PICTURES], app[app_keys.IMAGES] = (
        accounts,
        pictures,
        images,
    )
    limits = None
    if settings.rate_limits == "on":
        limits = Limits(
            redis,
            settings.login_limit,
            settings.address_limit,
            settings.register_limit,
            settings.refresh_limit,
        )
    access = app[app_keys.ACCESS] = Access(accounts, sessions, passwords, limits)
    closing.callback(access.close)
    metrics = app[METRICS].stores
    metrics.count_stores(database, redis, settings.database_pool, settings.redis_pool)
    metrics.count_access(access)
    metrics.count_threads(passwords, images)
    if tracing:
        tracing.trace_stores(database, redis, accounts, access, passwords, images)
    readiness = Readiness({"postgresql": database.ping, "redis": redis.ping})
    app[READINESS] = readiness
    closing.push_async_callback(readiness.close)


def _environment_of_programs() -> dict[str, str]:
    """Return what Python needs to start in a process of ours: no setting, so no secret."""
    names = ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    return {name: os.environ[name] for name in names if name in os.environ}


@contextlib.contextmanager
def _counting_together(several: bool) -> Iterator[None]:
    """Give several processes a directory to count in, which prometheus-client asks for so."""
    if not several:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="latchkey-metrics-") as directory:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
        count_together()
        yield


def main() -> int:
    """Run the command line; return the exit status."""
    try:
        run = commands.parse(sys.argv[1:], create_app)  # `--help` works under a bad setting, too
        settings = read_settings(os.environ)
        with _counting_together(settings.workers > 1):
            return run(settings)
    except BadSetting as problem:
        serves = sys.argv[1:] in ([], ["serve"])
        if serves and os.environ.get("LOG_FORMAT", "").strip() == "json":
            log.set_up(sys.stderr, as_json=True)
        fail(str(problem))
        return 2
    except BrokenPipeError:  # whoever read has enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())
