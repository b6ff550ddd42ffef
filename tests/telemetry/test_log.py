"""What is logged and what is not: a line for each request, and unexpected errors."""

import asyncio
import contextlib
import io
import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import pytest

from app import create_app
from commands.serving import print_failure, print_status
from handlers import app_keys
from telemetry.log import (
    FLUSH_LINES,
    JsonFormatter,
    RequestLog,
    TextFormatter,
    set_up,
    status_line,
)
from tests.handlers.contract import JSON, Row, play
from tests.handlers.dialects.lumotist_rows import SIGN_UP, TEST, profile, token
from tests.handlers.sample_requests import ask
from tests.program import ROOT

SECRETS = ("s3cret-password", "s3cret-body", "s3cret-query", "s3cret-header")


@pytest.fixture
def log_of(aiohttp_client, settings, clean, monkeypatch):
    async def make(as_json):
        stream = io.StringIO()
        monkeypatch.setattr(sys, "stderr", stream)
        app = create_app(replace(settings, log_format="json" if as_json else "text"))
        client = await aiohttp_client(app)
        return client, stream

    return make


@pytest.mark.parametrize("as_json", [False, True])
async def test_one_line_for_each_request_and_no_secrets(log_of, as_json):
    client, stream = await log_of(as_json)
    user = TEST | {"password": "s3cret-password"}
    names = await play(client, [replace(SIGN_UP, body=user), profile()])
    asked = [
        ("GET", "/account/profile", 401, token("s3cret-header")),
        ("POST", "/account/login?token=s3cret-query", 400, {}),
        ("GET", "/s3cret-query", 404, {}),
        ("OPTIONS", "/account/login", 200, {}),
    ]
    for method, path, _, headers in asked:
        await client.request(method, path, headers=JSON | headers, data=b'{"s3cret-body')
    client.app[app_keys.REQUEST_LOG].flush()
    lines = stream.getvalue().splitlines()
    logged = [
        ("POST", "/account/register", 200),
        ("GET", "/account/profile", 200),
        ("GET", "/account/profile", 401),
        ("POST", "/account/login", 400),
        ("GET", "*", 404),
        ("OPTIONS", "/account/login", 200),
    ]
    assert [read_line(line, as_json) for line in lines] == logged
    for secret in (*SECRETS, names["token"], "test@test.com"):
        assert secret not in stream.getvalue()


def read_line(line, as_json):
    if as_json:
        fields = json.loads(line)
        return fields["method"], fields["route"], fields["status"]
    _, method, route, status, *_ = line.split()
    return method, route, int(status)


@pytest.mark.parametrize("as_json", [False, True])
async def test_a_line_has_the_id_of_its_request(log_of, as_json):
    client, stream = await log_of(as_json)
    await ask(client, "GET", "/healthz", X_Request_ID="known-7")
    response = await ask(client, "GET", "/healthz")
    client.app[app_keys.REQUEST_LOG].flush()
    first, second = stream.getvalue().splitlines()
    assert "known-7" in first
    assert response.headers["X-Request-ID"] in second
    assert "known-7" not in second


async def test_a_line_is_written_soon(log_of):
    client, stream = await log_of(False)
    for path in ("/healthz", "/readyz"):  # and after that, too
        await ask(client, "GET", path)
        for _ in range(100):
            await asyncio.sleep(0.02)
            if path in stream.getvalue():
                break
        assert f"{path} 200" in stream.getvalue()


async def test_a_line_has_the_time_of_its_request(monkeypatch):
    stream = io.StringIO()
    log = RequestLog(stream, as_json=False)
    monkeypatch.setattr(time, "time", lambda: 1_700_000_000.25)
    log.add("GET", "/healthz", 200, 0.0, "id", "")
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.0)
    log.flush()
    assert stream.getvalue().startswith("2023-11-14T22:13:20.250Z GET ")


async def test_which_requests_have_a_line(settings, monkeypatch):
    """LOG_REQUESTS. All other messages are logged with every value."""
    for which, expected in (
        ("all", [200, 404, 503]),
        ("errors", [404, 503]),
        ("off", []),
    ):
        stream = io.StringIO()
        monkeypatch.setattr(sys, "stderr", stream)
        log = create_app(replace(settings, log_requests=which))[app_keys.REQUEST_LOG]
        for status in (200, 404, 503):
            log.add("GET", "/healthz", status, 0.01, "id", "")
        log.flush()
        assert [int(line.split()[3]) for line in stream.getvalue().splitlines()] == expected


