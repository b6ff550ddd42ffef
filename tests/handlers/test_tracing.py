"""TRACING=on: the content of a request's spans, their relations, and what they must not have."""

import asyncio
import gc
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import ip_network

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from opentelemetry.sdk.trace import ReadableSpan, Span
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from app import create_app
from handlers import app_keys
from handlers.app_keys import TRACING
from settings import Settings
from tests.handlers.dialects.each_dialect import DIALECT_CALLS, DialectCalls
from tests.redis_servers import clustered, watched
from tests.secrecy import WATCH
from tests.telemetry.collector import collecting

PASSWORD = "Analytical-Engine-1843"
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
BATCH = "db.operation.batch.size"


@dataclass(frozen=True)
class Traced:
    """A client of a server that records spans, and the recorded spans."""

    client: TestClient
    memory: InMemorySpanExporter

    async def ask(self, method: str, path: str, token: str = "", **options: object) -> int:
        """Forget all spans but those of this request; return its status."""
        headers = {"Authorization": f"Token {token}"} if token else {}
        headers |= options.pop("headers", {})
        self.memory.clear()
        async with self.client.request(method, path, headers=headers, **options) as response:
            await response.read()
            return response.status

    async def register(self, name: str) -> str:
        body = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
        async with self.client.post("/account/register", json=body) as response:
            assert response.status == 200
            return (await response.json())["token"]

    @property
    def spans(self) -> list[ReadableSpan]:
        return sorted(self.memory.get_finished_spans(), key=lambda span: span.start_time)

    @property
    def requests(self) -> list[ReadableSpan]:
        return [span for span in self.spans if span.kind is SpanKind.SERVER]

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def below(self, parent: ReadableSpan) -> list[ReadableSpan]:
        """Return the spans whose parent this is."""
        return [span for span in self.spans if span.parent and id_of(span.parent) == id_of(parent)]


def id_of(span: object) -> tuple[int, int]:
    """Return the identity of a span or of a link's target."""
    context = getattr(span, "context", span)
    return context.trace_id, context.span_id


def trace_of(span: ReadableSpan) -> str:
    return f"{span.context.trace_id:032x}"


Trace = Callable[..., Awaitable[Traced]]


@pytest.fixture(scope="module")
def collector_url() -> Iterator[str]:
    with collecting() as collector:
        yield collector.url


