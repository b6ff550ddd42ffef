"""One process that serves: how its connections are run, and how it settles."""

import gc

from aiohttp import web

from handlers.connection import Runner
from settings import Settings

SHUTDOWN_SECONDS = 10.0
"""How long the requests in flight may still take once the server stops."""
LINGERING_SECONDS = 1.0
"""How long a body that was refused is waited out, so that its client can read the answer."""
BACKLOG = 4096
_NEW_OBJECTS = 20_000
"""The collector looks for cycles this often: a request makes few, and its default finds none."""


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
