"""The unit of deploy/systemd, and its settings file, which systemd and the shell read alike."""

import re
import secrets
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from commands.serving import SHUTDOWN_SECONDS
from settings import Settings, read_settings
from tests.program import ROOT

SYSTEMD = ROOT / "deploy/systemd"
UNIT = SYSTEMD / "latchkey.service"
PARSER = Path("/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator")
"""systemd's own parser of such files, which runs without systemd."""
MOST_EXPOSED = 2.0
"""Of 10, as `systemd-analyze security` counts. A unit without hardening has 9.2."""
ANALYZE = shutil.which("systemd-analyze")


def by_shell(file: Path) -> dict[str, str]:
    """Return what a shell reads."""
    script = f"set -a; . {file}; set +a; env -0"
    done = subprocess.run(
        ["env", "-i", "PATH=/usr/bin:/bin", "sh", "-c", script], capture_output=True, check=True
    )
    pairs = [each.partition("=") for each in done.stdout.decode().split("\0") if each]
    return {name: value for name, _, value in pairs if name not in ("PATH", "PWD", "_", "OLDPWD")}


def by_systemd(file: Path, home: Path) -> dict[str, str]:
    """Return what systemd reads."""
    (home / "environment.d").mkdir()
    shutil.copy(file, home / "environment.d/latchkey.conf")
    done = subprocess.run(
        [PARSER], env={"XDG_CONFIG_HOME": str(home)}, capture_output=True, check=True
    )
    shown = dict(re.findall(r"^(\w+)=(.*)$", done.stdout.decode(), re.MULTILINE))
    names = re.findall(r"^(\w+)=", file.read_text(), re.MULTILINE)
    return {name: "".join(shlex.split(shown[name])) for name in names}  # printed for a shell


@pytest.mark.skipif(not PARSER.exists(), reason="systemd is not installed")
def test_systemd_and_the_shell_read_the_same_settings(tmp_path: Path):
    found = by_systemd(SYSTEMD / "env", tmp_path)
    assert found == by_shell(SYSTEMD / "env")
    assert found["DIALECTS"] == "wicare=/ lumotist=/"
    assert found["REGISTER_LIMIT"] == "60 per hour"


@pytest.mark.skipif(not PARSER.exists(), reason="systemd is not installed")
def test_single_quotes_keep_what_a_value_may_hold(tmp_path: Path):
    """By either reader: spaces, #, double quotes, backslashes and semicolons."""
    file = tmp_path / "env"
    file.write_text("""A='x=/ y=/?a=1&b=2'\nB='a # b; c'\nC='a "b" \\n c'\nD='%27%40'\n""")
    assert by_systemd(file, tmp_path) == by_shell(file)


def test_the_settings_can_be_used(tmp_path: Path):
    keys = tmp_path / "secret_keys"
    keys.write_text(secrets.token_hex(32))
    settings = by_shell(SYSTEMD / "env") | {"SECRET_KEYS_FILE": str(keys)}
    assert list(read_settings(settings).dialects) == ["wicare", "lumotist"]


def test_systemd_waits_longer_than_the_server_needs_to_stop():
    found = re.search(r"^TimeoutStopSec=(\d+)$", UNIT.read_text(), re.MULTILINE)
    assert found
    assert int(found[1]) > Settings().drain_seconds + SHUTDOWN_SECONDS


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
def test_the_unit_is_valid_and_little_exposed(tmp_path: Path):
    unit = tmp_path / UNIT.name
    program = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/sh", UNIT.read_text(), flags=re.MULTILINE)
    unit.write_text(program.replace("User=latchkey", "User=nobody"))
    done = subprocess.run(
        [ANALYZE, "security", "--offline=true", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"exposure level for latchkey.service: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= MOST_EXPOSED
    assert "Unknown key" not in done.stderr
