"""What must hold for the benchmark to mean anything, without running it."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

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


async def test_what_clients_do_while_writes_are_weighed_works(settings, clean, redis_client):
    """Limits count attempts there, as in a deployment."""
    async with open_core(core_options(replace(settings, rate_limits="on"))) as core:
        for act in acts_of(core.access).values():
            for number in range(3):
                await act(number)
        assert all([await core.accounts.find(f"new{number}") for number in range(3)])
    assert redis_client.keys("limit*/login/*")
