"""`WEBHOOKS` of a server, and the command `webhooks`."""

import asyncio
import re

import pytest

from tests.program import KEY, Program, wait_for_async
from tests.webhooks.receivers import SECRET, receiving

HEAD = "NAME      STATE     WAITING  FAILURES  NEXT (UTC)           PROBLEM"


@pytest.fixture
def deployment(stores, clean):
    return {"DATABASE_URL": stores[0], "REDIS_URL": stores[1], "SECRET_KEYS": KEY}


def run(deployment, *words):
    """Run the command; return its status and what it printed."""
    with Program("webhooks", *words, **deployment) as ran:
        status = ran.wait()
        return status, ran.out if status == 0 else ran.err


async def test_a_server_sends_events_and_a_paused_receiver_is_resumed(deployment):
    async with receiving() as receiver:
        webhooks = {"EVENTS": "on", "WEBHOOKS": f"app {receiver.url} {SECRET}"}
        with Program(**deployment, **webhooks) as server:
            await asyncio.to_thread(server.serve)
            await asyncio.to_thread(server.register, "mika")
            assert await wait_for_async(lambda: receiver.names == ["mika"])
            receiver.statuses = [410]
            await asyncio.to_thread(server.register, "kim")
            await asyncio.to_thread(server.say, "app is paused: status 410")
            status, out = await asyncio.to_thread(run, deployment, "list")
            head, line = out.splitlines()
            assert (status, head) == (0, HEAD)
            assert re.fullmatch(r"app +paused +\d+ s +1 +status 410", line)
            metrics = await asyncio.to_thread(server.ask, "GET", "/metrics")
            assert b'latchkey_webhook_deliveries_total{outcome="failed"' in metrics.body
            assert await asyncio.to_thread(run, deployment, "resume", "app") == (
                0,
                "events are sent to app again\n",
            )
            assert await wait_for_async(lambda: receiver.names == ["mika", "kim"])
            assert receiver.url not in server.err
    status, out = await asyncio.to_thread(run, deployment, "list")
    assert re.fullmatch(r"app +ok +0", out.splitlines()[1].rstrip())


def test_a_receiver_that_does_not_exist(deployment):
    assert run(deployment, "resume", "nobody") == (1, "latchkey: there is no receiver 'nobody'\n")


def test_webhooks_require_events(deployment):
    with Program(**deployment, WEBHOOKS=f"app https://app.example {SECRET}") as ran:
        assert ran.wait() == 2
        assert ran.err == "latchkey: EVENTS is off: with WEBHOOKS it must be on\n"
