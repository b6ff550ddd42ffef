"""The balancer's own configuration before two real servers, which come, go, drain and die."""

import asyncio
import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import unquote, urlsplit

import pytest

from deploy.tests.balancer import CONFIGURATION, PROGRAM, Balancer, Names, check, free_port
from deploy.tests.site import FIRST, PROFILE, SECOND, Load, Site, running
from tests.program import Client, Relay, registration, wait_for

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="haproxy is not installed")


@pytest.fixture
def site(stores: tuple[str, str], clean: None) -> Iterator[Site]:
    with running(stores) as site:
        yield site


def test_the_configuration_is_valid():
    """As it stands, with nothing in the environment, with either list of servers."""
    common, containers = CONFIGURATION
    for servers in (containers, containers.with_name("servers.cfg")):
        done = check(common, servers)
        assert (done.returncode, done.stderr) == (0, ""), servers


def test_requests_are_spread_over_both(site: Site):
    token = site.register("spread")
    for _ in range(100):
        assert site.ask("GET", PROFILE, None, token).status == 200
    assert wait_for(lambda: site.reads(FIRST) + site.reads(SECOND) == 100)
    assert min(site.reads(FIRST), site.reads(SECOND)) >= 40


async def test_a_rolling_restart_loses_no_request(site: Site):
    """SIGTERM to one after the other, under load, writes among it."""
    load = await asyncio.to_thread(Load, site)
    async with load.running():
        for address in list(site.servers):
            await asyncio.to_thread(site.restart, address)
            await asyncio.sleep(0.5)
    assert load.kept.failures + load.new.failures + load.writers.failures == []
    assert load.writers.answers > 100


async def test_killing_a_server_costs_no_read_and_doubles_no_write(site: Site):
    """SIGKILL under load: a read is asked again elsewhere; a write is not: 502, or no answer.

    A registration that was sent twice would be refused: its name would be taken.
    """
    load = await asyncio.to_thread(Load, site)
    async with load.running():
        site.servers[FIRST].process.kill()
        await asyncio.sleep(3)
    assert load.kept.failures + load.new.failures == []
    refused = [reply for reply in load.writers.failures if getattr(reply, "status", 502) != 502]
    assert refused == []
    assert len(load.writers.failures) <= 8  # what was under way at that moment
    assert site.balancer.changes("DOWN") == 1


async def test_a_write_is_never_sent_twice_and_a_read_is(clean: None):
    """Before servers that take a request and hang up without a word."""
    seen: list[str] = []

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, path, _ = (await reader.readuntil(b"\r\n\r\n")).decode().split(" ", 2)
        if method == "POST":
            await reader.readexactly(len("{}"))
        if path == "/readyz":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        else:
            seen.append(method)
        writer.close()

    port = free_port(FIRST, SECOND)
    async with contextlib.AsyncExitStack() as stack:
        for address in (FIRST, SECOND):
            await stack.enter_async_context(await asyncio.start_server(hang_up, address, port))
        names = stack.enter_context(closing(Names(FIRST, SECOND)))
        names.start()
        balancer = await asyncio.to_thread(stack.enter_context, Balancer(names, port, port))
        assert await asyncio.to_thread(wait_for, lambda: balancer.changes("UP") == 2)
        for method in ("POST", "GET"):
            with closing(Client(balancer.port)) as client:
                client.send(method, PROFILE, {} if method == "POST" else None)
                assert (await asyncio.to_thread(client.receive)).status == 502
    assert seen.count("POST") == 1
    assert seen.count("GET") > 1


def test_servers_that_come_and_go_are_found(stores: tuple[str, str], clean: None):
    """The name is asked for again and again, as Docker's DNS has to be."""
    with running(stores, FIRST) as site:
        token = site.register("found")

        def asked(address: str) -> int:
            assert site.ask("GET", PROFILE, None, token).status == 200
            return site.reads(address)

        assert wait_for(lambda: asked(FIRST) > 5)
        assert site.reads(SECOND) == 0
        site.names.addresses = [FIRST, SECOND]
        assert wait_for(lambda: asked(SECOND))
        site.names.addresses = [SECOND]
        assert wait_for(lambda: "ready/server1 is going DOWN for maintenance" in site.balancer.log)
        before = site.reads(FIRST)
        for _ in range(10):
            asked(SECOND)
        assert wait_for(lambda: site.reads(FIRST) > before, 0.5) is False


