"""`WORKERS=2` is replaced again and again under load, and no request is lost."""

import asyncio
import contextlib
import signal

import pytest

from tests.commands.test_workers import both_serve
from tests.faults.crowd import Readers, accounts, milliseconds, on
from tests.program import Program, is_running, wait_for

ROUNDS = 3


@pytest.mark.slow
async def test_three_rolling_restarts_lose_no_request(stores: tuple[str, str], clean: None):
    """SIGHUP three times: no reset, no refusal, no 5xx, on kept connections or on new ones."""
    with Program(**on(stores), WORKERS="2", DRAIN_SECONDS="3") as server:
        await asyncio.to_thread(both_serve, server.serve())
        names = accounts(server, [f"roller{number}" for number in range(16)])
        loads = {
            "kept connections": (32, Readers(server.port, names)),
            "kept connections, now and then": (200, Readers(server.port, names, pause=0.5)),
            "new connections": (16, Readers(server.port, names, keep_alive=False)),
        }

        async with contextlib.AsyncExitStack() as stack:
            for clients, readers in loads.values():
                await stack.enter_async_context(readers.reading(clients))
            for _ in range(ROUNDS):
                await asyncio.to_thread(replace_workers, server)
                await asyncio.sleep(0.5)
        for kind, (_, readers) in loads.items():
            print(f"{kind}: {milliseconds(readers.seconds)}, {len(readers.failures)} failed")
        assert [readers.failures for _, readers in loads.values()] == [[], [], []]
        assert "Traceback" not in server.err


def replace_workers(server: Program) -> None:
    """Have both workers replaced, and wait until the old ones have gone."""
    old = both_serve(server)
    server.process.send_signal(signal.SIGHUP)
    both_serve(server, frozenset(old))
    assert wait_for(lambda: not any(is_running(pid) for pid in old))