@pytest.fixture
def trace(aiohttp_client, settings: Settings, clean, monkeypatch, collector_url) -> Trace:
    """Start a server that records spans, with these changes of its settings."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector_url)

    async def trace(base: Settings = settings, **changes: object) -> Traced:
        app = create_app(replace(base, tracing="on", **changes))
        memory = InMemorySpanExporter()
        app[TRACING].provider.add_span_processor(SimpleSpanProcessor(memory))
        return Traced(await aiohttp_client(app), memory)

    return trace


@pytest.fixture
async def traced(trace: Trace) -> Traced:
    return await trace()


async def test_a_request_is_a_span(traced: Traced):
    token = await traced.register("ada")
    known = {"X-Request-ID": "known-7"}
    assert await traced.ask("GET", "/account/profile/?q=secret", token, headers=known) == 200
    [request] = traced.requests
    assert request.name == "GET /account/profile"
    assert request.parent is None
    assert request.attributes == {
        "http.request.method": "GET",
        "http.route": "/account/profile",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "latchkey.dialect": "lumotist",
        "latchkey.request_id": "known-7",
    }
    assert request.status.status_code is StatusCode.UNSET


async def test_a_read_has_its_batch_below_it_and_both_stores_below_that(traced: Traced):
    token = await traced.register("ada")
    await traced.ask("GET", "/account/profile", token)
    [request] = traced.requests
    [batch] = traced.below(request)
    assert batch.name == "look up sessions"
    assert batch.attributes == {BATCH: 1}
    assert [id_of(link) for link in batch.links] == [id_of(request)]
    redis, postgresql = traced.below(batch)
    assert (redis.name, redis.kind) == ("MGET", SpanKind.CLIENT)
    assert redis.attributes == {
        "db.system.name": "redis",
        "db.operation.name": "MGET",
        BATCH: 1,
    }
    assert (postgresql.name, postgresql.kind) == ("select account", SpanKind.CLIENT)
    query = postgresql.attributes["db.query.text"]
    assert query.startswith("select id, username, email, ")
    assert query.endswith("from account where id = %s")
    assert postgresql.attributes["db.system.name"] == "postgresql"
    assert postgresql.attributes["db.operation.name"] == "select"
    assert postgresql.attributes["db.collection.name"] == "account"
    assert len(traced.spans) == 4


async def test_a_login_shows_each_of_its_steps(trace: Trace):
    traced = await trace(rate_limits="on")
    await traced.register("ada")
    body = {"username": "ada", "password": PASSWORD}
    assert await traced.ask("POST", "/account/login", json=body) == 200
    [request] = traced.requests
    names = [span.name for span in traced.below(request)]
    assert names == [
        "EVAL",
        "EVAL",
        "look up credentials",
        "GET",  # the account's wrong passwords
        "bcrypt",
        "update account",
        "EVAL",
        "GETEX",
        "ZRANGE",  # sessions under keys that are not listed
        "MGET",
    ]
    [batch] = traced.named("look up credentials")
    assert [span.name for span in traced.below(batch)] == ["select account"]


async def test_a_logout_is_a_pipeline_and_a_command(traced: Traced):
    token = await traced.register("ada")
    assert await traced.ask("POST", "/account/logout", token) == 200
    [request] = traced.requests
    _, pipeline, command = traced.below(request)
    assert (pipeline.name, pipeline.attributes[BATCH]) == ("PIPELINE", 1)
    assert command.name == "ZREM"


@pytest.mark.parametrize("servers", [partial(watched, 1, 1), partial(clustered, 3)])
@pytest.mark.slow
async def test_behind_sentinels_and_on_a_cluster_it_looks_the_same(trace: Trace, servers):
    with servers() as redis:
        traced = await trace(redis_url=redis.url, rate_limits="on", store_timeout=20.0)
        token = await traced.register("ada")
        assert await traced.ask("POST", "/account/logout", token) == 200
        [request] = traced.requests
        batch, *names = [span.name for span in traced.below(request)]
        assert (batch, names) == ("look up sessions", ["PIPELINE", "ZREM"])
        [batch] = traced.named(batch)
        assert [span.name for span in traced.below(batch)] == ["MGET", "select account"]
        await traced.client.close()


async def test_requests_share_the_span_of_their_batch(traced: Traced):
    """Each request links to the batch that served it, and a batch to all its requests."""
    tokens = [await traced.register(f"ada{n}") for n in range(16)]
    traced.memory.clear()

    async def read(token: str) -> None:
        headers = {"Authorization": f"Token {token}"}
        async with traced.client.get("/account/profile", headers=headers) as response:
            assert response.status == 200

    await asyncio.gather(*map(read, tokens))
    batches = traced.named("look up sessions")
    assert len(traced.requests) == 16 > len(batches)
    linked = [id_of(link) for batch in batches for link in batch.links]
    assert sorted(linked) == sorted(id_of(request) for request in traced.requests)
    assert sum(batch.attributes[BATCH] for batch in batches) == 16
    for batch in batches:
        first, *others = [id_of(link) for link in batch.links]
        assert id_of(batch.parent) == first
        pointing = [r for r in traced.requests if id_of(batch) in [id_of(x) for x in r.links]]
        assert sorted(id_of(request) for request in pointing) == sorted(others)


async def test_a_trace_that_a_request_brings_is_continued(traced: Traced):
    brought = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "vendor=s3cret"}
    await traced.ask("GET", "/account/profile", headers=brought)
    [request] = traced.requests
    assert trace_of(request) == TRACE
    assert f"{request.parent.span_id:016x}" == CALLER
    assert not request.context.trace_state


@pytest.mark.parametrize("flags", ["00", "01"])
async def test_a_caller_decides_whether_its_trace_is_recorded(traced: Traced, flags: str):
    token = await traced.register("ada")
    brought = {"traceparent": f"00-{TRACE}-{CALLER}-{flags}"}
    assert await traced.ask("GET", "/account/profile", token, headers=brought) == 200
    assert len(traced.spans) == (4 if flags == "01" else 0)


@pytest.mark.parametrize(
    "sent", ["", "nonsense", f"00-{'0' * 32}-{CALLER}-01", f"00-{TRACE}-{CALLER}-01-x", "0" * 600]
)
async def test_what_is_no_trace_begins_a_new_one(traced: Traced, sent: str):
    assert await traced.ask("GET", "/account/profile", headers={"traceparent": sent}) == 401
    [request] = traced.requests
    assert request.parent is None
    assert trace_of(request) != TRACE


async def test_each_request_of_a_connection_has_a_trace_of_its_own(traced: Traced):
    for _ in range(3):
        await traced.client.get("/account/profile")
    assert len({trace_of(request) for request in traced.requests}) == 3


@pytest.mark.slow
async def test_no_span_is_kept(traced: Traced):
    """Not beyond the store's deadline, that is, whose timers know in which span they began."""
    token = await traced.register("ada")
    for _ in range(20):
        await traced.ask("GET", "/account/profile", token)
    for _ in range(50):
        if not (kept := live_spans()):
            break
        await asyncio.sleep(0.2)
    assert kept == []


