"""The command line: `python server.py [serve]`, and what an operator does besides."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from aiohttp import web

from commands import serve

if TYPE_CHECKING:
    from server import Settings

CreateApp = Callable[["Settings"], web.Application]


def run(arguments: list[str], settings: "Settings", create_app: CreateApp) -> int:
    """Do what the arguments say; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="server.py",
        description="Latchkey, an account server for mobile back ends. Settings are environment "
        "variables; the README lists them.",
    )
    subcommands = parser.add_subparsers(metavar="COMMAND")
    subcommands.add_parser("serve", help="run the server (the default)")
    parser.parse_args(arguments)
    return serve.run(settings, create_app)
