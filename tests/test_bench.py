"""What must hold for the benchmark to mean anything, without running it."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench import peers
from bench.writes import acts_of
from options import core_options
from store.core import open_core

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


async def test_what_clients_do_while_writes_are_weighed_works(settings, clean, redis_client):
    """Limits count attempts there, as in a deployment."""
    async with open_core(core_options(replace(settings, rate_limits="on"))) as core:
        for act in acts_of(core.access).values():
            for number in range(3):
                await act(number)
        assert all([await core.accounts.find(f"new{number}") for number in range(3)])
    assert redis_client.keys("limit*/login/*")
