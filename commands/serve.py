"""`serve`: run the server in this process until it is told to stop."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from aiohttp import web

from commands.reach import run_stores
from handlers import Conflict, keys, log
from handlers.connection import Runner
from store.embedded import CantRun
from store.errors import Unavailable

if TYPE_CHECKING:
    from server import Settings

try:
    from uvloop import run as run_loop
except ImportError:  # there is no uvloop for this platform
    from asyncio import run as run_loop  # type: ignore[assignment]  # of the two, one is there

SHUTDOWN_SECONDS = 10.0
"""How long the requests in flight may still take once the server stops."""
LINGERING_SECONDS = 1.0
"""How long a body that was refused is waited out, so that its client can read the answer."""
BACKLOG = 4096
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(settings: "Settings", create_app: Callable[["Settings"], web.Application]) -> int:
    """Serve until SIGTERM or Ctrl-C; return the exit status."""
    log.set_up(sys.stderr, as_json=settings.log_format == "json")
    told: list[int] = []
    for number in STOP_SIGNALS:  # stores that are just being started must be stopped, too
        signal.signal(number, lambda number, _: told.append(number))
    try:
        with run_stores(settings, _say) as reached:
            return 0 if told else run_loop(_serve(reached, create_app))
    except (CantRun, Conflict, Unavailable) as problem:
        print(f"latchkey: {problem}", file=sys.stderr)
        return 1
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        why = os.strerror(error.errno) if error.errno else str(error)
        print(f"latchkey: can't listen on {where}: {why}", file=sys.stderr)
        return 1


async def _serve(settings: "Settings", create_app: Callable[["Settings"], web.Application]) -> int:
    told = asyncio.get_running_loop().create_future()
    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, _tell, told, number)
    app = create_app(settings)
    runner = Runner(
        app,
        access_log=None,
        keepalive_timeout=settings.keepalive_timeout,
        shutdown_timeout=SHUTDOWN_SECONDS,
        lingering_time=LINGERING_SECONDS,
    )
    starting = asyncio.ensure_future(_start(runner, settings))
    try:
        await asyncio.wait((starting, told), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            if await told is signal.SIGTERM:
                await _drain(runner, app, settings.drain_seconds)
        _say("stopping")
    finally:
        starting.cancel()
        await asyncio.wait((starting,))
        await runner.cleanup()
    return 0


async def _start(runner: Runner, settings: "Settings") -> None:
    await runner.setup()
    gc.collect()
    gc.set_threshold(20_000, 20, 20)
    gc.freeze()  # else the collector walks the whole program again and again: p99 5 ms, not 20
    await web.TCPSite(runner, settings.host, settings.port, backlog=BACKLOG).start()
    _greet(settings, runner.addresses[0][1])


def _tell(told: "asyncio.Future[signal.Signals]", number: signal.Signals) -> None:
    if not told.done():
        told.set_result(number)


async def _drain(runner: Runner, app: web.Application, seconds: float) -> None:
    """Close connections behind their next answer, so that no client meets a closed one."""
    _say("draining")
    app[keys.DRAINING].set()
    give_up = asyncio.get_running_loop().time() + seconds
    # aiohttp has no event for the last connection's going.
    while runner.open_connections and asyncio.get_running_loop().time() < give_up:  # noqa: ASYNC110
        await asyncio.sleep(0.02)


def _greet(settings: "Settings", port: int) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{port}"
    mounted = ", ".join(f"{name} at {prefix}" for name, prefix in settings.dialects.items())
    _say(f"serving on {url}")
    _say(f"dialects: {mounted}; each also under its own name")
    tries = [f"{url}/healthz", f"{url}/readyz"]
    if "lumotist" in settings.dialects:
        account = f"{url}{settings.dialects['lumotist'].rstrip('/')}/account"
        json = "-H 'Content-Type: application/json'"
        mika = '"username": "mika", "password": "correct horse"'
        tries = [
            f'{json} -d \'{{{mika}, "email": "mika@example.com"}}\' {account}/register',
            f"{json} -d '{{{mika}}}' {account}/login",
            f"-H 'Authorization: Token <the token>' {account}/profile",
        ]
    print("\nTry:", *(f"  curl {each}" for each in tries), "", sep="\n", flush=True)


def _say(what: str) -> None:
    print(f"latchkey: {what}", flush=True)
