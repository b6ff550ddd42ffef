"""What serving takes in one process and in several: the event loop, the runner, the log lines."""

import asyncio
import gc
import logging
import os
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

from aiohttp import web

from commands.console import printable
from handlers.http.connection import Runner
from settings import Settings
from telemetry.log import status_line

T = TypeVar("T")

SHUTDOWN_SECONDS = 10.0
"""How long requests in progress may take once the server stops."""
LINGERING_SECONDS = 1.0
"""How long the rest of a rejected body is read, so that its client reads the response."""
BACKLOG = 4096
_NEW_OBJECTS = 20_000
"""New objects between two garbage collections: requests create few cycles."""


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on uvloop, or on asyncio's own loop where there is no uvloop."""
    try:
        from uvloop import run  # noqa: PLC0415
    except ImportError:
        run = asyncio.run  # type: ignore[assignment]  # it takes the same
    return run(main)


def make_runner(app: web.Application, settings: Settings) -> Runner:
    """Return what runs an application on our kind of connections."""
    return Runner(
        app,
        access_log=None,
        keepalive_timeout=settings.keepalive_timeout,
        shutdown_timeout=SHUTDOWN_SECONDS,
        lingering_time=LINGERING_SECONDS,
    )


def freeze_gc() -> None:
    """Exclude the objects that exist now from garbage collection.

    Otherwise each collection visits the whole program: p99 was 20 ms instead of 5.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 20, 20)


def print_status(text: str) -> None:
    """Print a line about this server to standard output."""
    print_lines(status_line(text))


def print_failure(reason: str) -> None:
    """Print to standard error why this server does not start."""
    print(status_line(printable(reason), logging.ERROR), file=sys.stderr, flush=True)


def print_lines(text: str) -> None:
    """Print to standard output; if nobody reads it any more, print nothing from then on."""
    try:
        print(text, flush=True)
    except OSError:  # as with `python server.py | head`, or when the disk is full
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
