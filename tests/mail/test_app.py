"""An application that sends mail: where the token of a link is, and where it is not."""

import asyncio
import re
from dataclasses import replace

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app import CORE, create_app
from handlers import app_keys
from mail import sender
from mail.transport import stored
from store.errors import Unavailable
from tests.program import wait_for_async
from tests.telemetry.collector import collecting

TEST = {"username": "mika", "email": "mika@example.com", "password": "correct horse"}


@pytest.fixture
async def client(aiohttp_client, mail_settings, clean, tmp_path, monkeypatch):
    """A client of an application with metrics and traces that writes mail to files."""
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        settings = replace(mail_settings, mail_url=f"file:{tmp_path}/mail", tracing="on")
        client = await aiohttp_client(create_app(settings))
        yield client
        await client.close()


async def test_no_token_is_anywhere_but_in_the_message(
    client, database, redis_client, tmp_path, caplog, monkeypatch
):
    spans = InMemorySpanExporter()
    client.app[app_keys.TRACING].provider.add_span_processor(SimpleSpanProcessor(spans))
    assert (await client.post("/account/register", json=TEST)).status == 200
    mail = client.app[CORE].mail
    rows = []
    claim = mail.claim

    async def look_and_claim(*arguments):
        with database.cursor() as cursor:
            cursor.execute("select mail::text from mail")
            rows.extend(cursor.fetchall())
        return await claim(*arguments)

    monkeypatch.setattr(mail, "claim", look_and_claim)
    await mail.add("reset", "mika@example.com")
    files = await wait_for_async(lambda: stored(tmp_path / "mail"))
    content = files[0].read_bytes().replace(b"=\r\n", b"").decode()
    [token] = set(re.findall(r"/ui/reset-password#([\w-]+)", content))
    metrics = await (await client.get("/metrics")).text()
    assert 'latchkey_mail_messages_total{kind="reset",outcome="sent"} 1.0' in metrics
    keys = redis_client.keys()
    assert keys
    kept = [*keys, *map(redis_client.dump, keys)]
    seen = {
        "metrics": metrics,
        "logs": caplog.text,
        "rows": str(rows),
        "Redis": str(kept),
        "spans": str([each.to_json() for each in spans.get_finished_spans()]),
    }
    assert rows
    assert spans.get_finished_spans()
    assert [where for where, text in seen.items() if token in text or token[:20] in text] == []
    assert "mika@example.com" not in seen["metrics"] + seen["logs"] + seen["spans"]


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
