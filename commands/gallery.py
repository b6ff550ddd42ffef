"""`gallery`: list, add and remove the pictures that every account can choose from."""

import asyncio
from argparse import ArgumentParser, Namespace
from pathlib import Path

from commands.console import CommandError, as_table, count_of, printable
from commands.runner import command, on_core
from store.core import Core
from store.errors import BadPicture


def add(parser: ArgumentParser) -> None:
    """Describe the command's arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    lists = actions.add_parser("list", help="list the gallery")
    lists.set_defaults(run=command(on_core(_list)))
    adds = actions.add_parser("add", help="add a picture: JPEG, PNG, WebP or GIF")
    adds.add_argument("file", metavar="FILE", type=Path)
    adds.add_argument(
        "--group", required=True, help="the group in which it is listed: female, male, …"
    )
    adds.add_argument(
        "--new-group", action="store_true", help="create the group if it does not exist"
    )
    adds.add_argument("--name", required=True, help="its name")
    adds.set_defaults(run=command(on_core(_add)))
    removes = actions.add_parser("remove", help="remove a picture, from the accounts too")
    removes.add_argument("id", metavar="ID", type=int)
    removes.set_defaults(run=command(on_core(_remove)))


async def _list(core: Core, _: Namespace) -> str:
    rows = [("ID", "GROUP", "NAME", "PICTURE")]
    rows += [
        (str(each.id), printable(each.group), printable(each.name), f"/pictures/{each.picture_id}")
        for each in await core.pictures.gallery()
    ]
    return as_table(rows, right=1)


async def _add(core: Core, chosen: Namespace) -> str:
    groups = sorted({each.group for each in await core.pictures.gallery()})
    if chosen.group not in groups and not chosen.new_group:
        raise CommandError(
            f"there is no group {chosen.group!r}; there are: {', '.join(groups) or 'none'}. "
            "--new-group creates one"
        )
    sent = await asyncio.to_thread(chosen.file.read_bytes)
    try:
        sides = await core.images.square(sent)
    except BadPicture as problem:
        raise CommandError(f"{chosen.file} cannot be used: {problem}") from None
    gallery_id = await core.pictures.add_to_gallery(chosen.group, chosen.name, sides)
    return f"{chosen.name} was added as picture {gallery_id}"


async def _remove(core: Core, chosen: Namespace) -> str:
    shown = await core.pictures.remove_from_gallery(chosen.id)
    if shown is None:
        raise CommandError(f"the gallery has no picture {chosen.id}")
    verb = "is" if shown == 1 else "are"
    accounts = f"{count_of(shown, 'account')} {verb} now without a picture"
    return f"picture {chosen.id} was removed; {accounts}"
