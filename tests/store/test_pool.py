"""How a pool is filled. tests/store/test_connect.py has what happens to its connections later."""

import asyncio
import functools

import psycopg2
import pytest

from store.postgresql import hosts
from store.postgresql.pool import OPENED_TOGETHER, Pool

SIZE = 2 * OPENED_TOGETHER + 2


class Opening:
    """Opens connections, and counts those that are being opened; each from `fails_at` on fails."""

    def __init__(self, url: str, fails_at: int = SIZE + 1) -> None:
        self.connect = functools.partial(hosts.connect, url, 20.0)
        self.fails_at = fails_at
        self.begun = self.under_way = self.most = 0
        self.opened = []
        self.fourth = asyncio.Event()

    async def __call__(self):
        self.begun += 1
        number = self.begun
        self.under_way += 1
        if number == 4:
            self.fourth.set()
        self.most = max(self.most, self.under_way)
        try:
            if number >= self.fails_at:
                raise psycopg2.OperationalError("no more connections")
            connection = await self.connect()
            self.opened.append(connection)
            return connection
        finally:
            self.under_way -= 1


async def test_some_connections_are_opened_at_a_time(settings):
    opening = Opening(settings.database_url)
    pool = Pool(opening, SIZE)
    await pool.fill()
    assert (len(opening.opened), opening.begun, opening.most) == (SIZE, SIZE, OPENED_TOGETHER)
    cursors = [await pool.take(0) for _ in range(SIZE)]
    assert len({cursor.connection for cursor in cursors}) == SIZE
    for cursor in cursors:
        pool.give_back(cursor)
    await pool.close()
    assert all(each.closed for each in opening.opened)


@pytest.mark.parametrize("fails_at", [1, 2, 4, OPENED_TOGETHER + 3])
async def test_if_one_fails_all_are_closed(settings, fails_at):
    """Its error is raised, not a group of errors. If the first one fails, no other is tried."""
    opening = Opening(settings.database_url, fails_at)
    with pytest.raises(psycopg2.OperationalError, match="no more connections"):
        await Pool(opening, SIZE).fill()
    assert opening.begun == 1 or fails_at > 1
    assert opening.under_way == 0
    assert all(each.closed for each in opening.opened)


async def test_a_start_that_is_cancelled_leaves_no_connection(settings):
    opening = Opening(settings.database_url)
    filling = asyncio.ensure_future(Pool(opening, SIZE).fill())
    await opening.fourth.wait()
    filling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await filling
    assert opening.under_way == 0
    assert all(each.closed for each in opening.opened)
