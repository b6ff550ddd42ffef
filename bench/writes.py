"""What registrations, logins and logouts write into Redis, weighed through the server's code."""

import asyncio
import secrets
import statistics
from collections.abc import Awaitable, Callable
from dataclasses import replace

import redis

from bench import keys
from bench.accounts import PASSWORD, SPEC
from bench.stores import Stores
from options import core_options
from settings import Settings
from store.access import Access
from store.account import Login, NewAccount
from store.client import Client
from store.core import open_core

COUNT = 2_000
AT_ONCE = 50
DEADLINE = 10.0
LIMITS = ("login", "logins")
"""What the two counters of a login are called."""

Rows = list[tuple[str, str]]
Act = Callable[[int], Awaitable[None]]


def measure(stores: Stores, name: str) -> Rows:
    """Have accounts register, log in, out and in again, and weigh what that writes."""
    keys.begin_file(stores)
    return asyncio.run(_measure(stores, settings_of(stores, name)))


def settings_of(stores: Stores, name: str) -> Settings:
    """Return settings as a deployment has them, but for bcrypt's cost."""
    urls = stores.urls(name)
    return Settings(
        database_url=urls["DATABASE_URL"],
        redis_url=urls["REDIS_URL"],
        secret_keys=(secrets.token_hex(32),),
        bcrypt_rounds=4,
        store_timeout=DEADLINE,
        password_wait=DEADLINE,
    )


async def _measure(stores: Stores, settings: Settings) -> Rows:
    found: Rows = []
    async with open_core(replace(core_options(settings), cores=1)) as core:
        for what, act in acts_of(core.access).items():
            size = await weigh(stores, act)
            found.append((f"append-only file: {what}", f"{size:.0f} B"))
    client = redis.Redis.from_url(settings.redis_url)
    found.append(("memory: the counters of a login, for five minutes", counters(client)))
    return found


def acts_of(access: Access) -> dict[str, Act]:
    """Return what clients do, in the order in which they can."""
    tokens: dict[int, str] = {}

    async def register(number: int) -> None:
        new = NewAccount(f"new{number}", f"new{number}@example.com")
        _, [opened] = await access.register(new, PASSWORD, [SPEC], client_of(number))
        tokens[number] = opened.token

    async def log_in(number: int) -> None:
        await access.log_in(Login(f"new{number}"), PASSWORD, [SPEC], client_of(number))

    async def log_out(number: int) -> None:
        await access.log_out(await access.authenticate(tokens[number]))

    return {
        "a registration": register,
        "a login, when the session is there": log_in,
        "a logout": log_out,
        "a login, with a new session": log_in,
    }


async def weigh(stores: Stores, act: Act) -> float:
    """Return the bytes that one act adds to the append-only file."""
    client = keys.patient(stores)
    before = client.info("persistence")["aof_current_size"]
    for begin in range(0, COUNT, AT_ONCE):
        await asyncio.gather(*map(act, range(begin, begin + AT_ONCE)))
    grown: int = client.info("persistence")["aof_current_size"] - before
    return grown / COUNT


def counters(client: "redis.Redis") -> str:
    """Return what the counters of one login take in memory."""
    found = [list(client.scan_iter(f"*/{each}/*", 1000))[:100] for each in LIMITS]
    sizes = (statistics.mean(map(client.memory_usage, some)) for some in found)
    return f"{sum(sizes):.0f} B"


def client_of(number: int) -> Client:
    """Return a client: each has its own address, or it would meet a limit."""
    return Client(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
