"""`serve`: runs the server, in this process or in several, until a signal stops it."""

import asyncio
import contextlib
import logging
import signal
import sys
from argparse import ArgumentParser
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from app import CORE, create_app, tell_port
from commands.check import startup_warnings
from commands.console import printable
from commands.listening import CannotListen, Listener, listeners, open_sockets, place
from commands.serving import (
    BACKLOG,
    freeze_gc,
    make_runner,
    print_failure,
    print_lines,
    print_status,
    run_loop,
)
from commands.stores import run_stores
from embedded import EmbeddedStoreError
from handlers import Conflict
from handlers.http.connection import Runner
from mail.settings import parse_mail_url
from options import mail_options
from settings import Settings
from store.errors import Unavailable
from telemetry import log

Warn = Callable[[], Coroutine[Any, Any, None]]
_log = logging.getLogger("latchkey.check")
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def add(parser: ArgumentParser) -> None:
    """Describe the command's arguments: there are none."""
    parser.set_defaults(run=lambda settings, _: run(settings))


def run(settings: Settings) -> int:
    """Serve until SIGTERM or Ctrl-C; return the exit status."""
    log.set_up(sys.stderr, as_json=settings.log_format == "json")
    signals = _note_signals()  # stores that are just being started must be stopped, too
    try:
        with run_stores(settings, print_status) as reached:
            if signals:
                return 0
            if reached.workers == 1:
                return run_loop(_serve(reached, partial(_warn, settings, reached)))
            return _serve_with_workers(reached, partial(_warn, settings, reached))
    except CannotListen as problem:
        print_failure(f"cannot listen on {problem.place}: {problem}")
        return 1
    except (EmbeddedStoreError, Conflict, Unavailable, OSError) as problem:
        print_failure(str(problem))
        return 1


def _note_signals() -> list[int]:
    signals: list[int] = []
    for number in STOP_SIGNALS:
        signal.signal(number, lambda number, _: signals.append(number))
    return signals


def _serve_with_workers(settings: Settings, warn: Warn) -> int:
    """Serve with a manager, once this process has done successfully what each worker does first."""
    from commands import workers  # noqa: PLC0415  # one process needs no manager

    if run_loop(_can_start(settings, warn)) and not _note_signals():
        sockets = open_sockets(settings)
        return workers.run(settings, sockets, partial(_print_banner, settings))
    return 0


async def _can_start(settings: Settings, warn: Warn) -> bool:
    """Reach both stores; return whether no signal came. Raises Unavailable, Conflict."""
    async with _started(settings, Runner.setup) as (runner, stop):
        if not stop.signal.done():
            await warn()
            await _print_first_administrator(settings, runner)
        return not stop.signal.done()


async def _serve(settings: Settings, warn: Warn) -> int:
    async with _started(settings, partial(_listen, settings)) as (runner, stop):
        warning = asyncio.create_task(warn())
        received = await stop.signal
        warning.cancel()
        if received is signal.SIGTERM:
            print_status(f"draining for {settings.drain_seconds:g} s; Ctrl-C stops at once")
            await runner.drain(settings.drain_seconds, lambda: not stop.at_once)
        print_status("stopping")
    return 0


async def _warn(given: Settings, settings: Settings) -> None:
    """Log those findings of `check` that do not prevent a start."""
    try:
        for what in await startup_warnings(given, settings):
            _log.warning("%s", printable(what))
    except Unavailable as problem:  # then every request says so, too
        _log.warning("Redis is not checked: %s", problem)
    except Exception:
        _log.exception("Redis is not checked")  # a bug here must keep no server from serving


async def _listen(settings: Settings, runner: Runner) -> None:
    await runner.setup()
    freeze_gc()
    for each in open_sockets(settings):
        await web.SockSite(runner, each, backlog=BACKLOG).start()
    tell_port(runner.app, runner.addresses[0][1])
    _print_banner(settings, runner.addresses[0][1])
    await _print_first_administrator(settings, runner)


class _Stop:
    """The signals to stop: `signal` is the first; `at_once` is whether one was Ctrl-C."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.signal: asyncio.Future[signal.Signals] = loop.create_future()
        self.at_once = False
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._receive, number)

    def _receive(self, number: signal.Signals) -> None:
        self.at_once = self.at_once or number is signal.SIGINT
        if not self.signal.done():
            self.signal.set_result(number)


@contextlib.asynccontextmanager
async def _started(
    settings: Settings, start: Callable[[Runner], Awaitable[None]]
) -> AsyncIterator[tuple[Runner, _Stop]]:
    """Yield a started runner and the signals to stop, one of which may have come."""
    stop = _Stop()
    runner = make_runner(create_app(settings, print_status), settings)
    starting = asyncio.ensure_future(start(runner))
    try:
        await asyncio.wait((starting, stop.signal), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
        yield runner, stop
    finally:
        starting.cancel()
        await asyncio.wait((starting,))
        await runner.cleanup()


def _print_banner(settings: Settings, port: int) -> None:
    url = internal = f"http://{place(Listener(settings.host, port))}"
    print_status(f"serving on {url}")
    for each in listeners(settings)[1:]:
        internal = f"http://{place(each)}"
        print_status(f"internal endpoints on {internal}")
    mounted = ", ".join(f"{name} at {each.prefix}" for name, each in settings.dialects.items())
    print_status(f"dialects: {mounted}; each also under its own name")
    if "kust" in settings.dialects:
        print_status("in kust every account can read all accounts, as its contract requires")
    print_status(_where_mail_goes(settings))
    if settings.docs == "on":
        print_status(f"try the API at {url}/docs")
    if settings.admin == "on":
        print_status(f"administer accounts at {url}/ui/admin")
    examples = [f"{url}/healthz", f"{internal}/readyz"]
    if "lumotist" in settings.dialects:
        account = f"{url}{settings.dialects['lumotist'].base}/account"
        json = "-H 'Content-Type: application/json'"
        mika = '"username": "mika", "password": "correct horse"'
        examples = [
            f'{json} -d \'{{{mika}, "email": "mika@example.com"}}\' {account}/register',
            f"{json} -d '{{{mika}}}' {account}/login",
            f"-H 'Authorization: Token <the token>' {account}/profile",
        ]
    if not log.is_json():
        print_lines("\n".join(["\nTry:", *(f"  curl {each}" for each in examples), ""]))


async def _print_first_administrator(settings: Settings, runner: Runner) -> None:
    """Print how to create an administrator, if nobody can sign in to the admin page."""
    if settings.admin == "on":
        with contextlib.suppress(Unavailable):
            if await runner.app[CORE].directory.has_superuser():
                return
            python = sys.executable.removeprefix(f"{Path.cwd()}/")
            command = f"{python} {sys.argv[0]} account create --superuser username=admin"
            print_status(f"no account is an administrator; create one with `{command}`")


def _where_mail_goes(settings: Settings) -> str:
    options = mail_options(settings)
    if options.problem:
        return f"no mail is sent: {options.problem}"
    target = parse_mail_url(options.url)
    if isinstance(target, Path):
        return f"mail is written to {target}: `python server.py mail show` prints the newest"
    return f"mail is sent by {target.host}:{target.port}"
