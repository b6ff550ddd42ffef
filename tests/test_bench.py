"""What must hold for the benchmark to mean anything, without running it."""

import asyncio
import os
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bench import load, peers, plan, reads, registers, servers
from bench.accounts import LIFETIME, PASSWORD, SPEC
from bench.accounts import commands as seeding
from bench.machine import CantRun
from bench.prepare import AGES
from bench.writes import acts_of
from options import core_options
from store.account import NewAccount
from store.core import open_core
from store.session_record import parse, record_key

ROOT = Path(__file__).parent.parent


def pins(file: Path) -> dict[str, str]:
    """Return the versions that a requirements file pins, by package."""
    found = re.findall(r"^([\w.-]+)==([\w.]+)", file.read_text(), re.MULTILINE)
    return {name.lower().replace("_", "-"): version for name, version in found}


@pytest.mark.parametrize("package", ["aiohttp", "uvloop", "multidict", "yarl", "frozenlist"])
def test_bare_aiohttp_is_the_aiohttp_that_we_run(package: str):
    """Else the ratio against it would compare two versions."""
    bare = pins(ROOT / "bench/peers/bare/requirements.txt")
    assert bare[package] == pins(ROOT / "requirements.txt")[package]


@pytest.fixture
def commands(monkeypatch) -> list[str]:
    """Return the commands that installations of peers run, which are only recorded."""
    found: list[str] = []
    monkeypatch.setattr(peers, "_run", lambda peer, command, env, **_: found.append(command))
    monkeypatch.setattr(peers.shutil, "which", lambda tool: tool)
    return found


@pytest.mark.parametrize("name", ["bare", "fastify"])
def test_a_peer_is_installed_once(commands, tmp_path: Path, name: str):
    peer = peers.install(peers.PEERS[name], tmp_path)
    assert commands == list(peer.ecosystem.install)
    assert peers.install(peers.PEERS[name], tmp_path) == peer
    assert commands == list(peer.ecosystem.install)


@pytest.mark.parametrize(("name", "times"), [("bare", 2), ("fastify", 1)])
def test_a_python_peer_is_installed_again_for_another_python(
    commands, monkeypatch, tmp_path: Path, name: str, times: int
):
    """Else bare aiohttp would run on another Python than the server."""
    peer = peers.install(peers.PEERS[name], tmp_path)
    monkeypatch.setattr(sys, "version", "3.10.0 (another one)")
    peers.install(peers.PEERS[name], tmp_path)
    assert commands == times * list(peer.ecosystem.install)


def test_a_peer_is_installed_again_for_other_pins(commands, tmp_path: Path):
    peer = peers.install(peers.PEERS["bare"], tmp_path)
    other = replace(peer.ecosystem, pins="seed.py")
    peers.install(replace(peers.PEERS["bare"], ecosystem=other), tmp_path)
    assert commands == 2 * list(peer.ecosystem.install)


def test_a_peer_whose_installation_failed_is_installed_again(commands, monkeypatch, tmp_path: Path):
    """Even for the Python that it was installed for before."""
    peer = peers.install(peers.PEERS["bare"], tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "version", "3.10.0 (another one)")
        patch.setattr(peers, "_run", fail)
        with pytest.raises(peers.PeerFailed):
            peers.install(peers.PEERS["bare"], tmp_path)
    peers.install(peers.PEERS["bare"], tmp_path)
    assert commands == 2 * list(peer.ecosystem.install)


def fail(*_: object, **__: object) -> None:
    raise peers.PeerFailed("pip could not reach the index")


def test_registrations_are_measured_against_each_product_that_has_them():
    """Knox and Flask-JWT-Extended have none of their own."""
    assert set(registers.AGAINST) == set(reads.PRODUCTS) - {"knox", "flask_jwt"}
    measured = {part.peer: part for part in plan.PARTS if part.name == "registers"}
    assert set(measured) == set(registers.AGAINST)
    # Reads are compared over databases that keep their size.
    others = {name for part in plan.PARTS if part.name != "registers" for name in part.databases}
    assert not others & {name for part in measured.values() for name in part.databases}


