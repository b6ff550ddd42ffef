"""A core that writes events, and senders at a quick pace."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from options import core_options
from settings import Settings
from store.account import NewAccount
from store.core import Core, open_core
from store.webhook_states import WebhookStates
from telemetry.webhook_metrics import WebhookMetrics
from webhooks.sender import WebhookSender
from webhooks.settings import Webhook

QUICK = 0.05


@pytest.fixture
async def core(settings: Settings, clean: None) -> AsyncIterator[Core]:
    options = core_options(replace(settings, events="on", database_pool=4))
    async with open_core(options) as core:
        yield core


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


Send = Callable[..., AbstractAsyncContextManager[WebhookSender]]


@pytest.fixture
def send(core: Core, registry: CollectorRegistry) -> Send:
    """Run a sender to receivers, once it has added them."""
    metrics = WebhookMetrics(registry)

    @contextlib.asynccontextmanager
    async def send(*webhooks: Webhook, **changes: Any) -> AsyncIterator[WebhookSender]:
        pace = {"poll_seconds": QUICK, "waits": (QUICK, 4 * QUICK), "request_seconds": 5.0}
        states = WebhookStates(core.database)
        sender = WebhookSender(webhooks, core.events, states, metrics, **{**pace, **changes})
        sender.start()
        for webhook in webhooks:
            await states.add(webhook.name)
        try:
            yield sender
        finally:
            await sender.close()

    return send


@pytest.fixture
def register(core: Core) -> Callable[[str], Awaitable[int]]:
    async def register(name: str) -> int:
        identity = await core.accounts.new_identity()
        account = await core.accounts.insert(identity, NewAccount(name), "!", logged_in=False)
        assert account
        return account.id

    return register


@pytest.fixture
def state(core: Core) -> Callable[[str], Awaitable[Any]]:
    async def state(name: str) -> Any:
        [found] = [each for each in await WebhookStates(core.database).all() if each.name == name]
        return found

    return state
