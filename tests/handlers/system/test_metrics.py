"""GET /metrics: what is counted, and who may read it."""

import asyncio
import platform
import re
from dataclasses import replace
from ipaddress import ip_network

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from app import create_app
from handlers.app_keys import METRICS
from handlers.mounts import Mount
from settings import VERSION, Settings
from store.limits import parse_limit
from telemetry.histogram import BulkHistogram
from telemetry.metrics import FLUSH_SECONDS
from tests.handlers.contract import play
from tests.handlers.dialects.lumotist_rows import LOGIN, SIGN_UP, TEST, profile, token


@pytest.fixture
async def client(aiohttp_client, settings, clean):
    """A client of a new application, whose counters are at 0."""
    return await aiohttp_client(create_app(settings))


BASE = ("postgresql", "redis")


async def scrape(client):
    """Return every sample, by its name and labels."""
    response = await client.get("/metrics")
    assert response.status == 200
    families = text_string_to_metric_families(await response.text())
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def sample(name, **labels):
    return (name, *sorted(labels.items()))


async def log_in(client, path="/account/login", **changed):
    return (await client.post(path, json={**LOGIN, **changed})).status


async def test_requests_are_counted_by_route_dialect_method_and_status(client):
    await play(client, [SIGN_UP, profile(), profile()])
    assert (await client.get("/account/profile")).status == 401
    assert (await client.post("/wicare/api/auth/login/", json={})).status == 400
    assert (await client.get("/nowhere/at/all")).status == 404
    samples = await scrape(client)

    def count(route, method, status, dialect="lumotist"):
        labels = {"dialect": dialect, "route": route, "method": method, "status": status}
        return samples.get(sample("latchkey_requests_total", **labels), 0)

    assert count("/account/profile", "GET", "200") == 2
    assert count("/account/profile", "GET", "401") == 1
    assert count("/account/register", "POST", "200") == 1
    assert count("/wicare/api/auth/login", "POST", "400", "wicare") == 1
    assert count("*", "GET", "404", "") == 1
    took = {"dialect": "lumotist", "route": "/account/profile"}
    assert samples[sample("latchkey_request_seconds_count", **took)] == 3
    assert samples[sample("latchkey_request_seconds_bucket", le="+Inf", **took)] == 3
    assert 0 < samples[sample("latchkey_request_seconds_sum", **took)] < 3


async def test_however_often_they_are_shown_they_are_counted_as_often_as_before(
    client, monkeypatch
):
    """Each scrape once left a timer that continued as long as requests arrived."""
    for _ in range(20):
        await scrape(client)
    flushes = []
    stores = client.app[METRICS].stores
    monkeypatch.setattr(stores, "flush", lambda: flushes.append(1))
    ends = asyncio.get_running_loop().time() + 3 * FLUSH_SECONDS
    while asyncio.get_running_loop().time() < ends:
        await client.get("/healthz")
    assert 1 <= len(flushes) <= 4


def test_many_values_are_counted_as_one_by_one():
    registry = CollectorRegistry()
    one, many = (
        BulkHistogram(name, name, registry=registry, buckets=(1, 2, 4)) for name in ("one", "many")
    )
    values = [4, 0.5, 1, 1, 2, 3, 4.1, 9]
    for value in values:
        one.observe(value)
    many.observe_many(values)
    shown = generate_latest(registry).decode()
    ones = [line for line in shown.splitlines() if line.startswith("one_")]
    manys = [line for line in shown.splitlines() if line.startswith("many_")]
    assert [line.partition("_")[2] for line in manys] == [line.partition("_")[2] for line in ones]
    assert 'many_bucket{le="1.0"} 3.0' in manys


