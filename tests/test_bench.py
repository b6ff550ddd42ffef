"""What must hold for the benchmark to mean anything, without running it."""

import re
from pathlib import Path

import pytest

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
