"""`factors import` and `export`: the secrets that accounts share with authenticator apps."""

import asyncio
import base64
import binascii
import json
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from commands.console import count_of, print_error, print_text
from commands.runner import command
from commands.stores import core_of
from commands.transfer import owners
from commands.transfer.messages import problem_message
from commands.transfer.reader import FORMATS, Record, read_chunks
from settings import Settings
from store.core import Core

BATCH = 500
SECRETS = ("totp", "key", "secret", "data")
"""The columns of a secret: ours, django-otp's, django-trench's, and django-allauth's JSON."""
OTHERS = ("confirmed", "is_active", "type", "name", "digits", "step", "t0")
"""Columns that say whether it is one, and of which kind."""
USUAL = {"digits": "6", "step": "30", "t0": "0"}
MIN_BYTES, MAX_BYTES = 10, 64
_FLAGS_OFF = frozenset({"false", "f", "no", "n", "0"})
_APPS = frozenset({"", "app", "totp"})
"""What `type` or `name` says of an authenticator app, in django-allauth and django-trench."""

IMPORT = """\
Import the secrets of authenticator apps from another application, so that its users' apps stay
valid: pairs of an account (user_id, username or email) and its secret, as in django-otp's table
otp_totp_totpdevice (key, in hex), django-allauth's mfa_authenticator (type and data) or
django-trench's trench_mfamethod (name and secret). The file is CSV with a header line or JSON
lines. Import the accounts first. Recovery codes are not imported: each owner makes new ones. An
account that has a second factor here keeps it. Keep the file secret, and destroy it afterwards."""
EXPORT = """\
Print the secrets of all authenticator apps, readable, as JSON lines that `factors import` takes.
Keep them secret: with a secret, anyone can make the codes of its account. Recovery codes and
passkeys are not exported."""


class Pair(NamedTuple):
    """An account, by its id or a name, and its secret; or the problem of their line."""

    line: int
    owner: tuple[str, str] = ("", "")
    secret: bytes = b""
    problem: str = ""


def add_import(parser: ArgumentParser) -> None:
    """Describe the arguments of `factors import`."""
    parser.description = IMPORT
    parser.add_argument("file", metavar="FILE", help="- for standard input")
    parser.add_argument("--check", action="store_true", help="only report problems, line by line")
    parser.add_argument("--format", choices=FORMATS, help="by default, detected from the content")
    run = command(_import, needs_redis=False, stopped="stopped: run it again to continue")
    parser.set_defaults(run=run)


def add_export(parser: ArgumentParser) -> None:
    """Describe the arguments of `factors export`."""
    parser.description = EXPORT
    parser.set_defaults(run=command(_export, needs_redis=False))


def _import(settings: Settings, chosen: Namespace) -> int:
    done, wrong = asyncio.run(_import_all(settings, chosen))
    could = "can be imported" if chosen.check else "imported"
    print_text(f"{count_of(done, 'secret')} {could}, {count_of(wrong, 'line')} with problems")
    return 1 if wrong else 0


async def _import_all(settings: Settings, chosen: Namespace) -> tuple[int, int]:
    done = wrong = 0
    async with core_of(settings, redis_required=False) as core:
        for chunk in read_chunks(chosen.file, chosen.format, _is_known, BATCH):
            pairs = [_read(record) for record in chunk]
            problems = [(pair.line, pair.problem) for pair in pairs if pair.problem]
            sound = [pair for pair in pairs if not pair.problem]
            problems += await _import_some(core, sound, is_check=chosen.check)
            done, wrong = done + len(chunk) - len(problems), wrong + len(problems)
            for line, problem in sorted(problems):
                print_text(f"line {line}: {problem}")
    return done, wrong


async def _import_some(
    core: Core, pairs: Sequence[Pair], *, is_check: bool
) -> list[tuple[int, str]]:
    """Import some secrets, or only look up their accounts; return the problems of lines."""
    ids = await owners.find_ids(core.accounts, [pair.owner for pair in pairs])
    secrets = [(ids.get(pair.owner, 0), pair.secret) for pair in pairs]
    if is_check:
        free = await core.factor_transfer.without_secret([account_id for account_id, _ in secrets])
    else:
        free = await core.factor_transfer.import_secrets(secrets)
    problems = []
    for pair, (account_id, _) in zip(pairs, secrets, strict=True):
        if account_id not in free:
            field, name = pair.owner
            shown = f"{field} {name[: owners.PREVIEW_CHARS]!r}"
            problems.append((pair.line, f"no account has {shown}, or it has a second factor"))
        free.discard(account_id)  # a second secret of the account is a problem
    return problems


def _export(settings: Settings, _: Namespace) -> int:
    return asyncio.run(_export_all(settings))


async def _export_all(settings: Settings) -> int:
    unreadable = 0
    async with core_of(settings, redis_required=False) as core:
        async for account_id, username, email, secret in core.factor_transfer.export_secrets():
            if secret is None:
                unreadable += 1
                continue
            shown = {"id": account_id, "username": username, "email": email}
            print_text(json.dumps({**shown, "totp": base64.b32encode(secret).decode()}))
    if unreadable:
        print_error(f"{count_of(unreadable, 'secret')} under a key that is not in SECRET_KEYS")
    return 1 if unreadable else 0


def _is_known(column: str) -> bool:
    return column.lower() in (*owners.COLUMNS, *SECRETS, *OTHERS)


def _read(record: Record) -> Pair:
    if record.problem:
        return Pair(record.line, problem=problem_message(record.problem).partition(": ")[2])
    fields = {name.lower(): value for name, value in record.fields if value is not None}
    column = owners.column_of(fields)
    owner = str(fields.get(column))
    problem = owners.problem_of(column, owner) or _problem(fields)
    secret = _secret(fields)
    if secret is None:
        problem = problem or "it has no secret in base32 or hex"
    if problem or secret is None:
        return Pair(record.line, problem=problem)
    return Pair(record.line, (owners.COLUMNS[column], owner), secret)


def _problem(fields: Mapping[str, Any]) -> str:
    """Return why a device of the other application cannot be taken, "" for nothing."""
    for name in ("confirmed", "is_active"):
        if str(fields.get(name, "true")).strip().lower() in _FLAGS_OFF:
            return f"its device is not in use ({name})"
    for name in ("type", "name") if "totp" not in fields and "key" not in fields else ():
        if str(fields.get(name, "")).lower() not in _APPS:
            return f"its {name} is not that of an authenticator app"
    for name, usual in USUAL.items():
        if str(fields.get(name, usual)).strip() != usual:
            return f"its {name} is not {usual}, as authenticator apps have it"
    return ""


def _secret(fields: Mapping[str, Any]) -> bytes | None:
    """Return the secret of a line, None if it has none that can be used. It is never shown."""
    value = next((fields[name] for name in SECRETS if name in fields), None)
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    if isinstance(value, dict):
        value = value.get("secret")
    if not isinstance(value, str):
        return None
    text = re.sub(r"[\s=-]", "", value)
    try:
        if re.fullmatch(r"(?:[0-9a-f]{2})+", text):
            secret = bytes.fromhex(text)
        else:
            secret = base64.b32decode(text.upper() + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        return None
    return secret if MIN_BYTES <= len(secret) <= MAX_BYTES else None
