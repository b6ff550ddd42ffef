"""An application that sends mail: where the token of a link is, and where it is not."""

import asyncio
import contextlib
import threading
from dataclasses import replace
from urllib.parse import unquote

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app import CORE, create_app
from handlers import app_keys
from mail import sender
from store.errors import Unavailable
from tests.handlers.dialects.latchkey_life import LAPTOP, live
from tests.handlers.dialects.latchkey_rows import PHONE, TABLET
from tests.mail.mailbox import Mailbox
from tests.secrecy import WATCH
from tests.telemetry.collector import collecting

TEST = {"username": "mika", "email": "mika@example.com", "password": "correct horse"}


@pytest.fixture
async def client(aiohttp_client, mail_settings, clean, tmp_path, monkeypatch):
    """A client of an application with metrics and traces that writes mail to files."""
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        settings = replace(
            mail_settings,
            mail_url=f"file:{tmp_path}/mail",
            device_notices="on",
            rate_limits="on",
            tracing="on",
        )
        client = await aiohttp_client(create_app(settings))
        yield client
        await client.close()


@contextlib.contextmanager
def commands_of(redis_client):
    """Gather what Redis is sent."""
    found, end = [], "the end of what is gathered"

    def listen():
        for each in monitor.listen():
            found.append(each["command"])
            if end in each["command"]:
                return

    with redis_client.monitor() as monitor:
        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield found
        finally:
            redis_client.echo(end)
            thread.join()


@pytest.fixture
def mail_rows(client, database, monkeypatch):
    """Gather the rows of the queue before the sender takes any."""
    rows, mail = [], client.app[CORE].mail
    claim = mail.claim

    async def look_and_claim(*arguments):
        with database.cursor() as cursor:
            cursor.execute("select mail::text from mail")
            rows.extend(cursor.fetchall())
        return await claim(*arguments)

    monkeypatch.setattr(mail, "claim", look_and_claim)
    return rows


async def test_no_token_is_anywhere_but_in_the_message(
    client, database, redis_client, mail_rows, tmp_path, caplog
):
    """Nor is the label of a device in any log, metric or trace, nor an address."""
    caplog.set_level("DEBUG")
    spans = InMemorySpanExporter()
    client.app[app_keys.TRACING].provider.add_span_processor(SimpleSpanProcessor(spans))
    mailbox, lines = Mailbox(tmp_path / "mail"), len(WATCH.lines)
    with commands_of(redis_client) as commands:
        await live(client, mailbox)
        await mailbox.take("device")
    metrics = await (await client.get("/metrics")).text()
    client.app[app_keys.REQUEST_LOG].flush()
    told = {
        "metrics": metrics,
        "logs": caplog.text + "".join(WATCH.lines[lines:]),
        "spans": "".join(each.to_json() for each in spans.get_finished_spans()),
    }
    with database.cursor() as cursor:
        cursor.execute("select account::text from account")
        accounts = str(cursor.fetchall())
    kept = {"rows": str(mail_rows), "accounts": accounts, "Redis": "".join(commands)}
    for kind in ("verify", "change", "changed", "reset", "password", "device"):
        assert f'latchkey_mail_messages_total{{kind="{kind}",outcome="sent"}}' in metrics
        assert f",{kind}," in kept["rows"]
    assert "POST /v1/password-resets/confirm" in told["logs"]
    assert "/v1/password-resets/confirm" in told["spans"]
    assert "session:" in kept["Redis"]
    assert len(mailbox.links) == 3
    for token in mailbox.links:
        for where, text in (told | kept).items():
            assert token[:20] not in text, where
            assert token[-20:] not in text, where
    for where, text in told.items():
        for private in (PHONE, TABLET, LAPTOP, "example.org"):
            assert private not in unquote(text), (where, private)


async def test_a_server_that_sends_no_mail_says_so(server):
    with pytest.raises(Unavailable, match="mail: MAIL_URL is not set"):
        server.app[CORE].mail.require()


async def test_requests_do_not_wait_for_a_server_that_hangs(
    aiohttp_client, mail_settings, clean, monkeypatch
):
    """It accepts connections and never speaks."""
    monkeypatch.setattr(sender, "CLOSE_SECONDS", 0.1)
    loop = asyncio.get_running_loop()
    silent = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    settings = replace(mail_settings, mail_url=f"smtp://127.0.0.1:{port}")
    async with silent:
        client = await aiohttp_client(create_app(settings))
        await client.post("/account/register", json=TEST)
        await client.app[CORE].mail.add("reset", "mika@example.com")
        await asyncio.sleep(1.5)  # the sender is waiting by now
        for _ in range(20):
            async with asyncio.timeout(1):
                assert (await client.post("/account/login", json=TEST)).status in (200, 400)
        await client.close()
