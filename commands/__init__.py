"""The command line: `python server.py [serve]`, and what an operator does besides."""

import argparse
from collections.abc import Callable
from typing import NoReturn

from aiohttp import web

from commands import account, gallery, serve
from settings import Settings

CreateApp = Callable[[Settings], web.Application]


def run(arguments: list[str], settings: Settings, create_app: CreateApp) -> int:
    """Do what the arguments say; return the exit status."""
    parser = _Parser(
        prog="server.py",
        description="Latchkey, an account server for mobile back ends. Settings are environment "
        "variables; the README lists them.",
    )
    parser.set_defaults(run=lambda settings, _: serve.run(settings, create_app))
    commands = parser.add_subparsers(metavar="COMMAND")
    commands.add_parser("serve", help="run the server (the default)")
    account.add(commands.add_parser("account", help="show an account, or change it"))
    gallery.add(commands.add_parser("gallery", help="list the gallery, add to it, remove from it"))
    chosen = parser.parse_args(arguments)
    status: int = chosen.run(settings, chosen)
    return status


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"latchkey: {message}; see `{self.prog} --help`\n")
