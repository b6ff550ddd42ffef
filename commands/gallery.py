"""`gallery`: the pictures that every account may choose from are the operator's."""

import asyncio
from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable
from pathlib import Path

from commands.printing import complain, printable, say
from commands.stores import core_of, reach_stores
from embedded import EmbeddedStoreError
from settings import Settings
from store.core import Core
from store.errors import AppError, BadPicture, Unstorable

Action = Callable[[Core, Namespace], Awaitable[str]]


def add(parser: ArgumentParser) -> None:
    """Describe the command's arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    lists = actions.add_parser("list", help="list the gallery")
    lists.set_defaults(action=_list)
    adds = actions.add_parser("add", help="add a picture: JPEG, PNG, WebP or GIF")
    adds.add_argument("file", metavar="FILE", type=Path)
    adds.add_argument(
        "--group", required=True, help="the group in which it is listed: female, male, …"
    )
    adds.add_argument(
        "--new-group", action="store_true", help="create the group if it does not exist"
    )
    adds.add_argument("--name", required=True, help="its name")
    adds.set_defaults(action=_add)
    removes = actions.add_parser("remove", help="remove a picture, from the accounts too")
    removes.add_argument("id", metavar="ID", type=int)
    removes.set_defaults(action=_remove)
    parser.set_defaults(run=run)


def run(settings: Settings, arguments: Namespace) -> int:
    """Do what is asked and say what was done; return the exit status."""
    try:
        with reach_stores(settings) as reached:
            say(asyncio.run(_act(reached, arguments)))
    except BadPicture as problem:
        complain(f"{arguments.file} cannot be used: {problem}")
        return 1
    except Unstorable as problem:
        complain(f"this {problem.field} cannot be stored")
        return 1
    except (EmbeddedStoreError, AppError, OSError, LookupError) as problem:
        complain(str(problem))
        return 1
    return 0


async def _act(settings: Settings, arguments: Namespace) -> str:
    async with core_of(settings, redis_required=False) as core:
        action: Action = arguments.action
        return await action(core, arguments)


async def _list(core: Core, arguments: Namespace) -> str:
    rows = [("ID", "GROUP", "NAME", "PICTURE")]
    for each in await core.pictures.gallery():
        rows.append(
            (
                str(each.id),
                printable(each.group),
                printable(each.name),
                f"/pictures/{each.picture_id}",
            )
        )
    return "\n".join(f"{a:>4}  {b:<10}  {c:<16}  {d}" for a, b, c, d in rows)


async def _add(core: Core, arguments: Namespace) -> str:
    groups = sorted({each.group for each in await core.pictures.gallery()})
    if arguments.group not in groups and not arguments.new_group:
        there = ", ".join(groups) or "none"
        raise LookupError(
            f"there is no group {arguments.group!r}; there are: {there}. --new-group creates one"
        )
    sent = await asyncio.to_thread(arguments.file.read_bytes)
    sides = await core.images.square(sent)
    gallery_id = await core.pictures.add_to_gallery(arguments.group, arguments.name, sides)
    return f"{arguments.name} was added as picture {gallery_id}"


async def _remove(core: Core, arguments: Namespace) -> str:
    shown = await core.pictures.remove_from_gallery(arguments.id)
    if shown is None:
        raise LookupError(f"the gallery has no picture {arguments.id}")
    accounts = "1 account is" if shown == 1 else f"{shown} accounts are"
    return f"picture {arguments.id} was removed; {accounts} now without a picture"
