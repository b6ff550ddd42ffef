"""The look-ups of all requests in flight share round trips, and nothing else."""

import asyncio
import contextvars
import gc
from collections.abc import AsyncIterator, Awaitable, Iterable
from typing import Any

import pytest

from store.batching import GATHER_TURNS, BatchLoader

TIMEOUT = 5.0


class Table:
    """A store that replies when a test lets it, and remembers the keys of each batch."""

    def __init__(self) -> None:
        self.values = {key: key.upper() for key in "abcdefgh"}
        self.batches: list[list[str]] = []
        self.deadline: list[float] = []
        self.broken: set[str] = set()
        self.open = asyncio.Event()
        self.open.set()
        self._sent = asyncio.Event()
        self._made: list[BatchLoader[str, str]] = []

    def batched(self, timeout: float, **options: int) -> BatchLoader[str, str]:
        """Return look-ups in this store, which end with the test."""
        self._made.append(BatchLoader(self.fetch, timeout, **options))
        return self._made[-1]

    def close(self) -> None:
        for each in self._made:
            each.close()

    async def fetch(self, keys: list[str], deadline: float) -> dict[str, str]:
        self.batches.append(keys)
        self._sent.set()
        self.deadline.append(deadline)
        found = {key: self.values[key] for key in keys if key in self.values}
        await self.open.wait()
        if self.broken & set(keys):
            raise ConnectionError("broken")
        return found

    async def asked(self, batches: int) -> None:
        """Wait until this many batches were sent."""
        while len(self.batches) < batches:
            self._sent.clear()
            await self._sent.wait()


@pytest.fixture
async def table() -> AsyncIterator[Table]:
    table = Table()
    yield table
    table.close()


def ask(loader: BatchLoader[str, str], keys: str) -> list[asyncio.Task[str | None]]:
    """Request each key in a separate task, as requests do."""

    async def get(key: str) -> str | None:
        return await loader.get(key)

    return [asyncio.create_task(get(key)) for key in keys]


async def results(asked: Iterable[Awaitable[str | None]]) -> list[Any]:
    """Return each result or what was raised, within a limit of time."""
    return await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 10)


async def test_the_keys_of_one_turn_share_a_fetch(table):
    loader = table.batched(TIMEOUT)
    assert await results(ask(loader, "abc")) == ["A", "B", "C"]
    assert table.batches == [["a", "b", "c"]]


async def test_a_key_is_asked_once_however_many_wait_for_it(table):
    loader = table.batched(TIMEOUT)
    assert await results(ask(loader, "abaa")) == ["A", "B", "A", "A"]
    assert table.batches == [["a", "b"]]


async def test_what_is_not_there_is_none(table):
    loader = table.batched(TIMEOUT)
    assert await results(ask(loader, "axb")) == ["A", None, "B"]


@pytest.mark.parametrize("sent", [False, True])
async def test_a_waiter_that_leaves_does_not_affect_others(table, sent):
    """Before its batch is sent or after, even when another waits for the same key."""
    table.open.clear()
    loader = table.batched(TIMEOUT)
    leaver, same, other = ask(loader, "aab")
    if sent:
        await table.asked(1)
    else:
        await asyncio.sleep(0)
    leaver.cancel()
    table.open.set()
    assert await results([same, other]) == ["A", "B"]
    assert leaver.cancelled()


async def test_when_all_have_left_the_next_are_served(table):
    table.open.clear()
    loader = table.batched(TIMEOUT, in_flight=1)
    leavers = ask(loader, "ab")
    await table.asked(1)
    for leaver in leavers:
        leaver.cancel()
    staying = ask(loader, "c")
    await asyncio.sleep(0)
    table.open.set()
    assert await results(staying) == ["C"]


async def test_a_failing_batch_fails_its_own_waiters_only(table):
    table.broken = {"b"}
    loader = table.batched(TIMEOUT, batch=2, in_flight=1)
    got = await results(ask(loader, "abcdb"))
    assert [str(answer) for answer in got] == ["broken", "broken", "C", "D", "broken"]
    table.broken = set()
    assert await results(ask(loader, "ab")) == ["A", "B"]


