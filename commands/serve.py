"""`serve`: run the server, in this process or in several, until it is told to stop."""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from app import create_app, mail_options, tell_port
from commands.check import startup_warnings
from commands.listening import CannotListen, open_sockets, place
from commands.printing import printable
from commands.serving import BACKLOG, fail, make_runner, print_lines, run_loop, say, settle
from commands.stores import run_stores
from embedded import EmbeddedStoreError
from handlers import Conflict
from handlers.http.connection import Runner
from mail.settings import parse_mail_url
from settings import Settings
from store.errors import Unavailable
from telemetry import log

Warn = Callable[[], Coroutine[Any, Any, None]]
_log = logging.getLogger("latchkey.check")
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(settings: Settings) -> int:
    """Serve until SIGTERM or Ctrl-C; return the exit status."""
    log.set_up(sys.stderr, as_json=settings.log_format == "json")
    told = _note_signals()  # stores that are just being started must be stopped, too
    try:
        with run_stores(settings, say) as reached:
            if told:
                return 0
            if reached.workers == 1:
                return run_loop(_serve(reached, partial(_warn, settings, reached)))
            return _serve_with_workers(reached, partial(_warn, settings, reached))
    except CannotListen as problem:
        fail(f"cannot listen on {place(settings)}: {problem}")
        return 1
    except (EmbeddedStoreError, Conflict, Unavailable, OSError) as problem:
        fail(str(problem))
        return 1


def _note_signals() -> list[int]:
    told: list[int] = []
    for number in STOP_SIGNALS:
        signal.signal(number, lambda number, _: told.append(number))
    return told


def _serve_with_workers(settings: Settings, warn: Warn) -> int:
    """Serve with a manager, once what every worker will do at its start has been seen to work."""
    from commands import workers  # noqa: PLC0415  # one process needs no manager

    if run_loop(_can_start(settings, warn)) and not _note_signals():
        sockets = open_sockets(settings)
        return workers.run(settings, sockets, partial(_greet, settings))
    return 0


async def _can_start(settings: Settings, warn: Warn) -> bool:
    """Reach both stores; return False when told to stop meanwhile. Raises Unavailable, Conflict."""
    async with _started(settings, Runner.setup) as (_, stop):
        if not stop.told.done():
            await warn()
        return not stop.told.done()


async def _serve(settings: Settings, warn: Warn) -> int:
    async with _started(settings, partial(_listen, settings)) as (runner, stop):
        warning = asyncio.create_task(warn())
        why = await stop.told
        warning.cancel()
        if why is signal.SIGTERM:
            say(f"draining for {settings.drain_seconds:g} s; Ctrl-C stops at once")
            await runner.drain(settings.drain_seconds, lambda: not stop.at_once)
        say("stopping")
    return 0


async def _warn(given: Settings, settings: Settings) -> None:
    """Log what `check` would report, of what keeps no server from starting."""
    try:
        for what in await startup_warnings(given, settings):
            _log.warning("%s", printable(what))
    except Unavailable as problem:  # then every request says so, too
        _log.warning("Redis is not checked: %s", problem)
    except Exception:
        _log.exception("Redis is not checked")  # a bug here must keep no server from serving


async def _listen(settings: Settings, runner: Runner) -> None:
    await runner.setup()
    settle()
    for each in open_sockets(settings):
        await web.SockSite(runner, each, backlog=BACKLOG).start()
    tell_port(runner.app, runner.addresses[0][1])
    _greet(settings, runner.addresses[0][1])


class _Stop:
    """The signals to stop: `told` is the first; `at_once` says whether one was Ctrl-C."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.told: asyncio.Future[signal.Signals] = loop.create_future()
        self.at_once = False
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._tell, number)

    def _tell(self, number: signal.Signals) -> None:
        self.at_once = self.at_once or number is signal.SIGINT
        if not self.told.done():
            self.told.set_result(number)


@contextlib.asynccontextmanager
async def _started(
    settings: Settings, start: Callable[[Runner], Awaitable[None]]
) -> AsyncIterator[tuple[Runner, _Stop]]:
    """Give a runner that has been started, and the signals to stop; one may be there."""
    stop = _Stop()
    runner = make_runner(create_app(settings, say), settings)
    starting = asyncio.ensure_future(start(runner))
    try:
        await asyncio.wait((starting, stop.told), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
        yield runner, stop
    finally:
        starting.cancel()
        await asyncio.wait((starting,))
        await runner.cleanup()


def _greet(settings: Settings, port: int) -> None:
    url = f"http://{place(replace(settings, port=port))}"
    mounted = ", ".join(f"{name} at {each.prefix}" for name, each in settings.dialects.items())
    say(f"serving on {url}")
    say(f"dialects: {mounted}; each also under its own name")
    if "kust" in settings.dialects:
        say("in kust every account can read all accounts, as its contract requires")
    say(_where_mail_goes(settings))
    if settings.docs == "on":
        say(f"try the API at {url}/docs")
    tries = [f"{url}/healthz", f"{url}/readyz"]
    if "lumotist" in settings.dialects:
        account = f"{url}{settings.dialects['lumotist'].base}/account"
        json = "-H 'Content-Type: application/json'"
        mika = '"username": "mika", "password": "correct horse"'
        tries = [
            f'{json} -d \'{{{mika}, "email": "mika@example.com"}}\' {account}/register',
            f"{json} -d '{{{mika}}}' {account}/login",
            f"-H 'Authorization: Token <the token>' {account}/profile",
        ]
    if not log.is_json():
        print_lines("\n".join(["\nTry:", *(f"  curl {each}" for each in tries), ""]))


def _where_mail_goes(settings: Settings) -> str:
    options = mail_options(settings)
    if options.problem:
        return f"no mail is sent: {options.problem}"
    target = parse_mail_url(options.url)
    if isinstance(target, Path):
        return f"mail is written to {target}: `python server.py mail show` prints the newest"
    return f"mail is sent by {target.host}:{target.port}"
