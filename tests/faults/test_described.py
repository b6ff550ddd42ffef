"""The running server against its own description: schemathesis sends what it may be sent, and not.

Every answer must have a status, a content type, headers and a body that the description has.
"""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from handlers import DIALECTS
from tests.handlers.contract import EVERY_MOUNT
from tests.program import ROOT, Program

HERE = Path(__file__).parent
LEAST = 20_000
"""Requests of the long run, at least."""
MANY = {"latchkey": "90"}
"""Examples of each endpoint, where a dialect has three times as many endpoints as the others."""


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    settings = {
        "DATA_DIR": str(tmp_path / "data"),
        "DIALECTS": EVERY_MOUNT,
        "MAIL_URL": f"file:{tmp_path}/mail",
        "PUBLIC_URL": "https://accounts.example",
        "RATE_LIMITS": "off",
        "BCRYPT_ROUNDS": "4",
    }
    with Program(**settings) as program:
        yield program.serve()


class Run:
    """Schemathesis in a process of its own, on some dialects of /openapi.json."""

    def __init__(
        self, program: Program, name: str, dialects: list[str], directory: Path, *options: str
    ) -> None:
        self.out = directory / f"{name}.txt"
        work = directory / name
        work.mkdir()
        environment = {
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.faults.described_accounts",
            "DESCRIBED_PORT": str(program.port),
            "DESCRIBED_RUN": name,
        }
        line = ["--no-color", "--config-file", HERE / "schemathesis.toml", "run"]
        line += [f"http://127.0.0.1:{program.port}/openapi.json", *options]
        line += [f"--include-tag={dialect}" for dialect in dialects]
        line += ["--continue-on-failure", "--suppress-health-check", "all"]
        with self.out.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "schemathesis.cli", *line],
                cwd=work,  # it keeps what it found in its directory
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def finish(program: Program, runs: list[Run], patience: float) -> Counter[str]:
    """Wait until all have found nothing; return how often each dialect was asked."""
    try:
        for run in runs:
            run.process.wait(patience)
    finally:
        for run in runs:
            run.close()
    bad = [run.out.read_text() for run in runs if run.process.returncode]
    assert not bad, "\n".join(bad)
    lines = re.compile(r"^\S+ [A-Z]+ /(\S*) (\d{3}) ", re.MULTILINE)
    answers = [(path.split("/")[0], status) for path, status in lines.findall(program.err)]
    assert [answer for answer in answers if answer[1] >= "500"] == []
    assert "Traceback" not in program.err
    return Counter(first for first, _ in answers if first in DIALECTS)


@pytest.mark.slow
def test_a_few_of_everything(program: Program, tmp_path: Path):
    """The same few requests in every run."""
    few = ("--phases", "examples,fuzzing", "-n", "8", "--seed", "1")
    asked = finish(program, [Run(program, "few", list(DIALECTS), tmp_path, *few)], 110)
    assert asked.total() >= 500
    assert set(asked) == set(DIALECTS)


@pytest.mark.slow
def test_very_many(program: Program, tmp_path: Path):
    """Other requests in every run; schemathesis prints the seed that brings them back."""
    runs = [Run(program, name, [name], tmp_path, "-n", MANY.get(name, "270")) for name in DIALECTS]
    asked = finish(program, runs, 170)
    print(f"{asked.total()} requests: {dict(asked)}")
    assert asked.total() >= LEAST