async def test_a_waiter_that_leaves_a_failing_batch_leaves_no_complaint(table, caplog):
    """An exception that is never retrieved would be reported in the log."""
    gc.collect()  # what other tests have left is reported now
    caplog.clear()
    table.open.clear()
    table.broken = {"a"}
    loader = table.batched(TIMEOUT)
    waiter = loader.get("a")
    await table.asked(1)
    table.open.set()
    await asyncio.sleep(0.01)
    assert waiter.done()
    del waiter
    gc.collect()
    assert caplog.records == []


async def test_a_batch_has_a_size_limit(table):
    loader = table.batched(TIMEOUT, batch=3)
    assert await results(ask(loader, "abcdefgh")) == list("ABCDEFGH")
    assert table.batches == [["a", "b", "c"], ["d", "e", "f"], ["g", "h"]]


async def test_keys_gather_while_all_trips_are_under_way(table):
    """Those asked in later turns of the event loop too: batches grow with the load."""
    table.open.clear()
    loader = table.batched(TIMEOUT, in_flight=2)
    asked = []
    for turn, keys in enumerate(("a", "b", "cd", "e", "c"), 1):
        asked += ask(loader, keys)
        await table.asked(min(turn, 2))
    await asyncio.sleep(0.01)
    assert table.batches == [["a"], ["b"]]
    table.open.set()
    assert await results(asked) == ["A", "B", "C", "D", "E", "C"]
    assert table.batches[2:] == [["c", "d", "e"]]


async def test_a_small_batch_gathers_for_some_turns_beside_a_large_one(table):
    """Else it would cost a round trip for a few keys, with more of them on their way."""
    table.open.clear()
    loader = table.batched(TIMEOUT, in_flight=2)
    asked = ask(loader, "abc")
    await table.asked(1)
    for key in "def":
        asked += ask(loader, key)
        await asyncio.sleep(0)
    await table.asked(2)
    assert table.batches == [["a", "b", "c"], ["d", "e", "f"]]
    table.open.set()
    assert await results(asked) == list("ABCDEF")


async def test_a_small_batch_does_not_gather_for_long(table):
    table.open.clear()
    loader = table.batched(TIMEOUT, in_flight=2)
    asked = ask(loader, "abc")
    await table.asked(1)
    asked += ask(loader, "d")
    for _ in range(GATHER_TURNS + 3):
        await asyncio.sleep(0)
    assert table.batches == [["a", "b", "c"], ["d"]]
    table.open.set()
    assert await results(asked) == list("ABCD")


async def test_when_the_large_one_is_answered_the_small_one_goes_at_once(table):
    table.open.clear()
    loader = table.batched(TIMEOUT, in_flight=2)
    asked = ask(loader, "abc")
    await table.asked(1)
    asked += ask(loader, "d")
    await asyncio.sleep(0)
    assert len(table.batches) == 1
    table.open.set()
    for _ in range(GATHER_TURNS - 3):
        await asyncio.sleep(0)
    assert table.batches == [["a", "b", "c"], ["d"]]
    assert await results(asked) == list("ABCD")
    table.open.clear()
    again = ask(loader, "ab")
    await table.asked(3)
    again += ask(loader, "cd")
    await table.asked(4)  # while the third is in flight
    table.open.set()
    assert await results(again) == list("ABCD")


async def test_no_more_batches_are_under_way_than_allowed(table):
    """However many keys come in one turn."""
    table.open.clear()
    loader = table.batched(TIMEOUT, batch=2, in_flight=2)
    asked = ask(loader, "abcdefgh")
    await asyncio.sleep(0.01)
    assert table.batches == [["a", "b"], ["c", "d"]]
    table.open.set()
    assert await results(asked) == list("ABCDEFGH")
    assert table.batches[2:] == [["e", "f"], ["g", "h"]]


