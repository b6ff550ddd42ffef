"""Accounts in the order of their ids, a page at a time, for an operator."""

import asyncio
from dataclasses import fields

from store.account import Details
from store.all_accounts import BATCH_SECONDS
from store.names import fold, is_valid_name
from store.postgresql.database import Database

_DETAILS = ", ".join(each.name for each in fields(Details))


async def list_accounts(
    database: Database, *, after: int = 0, limit: int, match: str = ""
) -> list[Details]:
    """Return the accounts with the lowest ids above `after`, at most `limit`.

    With `match`, only accounts whose username or e-mail begins with it, in any case. With a
    million accounts that may take a second; the timeout is BATCH_SECONDS. Raises Unavailable.
    """
    if not is_valid_name(match):
        return []
    rows = await database.rows(
        f"""select {_DETAILS} from account
             where id > %(after)s
               and (starts_with(username_folded, %(match)s)
                    or starts_with(email_folded, %(match)s) or %(match)s = '')
             order by id limit %(limit)s""",
        {"after": after, "limit": limit, "match": fold(match)},
        asyncio.get_running_loop().time() + BATCH_SECONDS,
    )
    return [Details(*row) for row in rows]
