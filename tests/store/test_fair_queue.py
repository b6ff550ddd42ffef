"""The queue for hashing: bounded, in turns by address, and nothing is done for those who left."""

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from store.client import Client
from store.errors import Busy, Disconnected
from store.fair_queue import FairQueue

SECONDS = 2.0
"""What a call is said to take."""


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """The work that holds the threads waits for this."""
    gate = threading.Event()
    yield gate
    gate.set()


@pytest.fixture
def make() -> Iterator[Callable[..., FairQueue]]:
    made: list[FairQueue] = []

    def make(threads: int = 1, max_wait: float = 1000.0) -> FairQueue:
        made.append(FairQueue("test", threads, max_wait, SECONDS))
        return made[-1]

    yield make
    for queue in made:
        queue.close()


async def hold(queue: FairQueue, gate: threading.Event, size: int = 1) -> list[asyncio.Task[bool]]:
    """Have the queue's threads wait for the gate."""
    holding = [asyncio.create_task(queue.run(gate.wait)) for _ in range(size)]
    await asyncio.sleep(0)
    return holding


async def test_what_the_work_returns_or_raises_is_passed_on(make):
    queue = make()
    assert await queue.run(lambda: int("ff", base=16)) == 255
    with pytest.raises(ValueError, match="invalid literal"):
        await queue.run(lambda: int("x"))
    assert await queue.run(lambda: 7) == 7


async def test_as_many_work_at_once_as_there_are_threads(make):
    queue, together = make(3), threading.Barrier(3, timeout=30)
    await asyncio.gather(*(queue.run(together.wait) for _ in range(3)))


@pytest.mark.parametrize(
    ("threads", "max_wait", "share", "room", "wait"),
    [
        (1, 0.0, 1.0, 1, SECONDS),
        (1, SECONDS, 1.0, 2, 2 * SECONDS),
        (2, SECONDS, 1.0, 4, 2 * SECONDS),
        (2, 3.5 * SECONDS, 1.0, 8, 4 * SECONDS),
        (2, 4 * SECONDS, 0.5, 6, 3 * SECONDS),
    ],
)
async def test_a_call_that_would_wait_too_long_is_refused_at_once(
    make, gate, threads, max_wait, share, room, wait
):
    """With the time after which to come back. A share leaves the rest of the queue to others."""
    queue = make(threads, max_wait)
    waiting = await hold(queue, gate, room)
    with pytest.raises(Busy) as raised:
        await asyncio.wait_for(queue.run(pytest.fail, share=share), 10)
    assert raised.value.retry_after == wait
    if share < 1:
        waiting += await hold(queue, gate)  # a login still has a place
    gate.set()
    assert all(await asyncio.gather(*waiting))
    assert await queue.run(gate.wait) is True


async def test_clients_take_turns(make, gate):
    """A client that comes last waits for one call of each other client, not for all of them."""
    queue, done = make(), []
    await hold(queue, gate)
    order = ["192.0.2.1"] * 5 + ["2001:db8::1", "2001:db8::2"] + ["192.0.2.2"] * 2 + ["192.0.2.3"]
    calls = [
        asyncio.create_task(queue.run(lambda name=name: done.append(name), client=Client(name)))
        for name in order
    ]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*calls)
    first = ["192.0.2.1", "2001:db8::1", "192.0.2.2", "192.0.2.3"]
    assert done == [*first, "192.0.2.1", "2001:db8::2", "192.0.2.2", *["192.0.2.1"] * 3]


async def test_a_full_queue_of_one_client_rejects_no_other(make, gate):
    queue = make(1, 3 * SECONDS)
    await hold(queue, gate)
    one, other = Client("192.0.2.1"), Client("192.0.2.2")
    calls = [asyncio.create_task(queue.run(lambda: 1, client=one)) for _ in range(50)]
    await asyncio.sleep(0)
    assert sum(call.done() for call in calls) == 47  # refused
    victim = asyncio.create_task(queue.run(lambda: 2, client=other))
    await asyncio.sleep(0)
    assert not victim.done()
    gate.set()
    assert await victim == 2
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [each for each in outcomes if not isinstance(each, Busy)] == [1] * 3


async def test_what_a_client_that_left_waited_for_is_not_done(make, gate):
    queue, there = make(), [True]
    await hold(queue, gate)
    client = Client("192.0.2.1", lambda: not there)
    left = asyncio.create_task(queue.run(pytest.fail, client=client))
    stays = asyncio.create_task(queue.run(lambda: 1))
    await asyncio.sleep(0)
    there.clear()
    gate.set()
    assert await stays == 1
    with pytest.raises(Disconnected):
        await left


async def test_a_call_that_is_cancelled_makes_room(make, gate):
    queue = make(1, SECONDS)
    [holding] = await hold(queue, gate)
    left = asyncio.create_task(queue.run(pytest.fail))
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.wait([left])
    [instead] = await hold(queue, gate)
    assert not instead.done()
    gate.set()
    assert await asyncio.gather(holding, instead) == [True, True]


async def test_a_thread_whose_caller_has_left_is_not_free(make, gate):
    """Its call was cancelled after it had begun: bcrypt can't be stopped."""
    queue, begun, at_once = make(), threading.Event(), []
    holding = asyncio.create_task(queue.run(lambda: begun.set() or gate.wait()))
    await asyncio.to_thread(begun.wait)
    holding.cancel()
    await asyncio.wait([holding])
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.run(lambda: at_once.append(1)), 0.05)
    assert not at_once
    gate.set()
    assert await queue.run(lambda: 1) == 1
    assert not at_once


async def test_a_call_that_is_cancelled_when_its_turn_comes_passes_it_on(make, gate):
    queue = make()
    await hold(queue, gate)
    left = asyncio.create_task(queue.run(pytest.fail))
    await asyncio.sleep(0)
    release = queue._release

    def at_its_turn() -> None:
        release()
        left.cancel()

    queue._release = at_its_turn
    gate.set()
    await asyncio.wait([left])
    queue._release = release
    assert await asyncio.wait_for(queue.run(lambda: 1), 10) == 1


async def test_a_call_that_is_cancelled_just_before_its_turn_is_passed_over(make, gate):
    """Its place is passed over before the task has run: it must not be taken out twice."""
    queue = make()
    await hold(queue, gate)
    left, waits = (asyncio.create_task(queue.run(work)) for work in (pytest.fail, lambda: 2))
    await asyncio.sleep(0)
    release = queue._release

    def before_its_turn() -> None:
        left.cancel()
        release()

    queue._release = before_its_turn
    gate.set()
    await asyncio.wait([left])
    queue._release = release
    assert left.cancelled()
    assert await asyncio.wait_for(waits, 10) == 2
    assert await asyncio.wait_for(queue.run(lambda: 1), 10) == 1


async def test_a_client_that_leaves_the_middle_of_a_queue_does_not_affect_others(make, gate):
    queue = make()
    await hold(queue, gate)
    first, left, last = [
        asyncio.create_task(queue.run(work)) for work in (lambda: 1, pytest.fail, lambda: 3)
    ]
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.wait([left])
    gate.set()
    assert await asyncio.wait_for(asyncio.gather(first, last), 10) == [1, 3]


async def test_a_place_that_others_came_before_for_too_long_is_given_up(make, gate, monkeypatch):
    monkeypatch.setattr("store.fair_queue._OVERDUE_SECONDS", 0.0)
    queue = make(1, 0.001)
    queue._seconds = 0.0
    await hold(queue, gate)
    late = asyncio.create_task(queue.run(pytest.fail))
    await asyncio.sleep(0.01)
    gate.set()
    with pytest.raises(Busy):
        await late