async def test_what_is_registered_in_the_benchmark_is_accepted(client):
    body = servers.REGISTRATION.body.replace("NAME", "r0123abcdt1n1")
    headers = {"Content-Type": "application/json"}
    response = await client.post(servers.REGISTRATION.path, data=body, headers=headers)
    assert response.status == 200
    assert (await response.json())["token"]


needs_wrk = pytest.mark.skipif(
    not shutil.which("wrk") or not hasattr(os, "sched_getaffinity"),
    reason="wrk is not installed, or this system can't pin processes to cores",
)


async def register_for_a_second(server: TestServer, peer: peers.Peer) -> load.Sample:
    this = SimpleNamespace(pid=os.getpid())
    measured = servers.Server(peer.name, this, server.port, "/", Path(), peer.registration)
    return await asyncio.to_thread(load.registrations, measured, 4, 1)


@needs_wrk
async def test_each_registration_has_a_new_name():
    """In each run: the second would be refused otherwise."""
    peer, seen = peers.PEERS["djoser"], []

    async def register(request: web.Request) -> web.Response:
        seen.append(await request.json())
        return web.Response(status=201)

    app = web.Application()
    app.router.add_post(peer.registration.path, register)
    async with TestServer(app) as server:
        samples = [await register_for_a_second(server, peer) for _ in range(2)]
    assert all(sample.value > 0 for sample in samples)
    emails = [account["email"] for account in seen]
    assert len(set(emails)) == len(emails) > 2
    for account in seen[:2] + seen[-2:]:
        assert account["email"] == f"{account['username']}@example.com"
        assert re.fullmatch("[a-z0-9]{1,32}", account["username"])


@needs_wrk
@pytest.mark.parametrize("status", [302, 409])
async def test_a_refused_registration_makes_a_run_invalid(status: int):
    """Redirections too, which wrk itself does not count."""
    peer, answered = peers.PEERS["djoser"], []

    async def refuse(request: web.Request) -> web.Response:
        answered.append(request)
        return web.Response(status=status if len(answered) == 50 else 201)

    app = web.Application()
    app.router.add_post(peer.registration.path, refuse)
    async with TestServer(app) as server:
        with pytest.raises(load.WrongAnswers, match=r"'refused': 1\b"):
            await register_for_a_second(server, peer)


async def test_a_peer_without_a_registration_cannot_be_measured():
    with pytest.raises(CantRun, match="knox has no registration"):
        await register_for_a_second(SimpleNamespace(port=0), peers.PEERS["knox"])


async def test_what_clients_do_while_writes_are_weighed_works(settings, clean, redis_client):
    """Limits count attempts there, as in a deployment."""
    async with open_core(core_options(replace(settings, rate_limits="on"))) as core:
        for act in acts_of(core.access).values():
            for number in range(3):
                await act(number)
        assert all([await core.accounts.find(f"new{number}") for number in range(3)])
    assert redis_client.keys("limit*/login/*")


@pytest.mark.parametrize(("name", "is_renewed"), [("small", True), ("large", False)])
async def test_the_first_read_of_a_seeded_session_renews_it(
    settings, clean, redis_client, name: str, is_renewed: bool
):
    """In the database that figures are measured on, as in service."""
    sid = "0123456789abcdef0123"
    async with open_core(core_options(settings)) as core:
        _, [issued] = await core.access.register(NewAccount("user0"), PASSWORD, [SPEC])
        session = parse(issued.sid, redis_client.get(record_key(issued.sid)))
        for command in seeding([sid], session.key_id, session.epoch, AGES.get(name, 0)):
            redis_client.execute_command(*command.decode().split("\r\n")[2::2])
        redis_client.expire(record_key(sid), 1000)
        caller = await core.access.authenticate(core.tokens.derive(sid, session.key_id))
        assert caller.account.username == "user0"
    assert (redis_client.ttl(record_key(sid)) > LIFETIME - 60) is is_renewed
