"""The sender: one task for each receiver, so that a slow or dead one delays no other.

Each process of each server may run it. A lease in PostgreSQL decides which process sends to a
receiver, and it sends one event at a time. Events therefore arrive in their order and at least
once. docs/events.md has the rules.
"""

import asyncio
import contextlib
import logging
import random
import secrets
from collections.abc import Sequence

from store.errors import CursorExpired, Unavailable
from store.event_log import Cursor, Event, EventLog
from store.webhook_states import WebhookStates
from telemetry.webhook_metrics import WebhookMetrics
from webhooks.delivery import REQUEST_SECONDS, Deliveries, NotDelivered
from webhooks.settings import Webhook

BATCH = 100
"""Events that are read together."""
POLL_SECONDS = 1.0
"""How often each receiver's events are looked for, which any server may have written."""
LEASE_SECONDS = 60.0
"""How long only one process sends to a receiver: longer than a request. If the process is killed,
another one takes over after this time."""
WAITS = (5.0, 3600.0)
"""Seconds until the second attempt, doubled for each further one, and the most they become."""
TRIED_FOR = 86_400.0
"""Seconds after the first failure until the receiver is paused."""
CLOSE_SECONDS = 3.0
"""How long the requests in progress may still take when the server stops."""
COUNT_SECONDS = 15.0
"""How often the metrics of all receivers are updated."""

_log = logging.getLogger("latchkey.webhooks")


class WebhookSender:
    """Sends events to all receivers. `start` and `close` belong to one event loop."""

    def __init__(
        self,
        webhooks: Sequence[Webhook],
        events: EventLog,
        states: WebhookStates,
        metrics: WebhookMetrics,
        *,
        request_seconds: float = REQUEST_SECONDS,
        poll_seconds: float = POLL_SECONDS,
        lease_seconds: float = LEASE_SECONDS,
        waits: tuple[float, float] = WAITS,
        tried_for: float = TRIED_FOR,
    ) -> None:
        """Compose a sender; the lease must be longer than a request. Times are in seconds."""
        self._webhooks, self._events, self._states = webhooks, events, states
        self._metrics = metrics
        self._request_seconds, self._poll_seconds = request_seconds, poll_seconds
        self._lease_seconds, self._waits, self._tried_for = lease_seconds, waits, tried_for
        self._owner = secrets.token_hex(8)
        self._closing = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to send."""
        self._deliveries = Deliveries(self._request_seconds)
        for webhook in self._webhooks:
            self._metrics.add(webhook.name)
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._run(webhook)) for webhook in self._webhooks]
        self._tasks.append(loop.create_task(self._count()))

    async def close(self) -> None:
        """Stop. The requests in progress have CLOSE_SECONDS to end."""
        self._closing.set()
        _, late = await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
        await self._deliveries.close()
        with contextlib.suppress(Unavailable):  # the leases end by themselves
            await self._states.release(self._owner)

    async def _run(self, webhook: Webhook) -> None:
        is_known, is_available = False, True
        while not self._closing.is_set():
            try:
                if not is_known:
                    await self._states.add(webhook.name)
                    is_known = True
                goes_on = await self._send_batch(webhook)
                is_available = True
            except Unavailable as error:
                if is_available:  # one line for each outage
                    _log.warning("no events are sent to %s: %s", webhook.name, error)
                goes_on = is_available = False
            except Exception:
                _log.exception("events could not be sent to %s", webhook.name)  # a bug
                goes_on = False
            if not goes_on:
                await self._pause(self._poll_seconds * random.uniform(0.8, 1.2))  # noqa: S311

    async def _send_batch(self, webhook: Webhook) -> bool:
        """Send some events to a receiver, if it is due; return whether to look for more at once."""
        cursor = await self._states.due(webhook.name, self._owner)
        events = await self._read(webhook, cursor) if cursor else []
        if not events:
            return False
        if await self._states.claim(webhook.name, self._owner, self._lease_seconds) != cursor:
            return False
        for event in events:
            if self._closing.is_set() or not await self._send(webhook, event):
                return False
        return True

    async def _read(self, webhook: Webhook, cursor: Cursor) -> list[Event]:
        try:
            events, _ = await self._events.read(cursor, BATCH)
        except CursorExpired:
            if await self._states.claim(webhook.name, self._owner, self._lease_seconds):
                _log.error("%s has missed events, which are too old to be kept", webhook.name)
                await self._states.skip(webhook.name, self._owner)
            return []
        return events

    async def _send(self, webhook: Webhook, event: Event) -> bool:
        """Send an event; return whether the next one may be sent."""
        try:
            await self._deliveries.deliver(webhook, event)
        except NotDelivered as error:
            await self._record_failure(webhook, error)
            return False
        self._metrics.count(webhook.name, "delivered")
        return await self._states.delivered(
            webhook.name, self._owner, event.cursor, self._lease_seconds
        )

    async def _record_failure(self, webhook: Webhook, error: NotDelivered) -> None:
        self._metrics.count(webhook.name, "failed")
        failures, is_paused = await self._states.failed(
            webhook.name,
            self._owner,
            str(error),
            waits=self._waits,
            tried_for=0 if error.is_gone else self._tried_for,
        )
        if is_paused:
            _log.error(
                "%s is paused: %s; run `webhooks resume %s` when it can receive events again",
                webhook.name,
                error,
                webhook.name,
            )
        else:
            _log.warning("%s has not accepted an event %d times: %s", webhook.name, failures, error)

    async def _count(self) -> None:
        """Update the metrics of all receivers."""
        names = {webhook.name for webhook in self._webhooks}
        while not self._closing.is_set():
            with contextlib.suppress(Unavailable):
                for state in await self._states.all():
                    if state.name in names:
                        self._metrics.show(
                            state.name,
                            is_paused=state.paused is not None,
                            lag_seconds=state.lag_seconds,
                        )
            await self._pause(COUNT_SECONDS)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)
