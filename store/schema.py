"""Making the tables and the default gallery, once, however many servers start together."""

import asyncio
from pathlib import Path

from store.database import Database
from store.images import webp_sides
from store.pictures import insert_gallery_picture
from store.portraits import PORTRAITS, draw

SCHEMA = Path(__file__).parent.parent / "schema.sql"

_LOCK = 0x6C61746368  # "latch": any number will do, as long as all servers use the same


async def prepare(database: Database) -> None:
    """Make what is not there yet. Takes a second or two the first time, to draw the gallery."""
    async with database.transaction() as run:
        await run("select pg_advisory_xact_lock(%s)", (_LOCK,))
        [(there,)] = await run("select to_regclass('gallery') is not null")
        if there:
            return
        await run(SCHEMA.read_text())
        for portrait in PORTRAITS:
            sides = webp_sides(await asyncio.to_thread(draw, portrait))
            await run(*insert_gallery_picture(portrait.group, portrait.name, sides))
