"""One process that serves: how its connections are run, and how it settles."""

import asyncio
import gc
import logging
import os
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

from aiohttp import web

from commands.printing import printable
from handlers.http.connection import Runner
from settings import Settings
from telemetry.log import status_line

T = TypeVar("T")

SHUTDOWN_SECONDS = 10.0
"""How long the requests in flight may still take once the server stops."""
LINGERING_SECONDS = 1.0
"""How long a body that was refused is waited out, so that its client can read the answer."""
BACKLOG = 4096
_NEW_OBJECTS = 20_000
"""The collector looks for cycles this often: a request makes few, and its default finds none."""


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on uvloop, or on asyncio's own loop where there is no uvloop."""
    try:
        from uvloop import run  # noqa: PLC0415
    except ImportError:
        run = asyncio.run  # type: ignore[assignment]  # it takes the same
    return run(main)


def make_runner(app: web.Application, settings: Settings) -> Runner:
    """Return what runs an application on connections of ours."""
    return Runner(
        app,
        access_log=None,
        keepalive_timeout=settings.keepalive_timeout,
        shutdown_timeout=SHUTDOWN_SECONDS,
        lingering_time=LINGERING_SECONDS,
    )


def settle() -> None:
    """Have the collector pass over what has been made so far.

    Else it walks the whole program again and again: p99 was 20 ms, not 5.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 20, 20)


def say(what: str) -> None:
    """Print a line about this server. Nobody needs to read it: a reader may have gone."""
    print_lines(status_line(what))


def fail(what: str) -> None:
    """Print on stderr why this server does not start."""
    print(status_line(printable(what), logging.ERROR), file=sys.stderr, flush=True)


def print_lines(text: str) -> None:
    """Print on stdout; when it can't be written to, no more is written there."""
    try:
        print(text, flush=True)
    except OSError:  # as with `python server.py | head`, or when the disk is full
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
