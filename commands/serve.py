"""`serve`: run the server in this process until it is told to stop."""

import asyncio
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
BACKLOG = 4096


def run(settings: "Settings", create_app: Callable[["Settings"], web.Application]) -> int:
    """Serve until SIGTERM or Ctrl-C; return the exit status."""
    log.set_up(sys.stderr, as_json=settings.log_format == "json")
    try:
        with run_stores(settings, _say) as reached:
            return run_loop(_serve(reached, create_app))
    except (CantRun, Conflict, Unavailable) as problem:
        print(f"latchkey: {problem}", file=sys.stderr)
        return 1
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        print(f"latchkey: can't listen on {where}: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


async def _serve(settings: "Settings", create_app: Callable[["Settings"], web.Application]) -> int:
    stop: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.put_nowait, number)
    app = create_app(settings)
    runner = Runner(
        app,
        access_log=None,
        keepalive_timeout=settings.keepalive_timeout,
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
    try:
        await runner.setup()
        await web.TCPSite(runner, settings.host, settings.port, backlog=BACKLOG).start()
        _greet(settings, runner.addresses[0][1])
        if await stop.get() is signal.SIGTERM:
            await _drain(runner, app, settings.drain_seconds)
        _say("stopping")
    finally:
        await runner.cleanup()
    return 0


async def _drain(runner: Runner, app: web.Application, seconds: float) -> None:
    """Close connections behind their next answer, so that no client meets a closed one."""
    _say("draining")
    app[keys.DRAINING].set()
    give_up = asyncio.get_running_loop().time() + seconds
    while runner.open_connections and asyncio.get_running_loop().time() < give_up:
        await asyncio.sleep(0.02)


def _greet(settings: "Settings", port: int) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{port}"
    mounted = ", ".join(f"{name} at {prefix}" for name, prefix in settings.dialects.items())
    json = "-H 'Content-Type: application/json'"
    mika = '{"username": "mika", "email": "mika@example.com", "password": "correct horse"}'
    _say(f"serving on {url}")
    _say(f"dialects: {mounted}; each also under its own name")
    print(
        f"""
Try:
  curl {json} -d '{mika}' {url}/account/register
  curl {json} -d '{{"username": "mika", "password": "correct horse"}}' {url}/account/login
  curl -H 'Authorization: Token <the token>' {url}/account/profile
""",
        flush=True,
    )


def _say(what: str) -> None:
    print(f"latchkey: {what}", flush=True)