async def test_a_key_asked_after_a_batch_was_sent_is_not_answered_by_it(table):
    """This is not a cache: every value was read after it was requested."""
    table.open.clear()
    loader = table.batched(TIMEOUT)
    [early] = ask(loader, "a")
    await table.asked(1)
    table.values["a"] = "changed"
    [late] = ask(loader, "a")
    await table.asked(2)
    table.open.set()
    assert await results([early, late]) == ["A", "changed"]


async def test_an_answer_is_not_kept(table):
    loader = table.batched(TIMEOUT)
    assert await results([loader.get("a")]) == ["A"]
    del table.values["a"]
    assert await results([loader.get("a")]) == [None]


async def test_a_batch_has_the_deadline_of_its_oldest_key(table):
    """The time a key has waited for its turn counts."""
    clock = asyncio.get_running_loop().time
    table.open.clear()
    loader = table.batched(TIMEOUT, in_flight=1)
    asked = ask(loader, "a")
    await table.asked(1)
    before = clock()
    asked += ask(loader, "b")
    await asyncio.sleep(0.01)
    after = clock()
    asked += ask(loader, "c")
    table.open.set()
    await results(asked)
    assert table.batches[1] == ["b", "c"]
    assert before + TIMEOUT <= table.deadline[1] < after + TIMEOUT


async def test_a_key_does_not_inherit_the_deadline_of_a_batch_before_its_own(table):
    """Else a queue that never empties, under load, would fail everyone for good."""
    clock = asyncio.get_running_loop().time
    table.open.clear()
    loader = table.batched(TIMEOUT, batch=1, in_flight=1)
    asked = ask(loader, "ab")
    await table.asked(1)
    await asyncio.sleep(0.01)
    before = clock()
    asked += ask(loader, "c")
    await asyncio.sleep(0)
    table.open.set()
    await results(asked)
    assert table.batches == [["a"], ["b"], ["c"]]
    assert table.deadline[2] >= before + TIMEOUT


async def test_a_batch_that_is_cancelled_ends_its_waiters():
    """As when the event loop ends with a fetch under way."""

    async def fetch(keys: list[str], deadline: float) -> dict[str, str]:
        raise asyncio.CancelledError

    loader = BatchLoader(fetch, TIMEOUT)
    waiter = loader.get("a")
    await results([waiter])
    assert waiter.cancelled()
    loader.close()


async def test_waiters_are_cancelled_when_look_ups_are_closed(table):
    table.open.clear()
    loader = table.batched(TIMEOUT, in_flight=1)
    sent, waiting = loader.get("a"), None
    await table.asked(1)
    waiting = loader.get("b")
    loader.close()
    await results([sent, waiting])
    assert sent.cancelled()
    assert waiting.cancelled()


@pytest.mark.parametrize("turns", [0, 1, 2])
async def test_closing_leaves_no_waiter_however_far_its_batch_is(table, turns):
    """Also a batch that was made and has not begun."""
    look_ups = table.batched(TIMEOUT)
    table.open.clear()
    waiters = [look_ups.get("a"), look_ups.get("b")]
    for _ in range(turns):
        await asyncio.sleep(0)
    look_ups.close()
    replies = await asyncio.wait_for(asyncio.gather(*waiters, return_exceptions=True), 5)
    assert {type(reply) for reply in replies} == {asyncio.CancelledError}


async def test_a_key_that_is_asked_after_closing_is_cancelled(table):
    look_ups = table.batched(TIMEOUT)
    look_ups.close()
    with pytest.raises(asyncio.CancelledError):
        await look_ups.get("a")
    assert table.batches == []


async def test_a_batch_runs_in_the_context_of_no_request():
    """Otherwise the spans of all its requests would be those of one."""
    request = contextvars.ContextVar("request", default="none")
    seen = []

    async def fetch(keys, deadline):
        seen.append(request.get())
        return {}

    look_ups: BatchLoader[str, str] = BatchLoader(fetch, TIMEOUT)

    async def ask_as(name: str) -> None:
        request.set(name)
        await look_ups.get(name)
        await look_ups.get(name)

    await asyncio.gather(ask_as("a"), ask_as("b"))
    look_ups.close()
    assert set(seen) == {"none"}
