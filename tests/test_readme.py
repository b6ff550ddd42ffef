"""The README's tour runs as it stands, and the README names every setting."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from handlers import DIALECTS
from settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()

VARIES = (
    (re.compile(r"\b([0-9a-f]{64}|[0-9a-f]{40})\b"), "<token>"),
    (re.compile(r"\b\d\d-\d\d-\d{4}\b"), "<date>"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT[\d:.]+Z"), "<time>"),
    (re.compile(r"/pictures/[\w-]{22}\b"), "/pictures/<id>"),
)


def steps() -> list[tuple[str, str]]:
    """Return the tour's command lines, each with the answer printed below it."""
    blocks = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    found = [step for block in blocks for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    return [(command, answer.strip()) for command, _, answer in (s.partition("\n") for s in found)]


def constant(answer: str) -> str:
    for pattern, placeholder in VARIES:
        answer = pattern.sub(placeholder, answer)
    return answer.strip()


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """A server as `make run` starts it, with stores of its own, on a free port."""
    environment = {**os.environ, "PORT": "0", "DATA_DIR": str(tmp_path / "data")}
    server = subprocess.Popen(
        [sys.executable, "server.py"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        for line in server.stdout:
            if match := re.search(r"serving on http://127\.0\.0\.1:(\d+)", line):
                yield int(match[1])
                break
        else:
            pytest.fail("the server did not start")
    finally:
        server.terminate()
        server.communicate(timeout=30)


def test_the_tour(port: int, tmp_path: Path):
    """Every command line of the README prints what the README shows."""
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    (tmp_path / ".curlrc").write_text(f'connect-to = "127.0.0.1:8000:127.0.0.1:{port}"\n')
    mark = "--- next ---"
    script = "".join(f"{command}\necho\necho '{mark}'\n" for command, _ in steps())
    done = subprocess.run(
        ["bash", "-e"],
        input=script,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "CURL_HOME": str(tmp_path)},
        check=True,
    )
    printed = [constant(answer) for answer in done.stdout.split(mark)[:-1]]
    assert printed == [constant(answer) for _, answer in steps()]
    assert len(printed) > 5


def test_every_route_is_in_the_readme():
    routes = {path for dialect in DIALECTS.values() for path in dialect.endpoints}
    named = {re.sub(r"\{id.*\}", "<id>", path) for path in routes}
    named |= {"/healthz", "/readyz", "/pictures/<random id>"}
    shared = "/api/auth/{register,login,logout}/"
    assert shared in README
    assert [path for path in named if path not in README] == []


def test_every_setting_is_in_the_readme():
    missing = [each.name for each in fields(Settings) if f"`{each.name.upper()}`" not in README]
    assert missing == []
