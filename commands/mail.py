"""`mail`: lists messages that wait in the queue or were written to files, and shows one."""

import asyncio
import datetime
from argparse import ArgumentParser, Namespace
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from commands.console import CommandError, as_table
from commands.runner import command
from commands.stores import core_of
from mail.settings import parse_mail_url
from mail.transport import stored
from settings import Settings
from store.mail_queue import QueuedMail

LISTED = 20
"""Messages of each kind that are listed, at most."""


def add(parser: ArgumentParser) -> None:
    """Describe the command's arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    lists = actions.add_parser("list", help="list the newest messages: waiting, and in files")
    lists.set_defaults(run=command(_list))
    shows = actions.add_parser("show", help="print a message that is in a file, with its link")
    shows.add_argument("id", metavar="ID", nargs="?", type=int, help="the newest by default")
    shows.set_defaults(run=command(_show))


def _list(settings: Settings, _: Namespace) -> str:
    rows = [("ID    ", "KIND    ", "STATE  ", "CREATED (UTC)      ", "ADDRESS")]
    rows += [_waiting(each) for each in asyncio.run(_newest(settings))]
    rows += [_written(each) for each in _files(settings)[:LISTED]]
    return as_table(rows)


def _show(settings: Settings, chosen: Namespace) -> str:
    found = [each for each in _files(settings) if chosen.id in (None, _id_of(each))]
    if not found:
        raise CommandError(
            "no message is in a file"
            if chosen.id is None
            else f"no message in a file has the id {chosen.id}"
        )
    message = _read(found[0])
    text = message.get_body(("plain",))
    body = text.get_content().replace("\r\n", "\n") if text else ""
    return f"To: {message['To']}\nSubject: {message['Subject']}\n\n{body.rstrip()}"


async def _newest(settings: Settings) -> list[QueuedMail]:
    async with core_of(settings, redis_required=False) as core:
        return await core.mail.newest(LISTED)


def _files(settings: Settings) -> list[Path]:
    """Return the messages in files, the newest first."""
    target = parse_mail_url(settings.mail_url) if settings.mail_url else None
    return stored(target) if isinstance(target, Path) else []


def _id_of(file: Path) -> int:
    return int(file.stem.split("-")[1])


def _read(file: Path) -> EmailMessage:
    return message_from_bytes(file.read_bytes(), policy=policy.default)


def _waiting(mail: QueuedMail) -> tuple[str, str, str, str, str]:
    return str(mail.id), mail.kind, "waiting", _utc(mail.created), mail.address


def _written(file: Path) -> tuple[str, str, str, str, str]:
    message = _read(file)
    kind = file.stem.split("-")[2]
    return str(_id_of(file)), kind, "written", _utc(message["Date"].datetime), str(message["To"])


def _utc(moment: datetime.datetime) -> str:
    return f"{moment.astimezone(datetime.UTC):%Y-%m-%d %H:%M:%S}"
