"""The command line: `python server.py [serve]`, and what an operator does besides."""

import argparse
from collections.abc import Callable
from typing import NoReturn

from commands import account, check, gallery, mail, serve, sessions
from settings import VERSION, Settings

ABOUT = """\
Latchkey, a lightweight asynchronous account server for mobile back ends: registration, login,
sessions, profiles and profile pictures, in the dialects of existing Django and Flask back ends.
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

SERVE = """\
Serve until SIGTERM, which completes the requests in progress first, or Ctrl-C. With WORKERS of two
or more, SIGHUP starts new processes and drains the old ones, without losing a request."""

CHECK = """\
Read the settings, connect to both stores, and report the findings, one line each: ok, note, warning
or WRONG. The exit status is 1 if anything is WRONG, 2 if a setting is invalid. Nothing is changed,
except a counter in Redis that expires."""

ACCOUNT = """\
Show, create or change what no endpoint does; import or export all accounts. The server may be
running or stopped."""

GALLERY = """\
The pictures that every account can choose from. Ten are drawn at the first start; after that, only
you change the gallery."""

SESSIONS = """\
A login opens a session; an account has one of each dialect and kind. Ending them takes effect at
once and permanently, even if Redis loses data: PostgreSQL decides."""

MAIL = """\
The newest messages: those that wait in the queue, and those that were written to files, which is
what happens to all mail when the database is embedded and MAIL_URL is not set."""


Run = Callable[[Settings], int]
"""What a command line asks for. Returns the exit status."""


def run(arguments: list[str], settings: Settings) -> int:
    """Do what the arguments say; return the exit status."""
    return parse(arguments)(settings)


def parse(arguments: list[str]) -> Run:
    """Return what the arguments ask for. Prints `--help` and ends the program by itself."""
    parser = _Parser(
        prog="server.py",
        description=ABOUT,
        epilog=MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"Latchkey {VERSION}")
    parser.set_defaults(run=lambda settings, _: serve.run(settings))
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")
    commands.add_parser("serve", help="run the server (default)", description=SERVE)
    check.add(
        commands.add_parser(
            "check", help="report problems of settings and stores", description=CHECK
        )
    )
    account.add(
        commands.add_parser(
            "account", help="show, create, change, delete, import accounts", description=ACCOUNT
        )
    )
    sessions.add(
        commands.add_parser("sessions", help="list sessions, or end them", description=SESSIONS)
    )
    gallery.add(
        commands.add_parser(
            "gallery", help="list the gallery, add or remove pictures", description=GALLERY
        )
    )
    mail.add(commands.add_parser("mail", help="list messages, or show one", description=MAIL))
    chosen = parser.parse_args(arguments)
    return lambda settings: chosen.run(settings, chosen)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"latchkey: {message}; see `{self.prog} --help`\n")
