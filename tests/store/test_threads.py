import asyncio
import os
import sys
import threading
from collections.abc import Iterator

import pytest

from store import threads as module
from store.errors import Busy
from store.threads import BoundedThreads, usable_cores

SECONDS = 2.0
"""What a call is said to take."""


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Work waits for this."""
    gate = threading.Event()
    yield gate
    gate.set()


def crowd(threads: BoundedThreads, gate: threading.Event, size: int) -> list["asyncio.Task[bool]"]:
    """Give the threads so much work, and none of it is done before the gate opens."""
    return [asyncio.create_task(threads.run(gate.wait)) for _ in range(size)]


async def test_the_event_loop_runs_on_while_a_thread_works(gate):
    threads = BoundedThreads("test", 1, SECONDS, SECONDS)
    [working] = crowd(threads, gate, 1)
    await asyncio.sleep(0.01)
    gate.set()
    assert await working is True
    threads.close()


async def test_what_the_function_returns_or_raises_is_passed_on():
    threads = BoundedThreads("test", 1, SECONDS, SECONDS)
    assert await threads.run(int, "ff", base=16) == 255
    with pytest.raises(ValueError, match="invalid literal"):
        await threads.run(int, "x")
    threads.close()


async def test_as_many_work_at_once_as_there_are_threads():
    threads = BoundedThreads("test", 3, SECONDS, SECONDS)
    together = threading.Barrier(3, timeout=30)
    await asyncio.gather(*(threads.run(together.wait) for _ in range(3)))
    threads.close()


@pytest.mark.parametrize(
    ("size", "max_wait", "room", "wait"),
    [
        (1, 0.0, 1, SECONDS),
        (1, SECONDS, 2, 2 * SECONDS),
        (2, SECONDS, 4, 2 * SECONDS),
        (2, 3.5 * SECONDS, 8, 4 * SECONDS),
    ],
)
async def test_a_call_that_would_wait_too_long_is_busy_at_once(gate, size, max_wait, room, wait):
    """With the seconds after which to retry; the calls before it are served."""
    threads = BoundedThreads("test", size, max_wait, SECONDS)
    waiting = crowd(threads, gate, room)
    await asyncio.sleep(0)
    with pytest.raises(Busy) as raised:
        await asyncio.wait_for(threads.run(pytest.fail, "there was no room"), 10)
    assert raised.value.retry_after == wait
    gate.set()
    assert await asyncio.gather(*waiting) == [True] * room
    assert await threads.run(gate.wait) is True
    threads.close()


async def test_what_a_call_has_taken_already_counts(gate):
    """The mean knows nothing yet of a call that is still under way."""
    threads = BoundedThreads("test", 1, SECONDS, 0.01)
    [working] = crowd(threads, gate, 1)
    while not threads._begun:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    [call] = threads._begun
    threads._begun[call] -= 100
    with pytest.raises(Busy) as raised:
        await threads.run(pytest.fail, "there was no room")
    assert 99 < raised.value.retry_after < 110
    gate.set()
    assert await working is True
    threads.close()


async def test_a_stop_does_not_wait_for_a_call(gate):
    threads = BoundedThreads("test", 1, SECONDS, 0.01)
    working, waiting = crowd(threads, gate, 2)
    while not threads._begun:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    threads.close()
    assert not working.done()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.set()
    assert await working is True


async def test_a_call_that_leaves_the_queue_makes_room(gate):
    """And a cancelled call never begins."""
    threads = BoundedThreads("test", 1, SECONDS, SECONDS)
    [working] = crowd(threads, gate, 1)
    await asyncio.sleep(0)
    left = asyncio.create_task(threads.run(pytest.fail, "nobody waits for it"))
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.wait([left])
    [instead] = crowd(threads, gate, 1)
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(working, instead) == [True, True]
    threads.close()


@pytest.mark.parametrize(
    ("affinity", "quota", "cores"),
    [
        (4, None, 4),
        (4, "max 100000", 4),
        (4, "200000 100000", 2),
        (4, "250000 100000", 2),
        (4, "800000 100000", 4),
        (4, "50000 100000", 1),
        (1, "800000 100000", 1),
        (4, "nonsense", 4),
    ],
)
def test_usable_cores_are_those_of_affinity_and_cgroup(
    affinity, quota, cores, monkeypatch, tmp_path
):
    file = tmp_path / "cpu.max"
    if quota:
        file.write_text(quota + "\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(affinity)), raising=False)
    monkeypatch.setattr(module, "_CGROUP_QUOTA", file)
    assert usable_cores() == cores


def niceness() -> int:
    """Return the calling thread's nice value: on Linux each has its own."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="no thread has its own priority")


@linux_only
@pytest.mark.parametrize(("own", "working"), [(0, 10), (5, 10), (15, 15)])
def test_threads_never_have_a_higher_priority_than_the_server(own, working):
    """A nice value of 10, or the server's own when that is higher.

    Only root may lower one: for others, under `nice -n 15`, no password could be verified.
    """
    if own < niceness():
        pytest.skip("these tests run at a lower priority themselves")
    seen = []

    def serve() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), own)
        threads = BoundedThreads("test", 1, SECONDS, SECONDS)
        seen.append(asyncio.run(threads.run(niceness)))
        threads.close()

    server = threading.Thread(target=serve)
    server.start()
    server.join()
    assert seen == [working]


@linux_only
async def test_the_event_loop_keeps_its_priority():
    before = niceness()
    threads = BoundedThreads("test", 1, SECONDS, SECONDS)
    await threads.run(niceness)
    assert niceness() == before
    threads.close()