async def test_what_is_known_in_advance_begins_at_0(aiohttp_client, settings, clean, raw):
    """Otherwise rate() does not see the first event of a kind, and an alert misses it."""
    dialects = {"wicare": Mount("/"), "fardel": Mount("/")}
    client = await aiohttp_client(create_app(replace(settings, dialects=dialects)))
    samples = await scrape(client)
    for route, dialect in (
        ("/wicare/api/auth/logout", "wicare"),
        ("/api/auth/login", "wicare"),
        ("/api/auth/login", "fardel"),
        ("/readyz", ""),
    ):
        method = "GET" if route == "/readyz" else "POST"
        labels = {"dialect": dialect, "route": route, "method": method}
        for status in ("500", "503"):
            assert samples[sample("latchkey_requests_total", **labels, status=status)] == 0
    for name, labels in (
        ("refusals", {"dialect": "fardel", "refusal": "internal"}),
        ("refusals", {"dialect": "", "refusal": "unavailable"}),
        ("logins", {"dialect": "wicare", "outcome": "busy"}),
        ("registrations", {"outcome": "taken"}),
        ("sessions_opened", {"dialect": "fardel", "kind": "access"}),
        ("sessions_closed", {"dialect": "wicare", "kind": "token"}),
        ("bad_requests", {}),
    ):
        assert samples[sample(f"latchkey_{name}_total", **labels)] == 0, name
    assert not [key for key in samples if ("dialect", "kust") in key]
    versions = {"version": VERSION, "python": platform.python_version()}
    assert samples[sample("latchkey_build_info", **versions)] == 1
    for bad in (b"FOO / HTTP/1.1", b"GET", b"\x16\x03\x01"):
        await raw(client, bad + b"\r\nHost: a\r\n\r\n")
    await raw(client, b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n")
    samples = await scrape(client)
    assert samples[sample("latchkey_bad_requests_total")] == 3
    other = {"dialect": "", "route": "*", "method": "other", "status": "404"}
    assert samples[sample("latchkey_requests_total", **other)] == 1


async def test_refusals_are_counted_by_what_the_log_calls_them(client):
    await play(client, [SIGN_UP])
    await log_in(client, password="wrong")
    await client.get("/account/profile")
    await client.get("/nowhere")
    samples = await scrape(client)
    refusals = {key[1:]: value for key, value in samples.items() if "refusals" in key[0] and value}
    assert refusals == {
        (("dialect", "lumotist"), ("refusal", "invalid_credentials")): 1,
        (("dialect", "lumotist"), ("refusal", "token_missing")): 1,
        (("dialect", ""), ("refusal", "not_found")): 1,
    }


async def test_a_shared_path_is_counted_for_the_dialect_that_was_spoken(client):
    await client.post("/api/auth/login/", json={"username": "x", "password": "y"})
    await client.post("/api/auth/login/", json={"email": "x@example.com", "password": "y"})
    samples = await scrape(client)
    dialects = {
        dict(key[1:])["dialect"]
        for key, value in samples.items()
        if key[0] == "latchkey_requests_total" and ("route", "/api/auth/login") in key and value
    }
    assert dialects == {"wicare", "fardel"}


async def test_what_a_client_makes_up_makes_no_series(client):
    """Its path and its method are not labels: a client could make any number of them."""
    for number in range(3):
        await client.request("PROPFIND", f"/made/up/{number}")
    text = await (await client.get("/metrics")).text()
    assert not re.search("made|propfind", text, re.IGNORECASE)
    assert 'method="other",route="*"' in text


async def test_logins_are_counted_by_outcome(aiohttp_client, settings, clean, database):
    limit = parse_limit("5/hour")
    client = await aiohttp_client(
        create_app(replace(settings, rate_limits="on", login_limit=limit))
    )
    await play(client, [SIGN_UP])
    assert [await log_in(client), await log_in(client, password="wrong")] == [200, 400]
    assert await log_in(client, "/kust/auth/token/login/") == 200
    with database.cursor() as cursor:
        cursor.execute("update account set is_active = false")
    assert await log_in(client) == 400
    assert [await log_in(client), await log_in(client)] == [400, 429]
    samples = await scrape(client)
    counted = {
        (labels["dialect"], labels["outcome"]): value
        for (name, *pairs), value in samples.items()
        if name == "latchkey_logins_total" and value and (labels := dict(pairs))
    }
    assert counted == {
        ("lumotist", "success"): 1,
        ("lumotist", "wrong"): 1,
        ("kust", "success"): 1,
        ("lumotist", "inactive"): 2,
        ("lumotist", "limited"): 1,
    }


async def test_registrations_are_counted_by_outcome(client):
    await play(client, [SIGN_UP])
    assert (await client.post("/account/register", json=TEST)).status == 400
    samples = await scrape(client)
    assert samples[sample("latchkey_registrations_total", outcome="success")] == 1
    assert samples[sample("latchkey_registrations_total", outcome="taken")] == 1


async def test_sessions_are_counted_once_when_they_begin_and_end(client):
    """A login that returns an existing session does not open one."""
    await play(client, [SIGN_UP])
    given = await (await client.post("/account/login", json=LOGIN)).json()
    await client.post("/kust/auth/token/login/", json=LOGIN)
    await client.post("/account/logout", headers=token(given["token"]))
    samples = await scrape(client)
    ours, kusts = {"dialect": "lumotist", "kind": "token"}, {"dialect": "kust", "kind": "token"}
    assert samples[sample("latchkey_sessions_opened_total", **ours)] == 1
    assert samples[sample("latchkey_sessions_opened_total", **kusts)] == 1
    assert samples[sample("latchkey_sessions_closed_total", **ours)] == 1
    assert samples[sample("latchkey_sessions_closed_total", **kusts)] == 0


async def test_look_ups_and_connections_are_counted(client, settings):
    [given] = [(await (await client.post("/account/register", json=TEST)).json())["token"]]
    asking = [client.get("/account/profile", headers=token(given)) for _ in range(20)]
    assert {response.status for response in await asyncio.gather(*asking)} == {200}
    samples = await scrape(client)
    batches = samples[sample("latchkey_lookup_batch_keys_count", lookup="session")]
    keys = samples[sample("latchkey_lookup_batch_keys_sum", lookup="session")]
    assert 1 <= batches <= keys <= 20
    for store, limit in zip(BASE, (settings.database_pool, settings.redis_pool), strict=True):
        assert samples[sample("latchkey_store_connections_limit", store=store)] == limit
        assert samples[sample("latchkey_store_calls_in_flight", store=store)] == 0
        assert samples[sample("latchkey_store_seconds_count", store=store)] > 1
        assert samples[sample("latchkey_store_errors_total", store=store)] == 0


async def test_the_wait_for_a_thread_is_counted(client):
    await client.post("/account/register", json=TEST)
    assert await asyncio.gather(*(log_in(client) for _ in range(5))) == [200] * 5
    samples = await scrape(client)
    assert samples[sample("latchkey_queue_wait_seconds_count", work="password")] == 6
    assert samples[sample("latchkey_queue_depth", work="password")] == 0


@pytest.mark.parametrize("store", BASE)
async def test_a_store_that_is_away_is_counted(aiohttp_client, clean, outages, store):
    client = await aiohttp_client(create_app(outages.settings))
    given = (await (await client.post("/account/register", json=TEST)).json())["token"]
    outages.take_away(store)
    assert (await client.get("/account/profile", headers=token(given))).status == 503
    counted = (await scrape(client))[sample("latchkey_store_errors_total", store=store)]
    outages.bring_back(store)
    assert counted == 1


ALLOWED = {
    "directly": ("127.0.0.1", {}, 200),
    "from elsewhere": ("10.0.0.0/8", {}, 404),
    "by a name of this machine": ("127.0.0.1", {"Host": "localhost:8000"}, 200),
    "by an address": ("127.0.0.1", {"Host": "[::1]:8000"}, 200),
    "by a name that resolves to this machine": ("127.0.0.1", {"Host": "evil.example:8000"}, 404),
    "by a name like this machine's": ("127.0.0.1", {"Host": "localhost.evil.example"}, 404),
    **{
        f"with {header}": ("0.0.0.0/0", {header: value}, 404)
        for header, value in {
            "X-Forwarded-For": "127.0.0.1",
            "x-forwarded-proto": "https",
            "Forwarded": "for=127.0.0.1",
            "X-Real-IP": "127.0.0.1",
            "Via": "1.1 varnish",
            "CF-Connecting-IP": "127.0.0.1",
        }.items()
    },
}


@pytest.mark.parametrize("proxies", ["", "127.0.0.1"])
async def test_who_may_see_them(aiohttp_client, settings, clean, raw, proxies):
    """Behind a proxy all clients have its address, so none may read them, trusted or not."""
    trusted = tuple(map(ip_network, proxies.split()))
    for name, (allow, headers, status) in ALLOWED.items():
        allowed = tuple(map(ip_network, allow.split()))
        own = replace(settings, metrics_allow=allowed, trusted_proxies=trusted)
        client = await aiohttp_client(create_app(own))
        response = await client.get("/metrics", headers=headers)
        assert response.status == status, name
        assert ("latchkey_" in await response.text()) == (status == 200), name
    client = await aiohttp_client(create_app(replace(settings, trusted_proxies=trusted)))
    bare_nginx = b"GET /metrics HTTP/1.0\r\nHost: 127.0.0.1:8000\r\nConnection: close\r\n\r\n"
    assert (await raw(client, bare_nginx)).startswith(b"HTTP/1.0 404 ")


def test_only_this_machine_may_see_them_by_default():
    assert Settings().metrics_allow == (ip_network("127.0.0.0/8"), ip_network("::1"))


async def test_the_formats(client):
    plain = await client.get("/metrics")
    assert plain.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    open_metrics = await client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert open_metrics.headers["Content-Type"].startswith("application/openmetrics-text")
    assert (await open_metrics.text()).endswith("# EOF\n")
    odd = {"Accept": "application/openmetrics-text; version=no"}
    assert (await client.get("/metrics", headers=odd)).status == 200
    refused = await client.post("/metrics")
    assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


async def test_no_secret_and_no_name_is_a_label(client):
    given = (await (await client.post("/account/register", json=TEST)).json())["token"]
    await client.get(f"/account/profile?token={given}", headers=token(given))
    text = await (await client.get("/metrics")).text()
    assert not re.search(rf"{given}|test@test\.com|\busername=", text)
