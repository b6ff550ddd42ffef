"""`WORKERS=N`: N processes on one listening socket, under gunicorn.

The manager holds the socket and the embedded stores. SIGTERM to it drains and ends every worker;
SIGHUP starts new workers and drains the old ones, without a lost request.
"""

import mmap
import os
import socket
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.worker import GunicornUVLoopWebWorker
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from prometheus_client.multiprocess import mark_process_dead

from app import create_app, tell_port
from commands.serving import BACKLOG, SHUTDOWN_SECONDS, freeze_gc, make_runner, print_status
from handlers.http.connection import Runner
from settings import Settings
from store.errors import Unavailable


def run(
    settings: Settings,
    sockets: Sequence[socket.socket],
    print_banner: Callable[[int], None],
) -> int:
    """Serve with several processes until SIGTERM or Ctrl-C; return the exit status.

    They take over the sockets. `print_banner` is given the port once they listen.
    """
    manager = os.getpid()
    mark_process_dead(manager)  # type: ignore[no-untyped-call]  # it has tried the start itself
    try:
        _Manager(settings, [each.detach() for each in sockets], print_banner).run()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0
        if os.getpid() != manager:  # the rest of the stack is the manager's
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        return status
    return 0


class _Manager(BaseApplication):  # type: ignore[misc]  # gunicorn ships no types
    def __init__(
        self,
        settings: Settings,
        descriptors: Sequence[int],
        print_banner: Callable[[int], None],
    ) -> None:
        self.settings = settings
        self._descriptors = descriptors
        self._print_banner = print_banner
        self._leaving = mmap.mmap(-1, 1)  # the workers' memory, too
        super().__init__()

    @property
    def is_leaving(self) -> bool:
        """Whether all of the server stops, and not only workers that others replace."""
        return self._leaving[0] != 0

    def leave(self) -> None:
        """Tell the workers, before the signal which they get when they are replaced, too."""
        self._leaving[0] = 1

    def run(self) -> None:
        _Arbiter(self).run()

    def load_config(self) -> None:
        settings = self.settings
        ours = {
            "bind": [f"fd://{each}" for each in self._descriptors],
            "backlog": BACKLOG,
            "workers": settings.workers,
            "worker_class": Worker,
            "logger_class": _Log,
            "graceful_timeout": int(settings.drain_seconds + SHUTDOWN_SECONDS + 5),
            "control_socket_disable": True,
            "when_ready": self._ready,
            "child_exit": _forget_gauges,
        }
        for name, value in ours.items():
            self.cfg.set(name, value)

    def load(self) -> web.Application:
        return create_app(self.settings, print_status)

    def _ready(self, arbiter: Arbiter) -> None:
        self._print_banner(arbiter.LISTENERS[0].sock.getsockname()[1])


class _Arbiter(Arbiter):  # type: ignore[misc]
    def stop(self, graceful: bool = True) -> None:
        self.app.leave()
        super().stop(graceful)


def _forget_gauges(arbiter: Arbiter, worker: Any) -> None:
    """Count a worker that has ended no more in what is there now: its requests stay counted."""
    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


class Worker(GunicornUVLoopWebWorker):
    """aiohttp's worker with Latchkey's connections, which drains before it ends."""

    _hurried = False

    async def _run(self) -> None:
        settings: Settings = self.app.settings
        runner = make_runner(self.wsgi, settings)
        self.booted = True  # else gunicorn ends everything when a store is away for a while
        try:
            await runner.setup()
        except Unavailable as problem:
            self.log.warning("%s", problem)
            await runner.cleanup()  # the last spans are sent
            sys.exit(1)
        freeze_gc()
        for listener in self.sockets:
            await web.SockSite(runner, listener.sock, backlog=BACKLOG).start()
        tell_port(runner.app, self.sockets[0].sock.getsockname()[1])
        while self.alive and os.getppid() == self.ppid:
            self.notify()
            await self._wait_next_notify()
        if not self.app.is_leaving:
            for site in list(runner.sites):
                await site.stop()  # the others go on to accept
        await runner.drain(settings.drain_seconds, partial(self._drains_on, runner))
        await runner.cleanup()

    def _drains_on(self, runner: Runner) -> bool:
        """Return whether to go on draining: a worker that was replaced only while it is asked."""
        self.notify()
        has_connections = runner.server is not None and bool(runner.server.connections)
        return not self._hurried and (self.app.is_leaving or has_connections)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Begin to drain at once: aiohttp's loop looks once a second."""
        super().handle_exit(sig, frame)
        self._notify_waiter_done()

    def handle_quit(self, sig: int, frame: Any) -> None:
        """End without draining, as Ctrl-C does."""
        self._hurried = True
        super().handle_quit(sig, frame)


class _Log(Logger):  # type: ignore[misc]
    """What gunicorn says goes where everything else goes."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
