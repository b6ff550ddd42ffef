"""Latchkey: how everything is put together, and the program. Start reading here.

This file alone knows everything, and alone reads the environment.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator

from aiohttp import web

import commands
import handlers
from handlers import cors, keys
from handlers.log import RequestLog
from handlers.proxies import PROXIES, Proxies
from settings import BadSetting, Settings, read_settings
from store.access import Access
from store.accounts import Accounts
from store.connect import keep_trying
from store.database import connect_database
from store.images import Images
from store.limits import Limits
from store.passwords import Passwords
from store.pictures import Pictures
from store.redis import connect_redis
from store.schema import prepare
from store.sessions import Sessions
from store.tokens import Tokens
from store.workers import usable_cores


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
