"""Events reach each receiver in order and at least once, and no receiver delays another."""

import asyncio
import logging
import socket
import time

import pytest

from store.errors import Unavailable
from store.event_log import EventLog
from store.webhook_states import WebhookStates
from tests.program import wait_for_async
from tests.webhooks.receivers import OTHER_SECRET, SECRET, receiving
from webhooks.settings import Webhook, parse_webhooks


async def test_each_event_is_received_once_and_in_order(core, send, register):
    async with receiving() as receiver, send(receiver.webhook("app")):
        kim = await register("kim")
        for number in range(20):
            await core.accounts.change(kim, {"first_name": str(number)})
        await core.accounts.change(kim, {"username": "lee"})
        assert await wait_for_async(lambda: len(receiver.received) == 22)
        events, _ = await core.events.read(None, 100)
        assert receiver.received == [event.shape() for event in events]
        assert len(set(receiver.ids)) == 22
        assert receiver.open_most == 1


async def test_a_receiver_may_change_its_secret(send, register):
    """Messages are signed with both; the library of the specification accepts either."""
    async with receiving(SECRET) as one, receiving(OTHER_SECRET) as other:
        both = f"{SECRET},{OTHER_SECRET}"
        async with send(one.webhook("one", both), other.webhook("other", both)):
            await register("kim")
            assert await wait_for_async(lambda: one.names == other.names == ["kim"])


async def test_a_wrong_secret_is_not_accepted(send, register, state):
    async with receiving(OTHER_SECRET) as receiver, send(receiver.webhook("app", SECRET)):
        await register("kim")
        assert await wait_for_async(lambda: receiver.open_most)
        await asyncio.sleep(0.2)
        assert receiver.received == []
        assert (await state("app")).problem == "status 500"


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


async def test_a_receiver_that_is_down_or_never_responds_delays_nobody(send, register, state):
    """Two are dead for the whole test. The others get each event as if they were alone."""
    [down] = parse_webhooks(f"down http://127.0.0.1:{closed_port()}/hook {SECRET}")
    async with receiving() as one, receiving() as two, receiving() as hanging:
        hanging.hangs = True
        dead = down, hanging.webhook("hanging")
        async with send(*dead, one.webhook("one"), two.webhook("two"), request_seconds=60):
            for number in range(30):
                began = time.monotonic()
                await register(f"kim{number}")
                assert await wait_for_async(
                    lambda number=number: len(one.received) == len(two.received) == number + 1
                )
                assert time.monotonic() - began < 10
            assert hanging.open_now == 1
            problem = (await state("down")).problem
            assert problem.startswith("Cannot connect to host 127.0.0.1")
    assert one.names == two.names == [f"kim{number}" for number in range(30)]
    assert hanging.received == []


async def test_a_failed_event_is_sent_again_before_the_next(core, send, register, state, caplog):
    async with receiving() as receiver, send(receiver.webhook("app")):
        receiver.statuses = [500, 302, 404, 204]
        await register("kim")
        await register("lee")
        assert await wait_for_async(lambda: receiver.names == ["kim", "lee"])
        assert len(set(receiver.ids[:4])) == 1
        assert await wait_for_async(lambda: receiver.open_now == 0)
        await asyncio.sleep(0.1)
        assert (await state("app")).failures == 0
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        f"app has not accepted an event {count} times: status {status}"
        for count, status in ((1, 500), (2, 302), (3, 404))
    ]


async def test_the_wait_doubles_up_to_the_longest(core, send, state):
    states = WebhookStates(core.database)
    await states.add("app")
    waits = []
    for _ in range(6):
        with_lease = await states.claim("app", "one", 60)
        assert with_lease
        await states.failed("app", "one", "status 500", waits=(5, 60), tried_for=100)
        due = (await state("app")).due
        waits.append(round(due.timestamp() - time.time()))
        await core.database.rows("update webhook set due = now() returning 1")
    assert waits == pytest.approx([5, 10, 20, 40, 60, 60], abs=2)


async def test_a_receiver_that_fails_for_long_is_paused_until_it_is_resumed(
    core, send, register, state, registry, caplog
):
    caplog.set_level(logging.ERROR)

    def is_paused() -> float | None:
        return registry.get_sample_value("latchkey_webhook_paused", {"webhook": "app"})

    async with receiving() as receiver:
        receiver.statuses = [500] * 1000
        async with send(receiver.webhook("app"), tried_for=0.3):
            await register("kim")
            assert await wait_for_async(lambda: caplog.records)
            tried = len(receiver.ids)
            await register("lee")
            await asyncio.sleep(0.5)
            assert len(receiver.ids) == tried > 1
            assert (await state("app")).paused
        async with send(receiver.webhook("app"), tried_for=0.3):
            assert await wait_for_async(lambda: is_paused() == 1)
        assert len(receiver.ids) == tried
        receiver.statuses = []
        assert await WebhookStates(core.database).resume("app")
        async with send(receiver.webhook("app"), tried_for=0.3):
            assert await wait_for_async(lambda: receiver.names == ["kim", "lee"])
            assert await wait_for_async(lambda: is_paused() == 0)
    [record] = caplog.records
    assert record.getMessage() == (
        "app is paused: status 500; run `webhooks resume app` when it can receive events again"
    )
    assert not await WebhookStates(core.database).resume("nobody")


async def test_a_receiver_that_is_gone_is_paused_at_once(send, register, state):
    async with receiving() as receiver, send(receiver.webhook("app")):
        receiver.statuses = [410]
        await register("kim")
        assert await wait_for_async(lambda: receiver.ids)
        await asyncio.sleep(0.3)
        assert (await state("app")).paused
        assert len(receiver.ids) == 1