def test_every_line_is_json_where_the_log_is(monkeypatch, capsys):
    """The lines of a start, of a start that fails, and of a crash."""
    root, hook, stream = logging.getLogger(), sys.excepthook, io.StringIO()
    handlers, level = root.handlers[:], root.level
    assert status_line("serving") == "latchkey: serving"
    try:
        set_up(stream, as_json=True)
        sys.excepthook(RuntimeError, RuntimeError("a bug"), None)
        print_status("serving")
        print_failure("it can't\x1b[2J")
    finally:
        sys.excepthook = hook
        logging.captureWarnings(False)
        root.handlers[:] = handlers
        root.setLevel(level)
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in (stream.getvalue() + out + err).splitlines()]
    assert [(each["level"], each["message"]) for each in lines] == [
        ("CRITICAL", "unexpected error"),
        ("INFO", "serving"),
        ("ERROR", r"it can't\x1b[2J"),
    ]
    assert "RuntimeError: a bug" in lines[0]["traceback"]


@pytest.fixture
def full() -> Iterator[TextIO]:
    """A stream on a disk that is full."""
    with contextlib.suppress(OSError), Path("/dev/full").open("w") as full:
        yield full


async def test_a_log_that_cannot_be_written_fails_no_request(
    aiohttp_client, settings, monkeypatch, full
):
    """Nor does it fail the end of the program."""
    monkeypatch.setattr(sys, "stderr", full)
    client = await aiohttp_client(create_app(settings))
    for _ in range(FLUSH_LINES + 1):
        assert (await client.get("/healthz")).status == 200
    await client.close()


async def test_lines_are_written_when_there_are_many():
    stream = io.StringIO()
    log = RequestLog(stream, as_json=False)
    for number in range(FLUSH_LINES + 1):
        log.add("GET", "/healthz", 200, 0.0123, f"id-{number}", "")
    lines = stream.getvalue().splitlines()
    assert len(lines) == FLUSH_LINES
    assert lines[-1].endswith(f"GET /healthz 200 12.3 ms [id-{FLUSH_LINES - 1}]")


async def test_what_nobody_expected_is_a_bland_500_and_a_traceback(client, monkeypatch, caplog):
    names = await play(client, [SIGN_UP])

    async def crash():
        raise RuntimeError("the innermost secret")

    monkeypatch.setattr(client.app[app_keys.PICTURES], "gallery", crash)
    headers = token(names["token"]) | {"X-Request-ID": "crash-1"}
    for path in ("/account/get_pictures", "/lumotist/account/get_pictures/"):
        caplog.clear()
        row = Row(f"GET {path}", None, 500, {"detail": "<text>"}, headers)
        await play(client, [row], names)
        assert "secret" not in await (await client.get(path, headers=headers)).text()
        record = next(each for each in caplog.records if each.exc_info)
        assert record.levelno == logging.ERROR
        assert record.request_id == "crash-1"
        for formatter in (TextFormatter(), JsonFormatter()):
            written = formatter.format(record)
            assert "RuntimeError: the innermost secret" in written
            assert "crash-1" in written
        assert len(JsonFormatter().format(record).splitlines()) == 1
        assert names["token"] not in TextFormatter().format(record)


WARN = """
import sys, warnings
from telemetry import log
log.set_up(sys.stderr, as_json=True)
warnings.warn("something is deprecated", stacklevel=1)
warnings.warn_explicit("Corrupt EXIF", UserWarning, "Tiff.py", 1, module="PIL.TiffImagePlugin")
"""


def test_warnings_are_lines_like_others_and_those_about_pictures_none():
    """Pillow has one for each invalid EXIF entry: thousands for one upload."""
    ran = subprocess.run(
        [sys.executable, "-c", WARN], check=True, capture_output=True, text=True, cwd=ROOT
    )
    [line] = ran.stderr.splitlines()
    assert json.loads(line)["logger"] == "py.warnings"
    assert "something is deprecated" in json.loads(line)["message"]
