"""`mail`: what waits in the queue, and the messages that were written to files."""

import asyncio
import datetime
from argparse import ArgumentParser, Namespace
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from commands.printing import complain, say
from commands.stores import core_of, reach_stores
from embedded import EmbeddedStoreError
from mail.settings import parse_mail_url
from mail.transport import stored
from settings import Settings
from store.errors import AppError
from store.mail_queue import QueuedMail

SHOWN = 20


def add(parser: ArgumentParser) -> None:
    """Describe the command's arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    lists = actions.add_parser("list", help="list the newest messages: waiting, and in files")
    lists.set_defaults(run=_list)
    shows = actions.add_parser("show", help="print a message that is in a file, with its link")
    shows.add_argument("id", metavar="ID", nargs="?", type=int, help="the newest by default")
    shows.set_defaults(run=_show)


def _list(settings: Settings, _: Namespace) -> int:
    try:
        with reach_stores(settings) as reached:
            rows = [("ID", "KIND", "STATE", "CREATED (UTC)", "ADDRESS")]
            rows += [_waiting(each) for each in asyncio.run(_newest(reached))]
            rows += [_written(each) for each in _files(reached)[:SHOWN]]
    except (EmbeddedStoreError, AppError) as problem:
        complain(str(problem))
        return 1
    say("\n".join(f"{a:<6}  {b:<8}  {c:<7}  {d:<19}  {e}" for a, b, c, d, e in rows))
    return 0


def _show(settings: Settings, chosen: Namespace) -> int:
    try:
        with reach_stores(settings) as reached:
            files = _files(reached)
    except EmbeddedStoreError as problem:
        complain(str(problem))
        return 1
    found = [each for each in files if chosen.id in (None, _id_of(each))]
    if not found:
        complain(
            "no message is in a file"
            if chosen.id is None
            else f"no message in a file has the id {chosen.id}"
        )
        return 1
    message = _read(found[0])
    text = message.get_body(("plain",))
    body = text.get_content().replace("\r\n", "\n") if text else ""
    say(f"To: {message['To']}\nSubject: {message['Subject']}\n\n{body.rstrip()}")
    return 0


async def _newest(settings: Settings) -> list[QueuedMail]:
    async with core_of(settings, redis_required=False) as core:
        return await core.mail.newest(SHOWN)


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
