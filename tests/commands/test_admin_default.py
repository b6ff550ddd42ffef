"""The default of ADMIN: on with an embedded database, if only this machine reaches the server."""

from pathlib import Path

import pytest

from commands import stores
from settings import Settings, read_settings

KEY = "0123456789abcdef0123456789abcdef"

ALONE = {
    "nothing is set": ({}, "on"),
    "localhost": ({"HOST": "localhost"}, "on"),
    "loopback, IPv6": ({"HOST": "::1"}, "on"),
    "every address": ({"HOST": "0.0.0.0"}, "off"),  # noqa: S104
    "every address, IPv6": ({"HOST": "::"}, "off"),
    "another address": ({"HOST": "192.0.2.7"}, "off"),
    "a name": ({"HOST": "accounts.example"}, "off"),
    "behind a proxy": ({"TRUSTED_PROXIES": "127.0.0.1"}, "off"),
    "with a public URL": ({"PUBLIC_URL": "https://accounts.example"}, "off"),
    "without the dialect": ({"DIALECTS": "kust=/"}, "off"),
    "off": ({"ADMIN": "off"}, "off"),
    "on, on every address": ({"ADMIN": "on", "HOST": "0.0.0.0"}, "on"),  # noqa: S104
}


@pytest.mark.parametrize(("given", "admin"), ALONE.values(), ids=ALONE)
def test_with_an_embedded_database(given, admin):
    assert named({**given}).admin == admin


def test_with_another_database():
    assert named({"DATABASE_URL": "postgresql://localhost/a"}).admin != "on"


def named(given: dict[str, str]) -> Settings:
    """Return the settings that serve works with."""
    return stores._named(read_settings({"SECRET_KEYS": KEY, **given}), Path("data"))
