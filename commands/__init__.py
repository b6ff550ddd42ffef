"""The command line: `python server.py [COMMAND]`. Each command is a module of this package."""

import argparse
import importlib
from collections.abc import Callable
from typing import NoReturn

from settings import VERSION, Settings

ABOUT = """\
Latchkey, an asynchronous account server for mobile and web apps: registration, login, sessions,
e-mail, profiles and pictures, in its own API and in those of existing Django and Flask back ends.
Without a command it serves."""

MORE = """\
settings:
  All are environment variables, in docs/settings.md. With neither DATABASE_URL nor REDIS_URL the
  server runs an embedded PostgreSQL and Redis, with their data in DATA_DIR (`data`). The other
  commands find the same stores by the same settings, whether the server is running or not.

examples:
  python server.py                            serve on http://127.0.0.1:8000
  HOST=0.0.0.0 WORKERS=4 python server.py     serve with four processes, on all addresses
  python server.py check                      before the first start, and to find problems
  python server.py account set mika is_active=false
  python server.py account import users.csv --check
  python server.py sessions list mika
  python server.py sessions end mika
  python server.py mail show                  the newest message, with its link
  python server.py COMMAND --help             more about a command

exit status:
  0  success
  1  failure: one line on stderr gives the reason, and begins with `latchkey: `
  2  a setting or an argument is invalid"""

COMMANDS = {
    "serve": (
        "run the server (default)",
        """\
Serve until SIGTERM, which completes the requests in progress first, or Ctrl-C. With WORKERS of two
or more, SIGHUP starts new processes and drains the old ones, without losing a request.""",
    ),
    "check": (
        "report problems of settings and stores",
        """\
Read the settings, connect to both stores, and report the findings, one line each: ok, note, warning
or WRONG. The exit status is 1 if anything is WRONG, 2 if a setting is invalid. Nothing is changed,
except a counter in Redis that expires.""",
    ),
    "account": (
        "show, create, change, delete, import accounts",
        """\
Show, create or change what no endpoint does; import or export all accounts. The server may be
running or stopped.""",
    ),
    "factors": (
        "show or remove second factors, import secrets",
        """\
The second factors and passkeys of an account, and the secrets of all authenticator apps.""",
    ),
    "sessions": (
        "list sessions, or end them",
        """\
The sessions that logins opened: of every device, or one of an account for each dialect and kind.
Ending them takes effect at once and permanently, even if Redis loses data: PostgreSQL decides.""",
    ),
    "gallery": (
        "list the gallery, add or remove pictures",
        """\
The pictures that every account can choose from. Ten are drawn at the first start; after that, only
you change the gallery.""",
    ),
    "events": (
        "list what was done to accounts",
        """\
What was done to accounts, when and by whom, the oldest first. Events are recorded with EVENTS=on
and kept for EVENT_DAYS.""",
    ),
    "webhooks": (
        "list receivers of events, or resume one",
        """\
The receivers that WEBHOOKS lists: what waits for each, and why it fails. One that has failed for a
day is paused until you resume it.""",
    ),
    "mail": (
        "list messages, or show one",
        """\
The newest messages: those that wait in the queue, and those that were written to files, which is
what happens to all mail when the database is embedded and MAIL_URL is not set.""",
    ),
}
"""Each command with its line in the list of commands and its description."""

Run = Callable[[Settings], int]
"""What a command line asks for. Returns the exit status."""


def run(arguments: list[str], settings: Settings) -> int:
    """Run the command that the arguments name; return the exit status."""
    return parse(arguments)(settings)


def parse(arguments: list[str]) -> Run:
    """Return what runs the command. `--help` and invalid arguments end the program here.

    Only the modules of commands that the arguments name are imported.
    """
    arguments = arguments or ["serve"]
    parser = _Parser(
        prog="server.py",
        description=ABOUT,
        epilog=MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"Latchkey {VERSION}")
    parsers = parser.add_subparsers(metavar="COMMAND", title="commands", required=True)
    for name, (line, description) in COMMANDS.items():
        command = parsers.add_parser(name, help=line, description=description)
        if name in arguments:
            importlib.import_module(f"commands.{name}").add(command)
    chosen = parser.parse_args(arguments)
    return lambda settings: chosen.run(settings, chosen)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"latchkey: {message}; see `{self.prog} --help`\n")
