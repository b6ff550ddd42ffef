"""Traces of the program as a process: sent before it ends, never in its way, off by default."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from settings import BadSetting, read_settings
from tests.program import ROOT, Data, Program, wait_for
from tests.telemetry.collector import Collector, collecting

PROFILE = "GET /account/profile"
AUTHORIZATION = "Bearer Zaubertrank"
QUIETLY = {"OTEL_EXPORTER_OTLP_HEADERS": f"authorization={AUTHORIZATION}"}


@pytest.fixture(scope="module")
def data() -> Iterator[Data]:
    with tempfile.TemporaryDirectory(prefix="latchkey-", ignore_cleanup_errors=True) as directory:
        yield Data(Path(directory) / "data")


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


def tracing(data: Data, url: str, **environment: str) -> Program:
    return Program(
        DATA_DIR=str(data.path),
        TRACING="on",
        DRAIN_SECONDS="0",
        OTEL_EXPORTER_OTLP_ENDPOINT=url,
        **environment,
    )


def end(server: Program) -> float:
    """Send SIGTERM; return how many seconds the program took to end well."""
    begun = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert server.wait() == 0
    return time.monotonic() - begun


def test_every_span_is_sent_before_the_program_ends(data: Data, collector: Collector):
    with tracing(data, collector.url, OTEL_BSP_SCHEDULE_DELAY="60000", **QUIETLY) as server:
        token = server.serve().register("sent")
        assert server.ask("GET", "/account/profile", None, token).status == 200
        assert collector.spans == []
        end(server)
        assert "Traceback" not in server.err
    assert collector.paths == {"/v1/traces"}
    assert collector.headers["authorization"] == AUTHORIZATION
    [request] = collector.named(PROFILE)
    assert request.attributes["http.response.status_code"] == 200
    assert request.resource["service.name"] == "latchkey"
    [batch] = collector.named("look up sessions")
    assert batch.trace_id == request.trace_id
    assert collector.named("POST /account/register")
    assert collector.named("bcrypt")


@pytest.mark.slow
def test_the_standard_variables_are_heeded(data: Data, collector: Collector):
    ours = {"OTEL_SERVICE_NAME": "accounts", "OTEL_RESOURCE_ATTRIBUTES": "deployment=blue"}
    with tracing(data, collector.url, **ours) as server:
        server.serve().ask("GET", "/account/profile")
        end(server)
    [request] = collector.named(PROFILE)
    assert request.resource["service.name"] == "accounts"
    assert request.resource["deployment"] == "blue"


@pytest.mark.slow
def test_each_worker_sends_its_own(data: Data, collector: Collector):
    with tracing(data, collector.url, WORKERS="2") as server:
        server.serve()
        answered = {""}

        def ask() -> bool:
            answer = server.ask("GET", "/account/profile")
            answered.add(answer.headers["X-Request-ID"].partition("-")[0])
            return len(answered) == 3

        assert wait_for(ask)
        end(server)
        assert "Traceback" not in server.err
    of = {span.resource["service.instance.id"] for span in collector.named(PROFILE)}
    assert len(of) == 2
    ids = {span.attributes["latchkey.request_id"] for span in collector.named(PROFILE)}
    assert {each.partition("-")[0] for each in ids} == answered - {""}


@pytest.fixture(params=["refuses", "is silent"])
def away(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a collector that refuses connections, or takes them and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        port = listener.getsockname()[1]
        if request.param == "refuses":
            listener.close()
        yield f"http://127.0.0.1:{port}"


@pytest.mark.slow
def test_a_collector_that_is_away_is_in_nobodys_way(data: Data, away: str):
    """Every request is answered, the program ends in time, and one line tells of it, or two."""
    slow = {"OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    with tracing(data, away, **slow, **QUIETLY) as server:
        name = f"away{int(time.monotonic())}"
        token = server.serve().register(name)
        with server.client() as client:
            for _ in range(200):
                client.send("GET", "/account/profile", None, token)
                begun = time.monotonic()
                assert client.receive().status == 200
                assert time.monotonic() - begun < 2
        assert wait_for(lambda: "spans were lost" in server.err)
        assert end(server) < 10
        about = [line for line in server.err.splitlines() if "account" not in line]
    assert len(about) <= 2, about
    assert AUTHORIZATION.split()[1] not in "".join(about)


@pytest.mark.slow
def test_the_end_does_not_wait_for_a_collector(data: Data):
    """Which takes the last spans and does not answer, for longer than the program has."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with tracing(data, url, OTEL_EXPORTER_OTLP_TIMEOUT="60") as server:
            server.serve().ask("GET", "/account/profile")
            assert end(server) < 10
            assert server.err.count("the last spans were not sent") == 1


def off(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Make an application with TRACING=off in a process of its own, then run some code."""
    lines = f"""
import sys
from app import create_app
from settings import Settings
app = create_app(Settings(secret_keys=("k" * 32,)))
{code}"""
    return subprocess.run(
        [sys.executable, "-c", lines],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


@pytest.fixture
def without(tmp_path: Path) -> dict[str, str]:
    """An environment in which OpenTelemetry is not installed."""
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry/__init__.py").touch()
    return {"PYTHONPATH": str(tmp_path)}


def test_off_our_tracing_is_not_imported():
    """redis-py imports OpenTelemetry's metrics where they are installed; its traces nobody does."""
    done = off("print(*sys.modules)")
    assert "store.postgresql.database" in done.stdout.split(), done.stderr
    assert not {"telemetry.tracing", "telemetry.store_spans"} & set(done.stdout.split())
    assert "opentelemetry.exporter" not in done.stdout
    assert "opentelemetry.sdk.trace" not in done.stdout


@pytest.mark.slow
def test_off_nothing_of_opentelemetry_is_needed(without: dict[str, str]):
    done = off("print(*(name for name in sys.modules if 'opentelemetry' in name))", **without)
    assert (done.returncode, done.stdout.split()) == (0, ["opentelemetry"]), done.stderr


def test_on_and_not_installed_is_told_in_one_line(without: dict[str, str], tmp_path: Path):
    environment = {"TRACING": "on", "DATA_DIR": str(tmp_path / "data"), **without}
    with Program(**environment) as server:
        assert server.wait() == 2
        assert server.out == ""
        [line] = server.err.splitlines()
    assert line.startswith("latchkey: TRACING is on, but OpenTelemetry is not installed")
    assert line.endswith("pip install -r requirements-tracing.txt")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "theirs", [{"OTEL_SPAN_LINK_COUNT_LIMIT": "many"}, {"OTEL_BSP_MAX_QUEUE_SIZE": "1"}]
)
@pytest.mark.slow
def test_what_opentelemetry_cannot_use_is_told_in_one_line(data: Data, theirs: dict[str, str]):
    with tracing(data, "http://127.0.0.1:1", **theirs) as server:
        assert server.wait() == 2
        assert "Traceback" not in server.err
        assert server.err.splitlines()[-1].startswith("latchkey: TRACING is on, and OpenTelemetry")


def test_it_is_off_or_on():
    assert read_settings({}).tracing == "off"
    assert read_settings({"TRACING": "on"}).tracing == "on"
    with pytest.raises(BadSetting, match=r"TRACING must be on or off \(got 'yes'\)"):
        read_settings({"TRACING": "yes"})