async def test_of_several_processes_one_sends(send, register):
    async with receiving() as receiver:
        webhook = receiver.webhook("app")
        receiver.pause = 0.01
        async with send(webhook), send(webhook), send(webhook):
            for number in range(30):
                await register(f"kim{number}")
            assert await wait_for_async(lambda: len(receiver.received) == 30)
            await asyncio.sleep(0.2)
        assert receiver.names == [f"kim{number}" for number in range(30)]
        assert receiver.open_most == 1


async def test_another_process_takes_over_from_one_that_was_killed(core, send, register):
    """The killed one has sent an event and not recorded it: it is sent again, in order."""
    async with receiving() as receiver:
        webhook = receiver.webhook("app")
        states = WebhookStates(core.database)
        await states.add("app")
        await register("kim")
        assert await states.claim("app", "the killed one", 1.0)
        began = time.monotonic()
        async with send(webhook):
            await register("lee")
            assert await wait_for_async(lambda: receiver.names == ["kim", "lee"])
            assert time.monotonic() - began > 0.8


async def test_a_process_that_lost_its_lease_records_nothing(core, register):
    states = WebhookStates(core.database)
    await states.add("app")
    await register("kim")
    [event], _ = await core.events.read(None, 1)
    before = await states.claim("app", "slow", 0.0)
    assert await states.claim("app", "quick", 60.0) == before
    assert not await states.delivered("app", "slow", event.cursor, 60.0)
    assert await states.failed("app", "slow", "late", waits=(1, 1), tried_for=0) == (0, False)
    assert await states.due("app", "quick") == before
    assert await states.due("app", "slow") is None
    await states.release("quick")
    assert await states.due("app", "slow") == before


async def test_a_server_goes_on_where_the_last_one_stopped(send, register):
    async with receiving() as receiver:
        await register("before")
        async with send(receiver.webhook("app")):
            await register("kim")
            assert await wait_for_async(lambda: receiver.names == ["kim"])
        await register("lee")
        async with send(receiver.webhook("app")):
            assert await wait_for_async(lambda: receiver.names == ["kim", "lee"])
    assert len(set(receiver.ids)) == len(receiver.ids) == 2


async def test_a_server_that_stops_does_not_wait_for_a_receiver_that_hangs(
    send, register, monkeypatch
):
    monkeypatch.setattr("webhooks.sender.CLOSE_SECONDS", 0.2)
    async with receiving() as receiver:
        receiver.hangs = True
        async with send(receiver.webhook("app")):
            await register("kim")
            assert await wait_for_async(lambda: receiver.open_now)
            began = time.monotonic()
        assert time.monotonic() - began < 3
        receiver.hangs = False
        async with send(receiver.webhook("app")):  # the lease was released
            assert await wait_for_async(lambda: receiver.names == ["kim"])


async def test_events_that_were_deleted_are_reported_and_skipped(
    core, send, register, database, caplog
):
    async with receiving() as receiver:
        async with send(receiver.webhook("app")):
            await register("kim")
            assert await wait_for_async(lambda: receiver.names == ["kim"])
        await register("old")
        await register("lee")
        with database.cursor() as cursor:
            cursor.execute(
                "update event set time = now() - interval '31 days'"
                " where username in ('kim', 'old')"
            )
        assert await EventLog(core.database, days=30).prune() == 2
        async with send(receiver.webhook("app")):
            assert await wait_for_async(lambda: receiver.names == ["kim", "lee"])
    assert [record.getMessage() for record in caplog.records] == [
        "app has missed events, which are too old to be kept"
    ]


async def test_an_outage_of_postgresql_is_one_line_and_loses_nothing(
    core, send, register, monkeypatch, caplog
):
    read, outage = core.events.read, [True] * 3

    async def failing(*parts, **named):
        if outage:
            outage.pop()
            raise Unavailable("postgresql", "none")
        return await read(*parts, **named)

    async with receiving() as receiver:
        monkeypatch.setattr(core.events, "read", failing)
        async with send(receiver.webhook("app")):
            await register("kim")
            assert await wait_for_async(lambda: receiver.names == ["kim"])
    assert [record.getMessage() for record in caplog.records] == [
        "no events are sent to app: postgresql: none"
    ]


async def test_a_bug_ends_no_task(core, send, register, monkeypatch, caplog):
    read, bugs = core.events.read, [ValueError("a bug")]

    async def failing(*parts, **named):
        if bugs:
            raise bugs.pop()
        return await read(*parts, **named)

    async with receiving() as receiver:
        monkeypatch.setattr(core.events, "read", failing)
        async with send(receiver.webhook("app")):
            await register("kim")
            assert await wait_for_async(lambda: receiver.names == ["kim"])
    [record] = caplog.records
    assert record.getMessage() == "events could not be sent to app"
    assert record.exc_info


async def test_what_waits_is_shown(core, send, register, registry, state):
    async with receiving() as receiver:
        async with send(receiver.webhook("app")):
            receiver.statuses = [500]
            await register("kim")
            assert await wait_for_async(lambda: receiver.names == ["kim"])
        assert (await state("app")).lag_seconds == 0
        await core.database.rows("update webhook set paused = now() returning 1")
        await register("lee")
        await asyncio.sleep(0.1)
        assert 0.1 <= (await state("app")).lag_seconds < 30
    counted = {
        outcome: registry.get_sample_value(
            "latchkey_webhook_deliveries_total", {"webhook": "app", "outcome": outcome}
        )
        for outcome in ("delivered", "failed")
    }
    assert counted == {"delivered": 1, "failed": 1}


def test_no_secret_is_shown():
    [webhook] = parse_webhooks(f"app https://app.example/hook?key=hunter2 {SECRET}")
    assert repr(webhook) == "Webhook(name='app')"
    assert isinstance(webhook, Webhook)
