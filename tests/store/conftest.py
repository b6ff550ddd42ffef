"""What a server is made of, without HTTP: composed as server.py does it, and closed in the end."""

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import pytest

from settings import Settings
from store.access import Access
from store.accounts import Accounts
from store.passwords import Passwords
from store.postgresql.database import Database, connect_database
from store.redis.client import Redis, connect_redis
from store.schema import prepare
from store.sessions import Sessions
from store.tokens import Tokens


@dataclass(frozen=True)
class Core:
    """One server's share of both stores."""

    database: Database
    redis: Redis
    tokens: Tokens
    accounts: Accounts
    sessions: Sessions
    passwords: Passwords
    access: Access


Connect = Callable[..., AbstractAsyncContextManager[Core]]


@contextlib.asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Core]:
    deadline = settings.store_timeout
    async with AsyncExitStack() as stack:
        url, size = settings.database_url, settings.database_pool
        database = await connect_database(url, size, deadline)
        stack.push_async_callback(database.close)
        redis = await connect_redis(settings.redis_url, settings.redis_pool, deadline)
        stack.push_async_callback(redis.close)
        await prepare(database)
        passwords = Passwords(settings.bcrypt_rounds, 2, settings.password_wait)
        stack.callback(passwords.close)
        tokens = Tokens([key.encode() for key in settings.secret_keys])
        sessions = Sessions(redis, tokens, settings.lifetimes, settings.sessions_per_account)
        stack.push_async_callback(sessions.finish)
        accounts = Accounts(database)
        stack.callback(accounts.close)
        access = Access(accounts, sessions, passwords)
        stack.callback(access.close)
        yield Core(database, redis, tokens, accounts, sessions, passwords, access)


@pytest.fixture
def connect(settings: Settings, clean: None) -> Connect:
    """Connect another server; what is given replaces its settings."""

    def connect(**changes: Any) -> AbstractAsyncContextManager[Core]:
        return connected(replace(settings, **changes))

    return connect


@pytest.fixture
async def core(connect: Connect) -> AsyncIterator[Core]:
    """A server without HTTP, on empty stores."""
    async with connect() as core:
        yield core