def test_the_clients_address_arrives_and_cant_be_forged(stores: tuple[str, str], clean: None):
    """Registrations are counted by address: each client's own, whatever it claims."""
    with running(stores, RATE_LIMITS="on", REGISTER_LIMIT="2 per hour") as site:
        forged = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https"}
        assert register_from(site, "127.0.0.5", "one") == 200
        assert register_from(site, "127.0.0.5", "two") == 200
        assert register_from(site, "127.0.0.5", "three") == 429
        assert register_from(site, "127.0.0.5", "four", **forged) == 429
        assert register_from(site, "127.0.0.6", "five") == 200


def test_a_proxy_before_the_balancer_is_believed(stores: tuple[str, str], clean: None):
    """It, and nobody else: it comes from the address that OUTER_PROXY names."""
    limit = {"RATE_LIMITS": "on", "REGISTER_LIMIT": "1 per hour"}
    with running(stores, outer_proxy="127.0.0.5", **limit) as site:
        for name, client in (("one", "198.51.100.1"), ("two", "198.51.100.2")):
            forwarded = {"X-Forwarded-For": client}
            assert register_from(site, "127.0.0.5", name, **forwarded) == 200
            assert register_from(site, "127.0.0.5", f"{name}again", **forwarded) == 429
        assert register_from(site, "127.0.0.6", "three", **{"X-Forwarded-For": "x"}) == 200
        assert (
            register_from(site, "127.0.0.6", "four", **{"X-Forwarded-For": "198.51.100.3"}) == 429
        )


def register_from(site: Site, address: str, name: str, **headers: str) -> int:
    """Register from an address of this machine's; return the status."""
    source = (address, 0)
    connection = http.client.HTTPConnection("127.0.0.1", site.port, 20, source_address=source)
    with closing(connection):
        body = json.dumps(registration(name))
        kind = {"Content-Type": "application/json"}
        connection.request("POST", "/account/register", body, {**kind, **headers})
        return connection.getresponse().status


def test_a_client_cant_choose_the_urls_of_pictures(site: Site):
    token = site.register("host")
    forged = {"X_Forwarded_Host": "evil.example", "X_Forwarded_Proto": "https"}
    answer = site.ask("GET", "/account/get_pictures", None, token, **forged)
    assert answer.status == 200
    assert f"http://127.0.0.1:{site.port}/pictures/".encode() in answer.body
    assert b"evil" not in answer.body
    assert b"https:" not in answer.body


@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "/metrics/",
        "/metrics?x=1",
        "//metrics",
        "/METRICS",
        "/%6detrics",
        "/x/../metrics",
        "/%zz/../metrics",
        "http://x/metrics",
        "/internal/introspect",
        "/%69nternal/introspect",
        "/INTERNAL/",
        "//internal/introspect",
    ],
)
def test_what_is_internal_is_refused_from_outside(metrics_site: Site, path: str):
    connection = socket.create_connection(("127.0.0.1", metrics_site.port), 20)
    with closing(connection):
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 403 ")


@pytest.fixture(scope="module")
def metrics_site(stores: tuple[str, str]) -> Iterator[Site]:
    with running(stores) as site:
        yield site


def test_without_a_store_the_servers_speak_for_themselves(stores: tuple[str, str], clean: None):
    """None is ready then; their 503 comes through, and what needs no Redis is still served."""
    relay = Relay(unquote(urlsplit(stores[1]).path))
    through = (stores[0], f"redis://127.0.0.1:{relay.port}/0")
    with running(through) as site:
        token = site.register("orphan")
        picture = site.ask("GET", "/account/get_pictures", None, token).json["male"][0]["picture"]
        relay.close()
        assert wait_for(lambda: site.balancer.changes("DOWN") == 2), site.balancer.log
        answer = site.ask("GET", PROFILE, None, token)
        assert answer.status == 503
        assert "Retry-After" in answer.headers
        assert "X-Request-ID" in answer.headers
        assert site.ask("GET", urlsplit(picture).path).status == 200


def test_without_a_server_the_balancer_says_so(site: Site):
    for server in site.servers.values():
        server.process.kill()
    assert wait_for(lambda: site.balancer.changes("DOWN") == 2)
    answer = site.ask("GET", PROFILE)
    assert (answer.status, answer.json) == (503, {"detail": "No server is up."})
    assert answer.headers["Retry-After"] == "1"
