"""`--help`: what there is to say of the program and of each command."""

import subprocess
import sys

import pytest

from tests.program import ROOT

COMMANDS = ("serve", "check", "account", "sessions", "gallery", "mail")
ACTIONS = {
    "account": ("show", "set"),
    "sessions": ("list", "end"),
    "gallery": ("list", "add", "remove"),
    "mail": ("list", "show"),
}


def told(*words):
    """Return what the program prints of itself."""
    ran = subprocess.run(
        [sys.executable, "server.py", *words, "--help"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert max(map(len, ran.stdout.splitlines())) <= 100
    return ran.stdout


def test_the_program():
    said = told()
    for each in COMMANDS:
        assert f"\n    {each} " in said
    for part in (
        "\nsettings:\n",
        "\nexamples:\n",
        "\nexit status:\n",
        "docs/settings.md",
        "DATABASE_URL",
    ):
        assert part in said


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.slow
def test_each_command(command):
    said = told(command)
    assert f"usage: server.py {command}" in said
    for action in ACTIONS.get(command, ()):
        assert f"\n    {action} " in said


@pytest.mark.slow
def test_ending_all_says_when_it_is_for():
    said = " ".join(told("sessions", "end").split())
    assert "after PostgreSQL was restored from a backup" in said
    assert "Stop every server before" in said
