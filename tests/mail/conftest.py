"""A core, an SMTP server, and a sender between them."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from mail.links import Links
from mail.messages import Messages
from mail.sender import MailSender
from mail.settings import parse_mail_url
from mail.transport import SmtpTransport, make_transport
from options import core_options, mail_options
from settings import Settings
from store.account import Account, NewAccount
from store.core import Core, open_core
from store.limits import Limits
from telemetry.mail_metrics import MailMetrics
from tests.mail.smtp import Inbox, smtp_server
from tests.program import PATIENCE, wait_for_async

QUICK = 0.05
DIALECT_LINKS = {
    ("djoser", kind): f"https://app.example/{kind}/{{uid}}#{{token}}"
    for kind in ("activate", "rename", "reset", "change")
}


class Sending:
    """A sender, and what it has counted."""

    def __init__(self, sender: MailSender, registry: CollectorRegistry) -> None:
        self.sender, self._registry = sender, registry

    def counted(self) -> dict[tuple[str, str], float]:
        """Return how many messages of each kind had each outcome."""
        return {
            (sample.labels["kind"], sample.labels["outcome"]): sample.value
            for family in self._registry.collect()
            for sample in family.samples
            if sample.name == "latchkey_mail_messages_total" and sample.value
        }

    def gauge(self, name: str) -> float | None:
        return self._registry.get_sample_value(name)


@pytest.fixture
def mail_settings(settings: Settings) -> Settings:
    """Settings under which mail is sent; tests give the port of their server."""
    return replace(
        settings,
        mail_url="smtp://127.0.0.1:25",
        mail_from="Latchkey <no-reply@accounts.example>",
        public_url="https://accounts.example",
        start_timeout=0,
    )


@pytest.fixture
async def core(mail_settings: Settings, clean: None) -> AsyncIterator[Core]:
    """A server without HTTP, on empty stores."""
    async with open_core(core_options(mail_settings)) as core:
        yield core


@pytest.fixture
async def inbox() -> AsyncIterator[Inbox]:
    """A server without TLS on loopback."""
    async with smtp_server() as inbox:
        yield inbox


Send = Callable[..., AbstractAsyncContextManager[Sending]]


@pytest.fixture
def send(core: Core, mail_settings: Settings) -> Send:
    """Run a sender to a server, at a quick pace; settings may be replaced."""

    @contextlib.asynccontextmanager
    async def send(
        url: str,
        *,
        step_seconds: float = 5,
        batch_seconds: float = 10,
        limits: Limits | None = None,
        **changes: Any,
    ) -> AsyncIterator[Sending]:
        options = mail_options(replace(mail_settings, mail_url=url, **changes))
        server = parse_mail_url(url)
        transport = (
            make_transport(options)
            if url.startswith("file:")
            else SmtpTransport(server, options.sender, step_seconds)
        )
        registry = CollectorRegistry()
        sender = MailSender(
            core.mail,
            core.accounts,
            core.one_time_tokens,
            Messages(options),
            Links(options, 8000, DIALECT_LINKS),
            transport,
            MailMetrics(registry),
            limits,
            batch_seconds=batch_seconds,
            lease_seconds=2 * batch_seconds,
            poll_seconds=QUICK,
        )
        sender.start()
        try:
            yield Sending(sender, registry)
        finally:
            await sender.close()

    return send


@pytest.fixture
def account(core: Core) -> Callable[..., Awaitable[Account]]:
    """Insert an account."""

    async def insert(name: str = "mika", email: str | None = None) -> Account:
        new = NewAccount(username=name, email=email or f"{name}@example.com")
        identity = await core.accounts.new_identity()
        return await core.accounts.insert(identity, new, "hash", logged_in=False)

    return insert


@pytest.fixture
def emptied(database: Any) -> Callable[..., Awaitable[bool]]:
    """Wait until the queue is empty."""

    def is_empty() -> bool:
        with database.cursor() as cursor:
            cursor.execute("select count(*) from mail")
            return cursor.fetchone() == (0,)

    return lambda patience=PATIENCE: wait_for_async(is_empty, patience)
