"""`--help`: what there is to say of the program and of each command."""

import subprocess
import sys

import pytest

from tests.program import ROOT

COMMANDS = ("serve", "check", "account", "sessions", "gallery", "events", "webhooks", "mail")
ACTIONS = {
    "account": ("show", "set"),
    "sessions": ("list", "end"),
    "gallery": ("list", "add", "remove"),
    "webhooks": ("list", "resume"),
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


def test_a_command_imports_no_other_and_nothing_imports_pillow():
    """The start of a server would be slower: it decodes pictures in other processes."""
    code = """
import sys
import commands
import server
commands.parse(["serve"])
print(sorted({"PIL", *(f"commands.{name}" for name in commands.COMMANDS)} & {*sys.modules}))
import commands.account
print("PIL" in sys.modules)"""
    ran = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True)
    assert ran.stdout.decode() == "['commands.check', 'commands.serve']\nFalse\n"


@pytest.mark.slow
def test_ending_all_says_when_it_is_for():
    said = " ".join(told("sessions", "end").split())
    assert "after PostgreSQL was restored from a backup" in said
    assert "Stop every server before" in said