def live_spans() -> list[str]:
    gc.collect()
    return [each.name for each in gc.get_objects() if isinstance(each, Span)]


async def test_what_is_not_sampled_makes_no_spans(trace: Trace, monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    traced = await trace()
    token = await traced.register("ada")
    assert await traced.ask("GET", "/account/profile", token) == 200
    assert traced.spans == []


NAMES = [
    ("GET", "/user/4711471/", "GET /user/{id:[0-9]+}", "kust", 401),
    ("GET", "/kust/nothing/4711471", "GET /kust/*", "kust", 404),
    ("GET", "/nothing/4711471", "GET *", None, 404),
    ("PROPFIND", "/account/login?4711471", "HTTP /account/login", "lumotist", 405),
    ("OPTIONS", "/account/login?4711471", "OPTIONS /account/login", "lumotist", 200),
    ("GET", "/pictures/4711471", "GET /pictures/{id}", None, 404),
]


@pytest.mark.parametrize(("method", "path", "name", "dialect", "status"), NAMES)
async def test_no_name_holds_what_a_client_made_up(
    traced: Traced, method: str, path: str, name: str, dialect: str | None, status: int
):
    assert await traced.ask(method, path) == status
    [request] = traced.requests
    assert request.name == name
    assert request.attributes.get("latchkey.dialect") == dialect
    assert "4711471" not in request.to_json()


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_probes_make_no_spans(traced: Traced, path: str):
    assert await traced.ask("GET", path) == 200
    assert traced.spans == []


SHARED = {"email": "a@example.com", "password": PASSWORD}


@pytest.mark.parametrize(
    ("body", "dialect"), [({"username": "a", **SHARED}, "wicare"), (SHARED, "fardel")]
)
async def test_a_shared_path_tells_the_dialect_that_was_spoken(traced, body, dialect):
    assert await traced.ask("POST", "/api/auth/register", json=body) == 200
    assert traced.requests[0].attributes["latchkey.dialect"] == dialect


async def test_the_scheme_is_what_a_trusted_proxy_says(trace: Trace):
    traced = await trace(trusted_proxies=(ip_network("127.0.0.1"),))
    await traced.ask("GET", "/account/profile", headers={"X-Forwarded-Proto": "https"})
    assert traced.requests[0].attributes["url.scheme"] == "https"


async def test_a_refusal_is_named_and_is_no_error(traced: Traced):
    assert await traced.ask("GET", "/account/profile", "0" * 40) == 401
    [request] = traced.requests
    assert request.attributes["error.type"] == "token_unknown"
    assert request.status.status_code is StatusCode.UNSET
    assert len(traced.spans) == 1  # no store was used


@pytest.mark.parametrize(("store", "failed"), [("redis", "MGET"), ("postgresql", "select account")])
async def test_a_store_that_is_away_is_an_error(trace: Trace, outages, store: str, failed: str):
    traced = await trace(outages.settings)
    token = await traced.register("ada")
    outages.take_away(store)
    assert await traced.ask("GET", "/account/profile", token) == 503
    for span in (*traced.requests, *traced.named(failed)):
        assert span.attributes["error.type"] == "unavailable"
        assert span.status.status_code is StatusCode.ERROR
    for span in traced.spans:  # an error's message may have any content
        assert span.status.description is None
        assert not span.events


async def test_a_fault_of_ours_is_an_error(traced: Traced, monkeypatch):
    async def crash(_: object) -> None:
        raise ZeroDivisionError("s3cret")

    monkeypatch.setattr(traced.client.server.app[app_keys.PICTURES], "gallery", crash)
    token = await traced.register("ada")
    assert await traced.ask("GET", "/account/get_pictures", token) == 500
    [request] = traced.requests
    assert request.attributes["error.type"] == "internal"
    assert request.status.status_code is StatusCode.ERROR
    assert "s3cret" not in request.to_json()


async def test_a_name_that_is_taken_is_no_secret_that_a_span_tells(traced: Traced):
    """PostgreSQL's message quotes the name; only the error's type and code are recorded."""
    await traced.register("mallory")
    body = {"username": "mallory", "email": "m@example.com", "password": PASSWORD}
    assert await traced.ask("POST", "/account/register", json=body) == 400
    [insert] = traced.named("insert account")
    assert insert.attributes["error.type"] == "UniqueViolation"
    assert insert.attributes["db.response.status_code"] == "23505"
    assert traced.requests[0].attributes["error.type"] == "taken"
    assert "mallory" not in "".join(span.to_json() for span in traced.spans)


async def test_no_span_holds_a_secret(traced: Traced):
    """In all dialects: register, log in, fail to log in, read, change and log out."""
    for name, calls in DIALECT_CALLS.items():
        await every_call(traced.client, name, calls)
    text = "".join(span.to_json() for span in traced.spans)
    assert len(traced.requests) > 40
    for secret in ("zaubertrank", "battery-staple", "bcrypt_sha256", "session:", "sessions:"):
        assert secret not in text.lower()
    assert not {token for token in WATCH.tokens if token in text}
    assert not re.search(r"[0-9a-f]{40}", re.sub(r"0x[0-9a-f]+", "", text))


async def every_call(client: TestClient, name: str, calls: DialectCalls) -> None:
    """Send the requests of an app of this dialect, with words that the test searches for."""
    account = {"username": f"Zaubertrank_{name}", "email": f"Zaubertrank_{name}@example.com"}
    secret = {"password": "Correct-Battery-Staple"}
    tokens = [""]
    for _ in range(2):
        for path, by in ((calls.register, calls.asks), (calls.login, calls.logs_in_by[:1])):
            body = {field: account[field] for field in by}
            tokens += await tokens_in(client, path, body | secret)
            await tokens_in(client, path, body | {"password": "Wrong-Battery-Staple"})
    paths = [f"GET {path}" for path in (*READ, "/Zaubertrank?token=Battery-Staple")]
    paths += ["POST /account/set_picture", "PUT /fardel/api/auth/profile", calls.logout[0]]
    for path in paths:
        for token in set(tokens):
            await tokens_in(client, path, {"id": 1, "first_name": "Zaubertrank"} | secret, token)


READ = ("/account/profile", "/auth/users/me", "/user/1", "/fardel/api/auth/profile")


async def tokens_in(
    client: TestClient, request: str, body: dict[str, object], token: str = ""
) -> list[str]:
    """Send a request; return the tokens of the response."""
    method, path = request.split()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    sent = None if method == "GET" else body
    async with client.request(method, path, json=sent, headers=headers) as response:
        return re.findall(r"\b[0-9a-f]{40,64}\b", await response.text())


async def test_a_password_shows_its_wait_and_its_work(trace: Trace):
    """One thread for two logins: the second waits for the first."""
    traced = await trace(workers=1024, bcrypt_rounds=9)
    await traced.register("ada")
    traced.memory.clear()

    async def log_in() -> None:
        body = {"username": "ada", "password": PASSWORD}
        async with traced.client.post("/account/login", json=body) as response:
            assert response.status == 200

    await asyncio.gather(log_in(), log_in())
    first, second = sorted(traced.named("bcrypt"), key=waited)
    assert waited(first) < worked(first)
    assert waited(second) > worked(first) / 2
    for span in (first, second):
        lasted = (span.end_time - span.start_time) / 1e6
        assert 1 < worked(span) <= waited(span) + worked(span) <= lasted


def waited(span: ReadableSpan) -> float:
    return span.attributes["latchkey.wait_ms"]


def worked(span: ReadableSpan) -> float:
    return span.attributes["latchkey.work_ms"]


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_the_line_of_a_request_names_its_trace(trace: Trace, capsys, log_format: str):
    traced = await trace(log_format=log_format)
    await traced.client.get("/account/profile")
    await traced.client.get("/healthz")
    traced.client.app[app_keys.REQUEST_LOG].flush()
    line, other = capsys.readouterr().err.splitlines()
    trace_id = trace_of(traced.requests[0])
    if log_format == "json":
        assert json.loads(line)["trace_id"] == trace_id
        assert "trace_id" not in json.loads(other)
    else:
        assert line.endswith(f"] token_missing trace {trace_id}")
        assert "trace" not in other


def called_by(app: web.Application) -> list[object]:
    """Return the route handlers, and the objects that report to an observer."""
    access = app[app_keys.ACCESS]
    return [
        *(route.handler for route in app.router.routes()),
        app[app_keys.REQUEST_LOG],
        app[app_keys.METRICS],
        access,
        access._accounts,
        access._accounts._names,
        access._accounts._names._by_name,
        access._accounts._database,
        access._authentication._callers,
        access._passwords._queue,
        access._sessions,
        access._sessions._redis,
        access._sessions._redis.client,
        *app[app_keys.IMAGES].threads,
    ]


def makes_spans(app: web.Application) -> bool:
    """Return whether anything that a request calls belongs to the modules that make spans."""
    seen, modules = set(), ("telemetry.tracing", "telemetry.store_spans")
    found = called_by(app)
    while found:
        each = found.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if (getattr(each, "__module__", None) or type(each).__module__) in modules:
            return True
        found += [each.__self__] if hasattr(each, "__self__") else []
        found += [cell.cell_contents for cell in getattr(each, "__closure__", None) or ()]
        if type(each).__module__.startswith(("handlers", "store", "telemetry")):
            found += getattr(each, "__dict__", {}).values()
    return False


async def test_off_nothing_that_is_called_makes_spans(client: TestClient):
    assert not makes_spans(client.server.app)


async def test_on_the_test_above_sees_it(traced: Traced):
    assert makes_spans(traced.client.server.app)


async def test_no_method_is_replaced(traced: Traced):
    """Neither for metrics nor for traces: no object has an attribute that shadows a method."""
    for each in called_by(traced.client.server.app):
        shadowed = {
            name
            for name, value in getattr(each, "__dict__", {}).items()
            if callable(value) and callable(getattr(type(each), name, None))
        }
        assert not shadowed, each
