"""Runs an operator's command: reaches the stores, prints the result, or why there is none."""

import asyncio
from argparse import Namespace
from collections.abc import Awaitable, Callable
from dataclasses import replace

from commands.console import CommandError, is_at_a_terminal, print_error, print_text
from commands.stores import UNREACHED, core_of, database_of, reach_stores
from embedded import EmbeddedStoreError
from settings import Settings
from store.core import Core
from store.errors import AppError, Busy, Taken, Unstorable
from store.postgresql.database import Database

Result = str | int
"""The text to print at the end, or the exit status of a command that has printed everything."""
Act = Callable[[Settings, Namespace], Result]
"""What a command does, with settings that name both stores. Raises CommandError, AppError."""


def command(
    act: Act,
    *,
    check: Callable[[Namespace], None] | None = None,
    needs_redis: bool = True,
    stopped: str = "stopped",
) -> Callable[[Settings, Namespace], int]:
    """Return what runs a command and returns its exit status.

    `check` raises CommandError for invalid arguments, before a store is reached. Unless
    `needs_redis`, no Redis is started or named. Ctrl-C prints `stopped`.
    """

    def run(settings: Settings, chosen: Namespace) -> int:
        if not needs_redis:
            settings = replace(settings, redis_url=UNREACHED)
        try:
            if check:
                check(chosen)
            with reach_stores(settings) as reached:
                result = act(reached, chosen)
        except BrokenPipeError:  # server.py ends the program without a word
            raise
        except CommandError as error:
            print_error(str(error))
            return error.status
        except (AppError, EmbeddedStoreError, OSError) as error:
            print_error(_reason(error))
            return 1
        except KeyboardInterrupt:
            print_error(stopped)
            return 1
        if isinstance(result, int):
            return result
        print_text(result)
        return 0

    return run


def on_core(
    act: Callable[[Core, Namespace], Awaitable[Result]], *, redis_required: bool = False
) -> Act:
    """Return what opens a core for `act`. Unless `redis_required`, Redis may be unavailable."""

    async def run(settings: Settings, chosen: Namespace) -> Result:
        async with core_of(settings, redis_required=redis_required) as core:
            return await act(core, chosen)

    return lambda settings, chosen: asyncio.run(run(settings, chosen))


def on_database(act: Callable[[Database, Namespace], Awaitable[Result]]) -> Act:
    """Return what opens PostgreSQL alone for `act`."""

    async def run(settings: Settings, chosen: Namespace) -> Result:
        async with database_of(settings) as database:
            return await act(database, chosen)

    return lambda settings, chosen: asyncio.run(run(settings, chosen))


def on_tables(act: Act) -> Act:
    """Return what creates or migrates the tables, then runs `act`, which opens PostgreSQL itself.

    That is for bulk work. `act` is not run in an event loop, so that Ctrl-C ends it at once.
    """

    async def prepare(settings: Settings) -> None:
        async with database_of(settings):
            pass

    def run(settings: Settings, chosen: Namespace) -> Result:
        asyncio.run(prepare(settings))
        return act(settings, chosen)

    return run


def can_confirm(what: str, *, confirmed: bool) -> None:
    """Raise CommandError for a command that needs a yes, if nobody can be asked for it."""
    if not (confirmed or is_at_a_terminal()):
        raise CommandError(f"this {what}, and there is no terminal to confirm it; use --yes", 2)


def _reason(error: Exception) -> str:
    match error:
        case Taken():
            return f"another account has this {' and this '.join(sorted(error.fields))}"
        case Unstorable():
            return (
                f"{error.field} cannot be stored: it is too long, or contains an invisible "
                "character"
            )
        case Busy():
            return f"the operation timed out: {error}"
        case OSError(strerror=str(reason), filename=str(name)):
            return f"{name}: {reason}"
        case OSError(strerror=str(reason)):
            return reason
        case _:
            return str(error)
