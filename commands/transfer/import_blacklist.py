"""`sessions blacklist`: refuses refresh tokens that another application had blacklisted."""

import asyncio
import time
from argparse import ArgumentParser, Namespace

from commands.console import count_of, print_text
from commands.runner import command
from commands.stores import core_of
from commands.transfer.messages import problem_message
from commands.transfer.reader import FORMATS, Record, read_chunks, read_time
from settings import Settings
from store.jwt_sessions import refuse_old_tokens

BATCH = 500
"""Tokens in one pipeline: Redis has to execute all of it within STORE_TIMEOUT."""
JTI, ENDS = "jti", "expires_at"

DESCRIPTION = """\
Refuse refresh tokens that another application had blacklisted. With JWT_MOVED_AT the server accepts
the refresh tokens of that application, and does not know which of them it had ended. The file has
the columns jti and expires_at, as in the tables of Simple JWT's app token_blacklist, as CSV with a
header line or JSON lines. Import it before the server starts with JWT_MOVED_AT. You can run it
again, and must do so if Redis has lost its data."""


def add(parser: ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.description = DESCRIPTION
    parser.add_argument("file", metavar="FILE", help="- for standard input")
    parser.add_argument("--format", choices=FORMATS, help="by default, detected from the content")
    parser.set_defaults(run=command(_run, stopped="stopped: run it again to continue"))


def _run(settings: Settings, chosen: Namespace) -> int:
    done, wrong = asyncio.run(_import(settings, chosen))
    print_text(f"{count_of(done, 'token')} refused, {count_of(wrong, 'line')} with problems")
    return 1 if wrong else 0


async def _import(settings: Settings, chosen: Namespace) -> tuple[int, int]:
    done = wrong = 0
    async with core_of(settings) as core:
        for chunk in read_chunks(chosen.file, chosen.format, _is_known, BATCH):
            read = [_read(record) for record in chunk]
            tokens = [each for each in read if not isinstance(each, str)]
            await refuse_old_tokens(core.redis, [each for each in tokens if each[1] > time.time()])
            for problem in (each for each in read if isinstance(each, str)):
                print_text(problem)
            done, wrong = done + len(tokens), wrong + len(read) - len(tokens)
    return done, wrong


def _is_known(column: str) -> bool:
    return column.lower() in (JTI, ENDS)


def _read(record: Record) -> tuple[str, float] | str:
    """Return a token's `jti` and its end in seconds since 1970, or the problem of the line."""
    if record.problem:
        return problem_message(record.problem)
    fields = {name.lower(): value for name, value in record.fields if value is not None}
    jti, ends = fields.get(JTI), read_time(str(fields.get(ENDS)))
    if not isinstance(jti, str) or not jti:
        return f"line {record.line}: it has no jti"
    if not ends:
        return f"line {record.line}: its expires_at is not a time"
    return jti, ends
