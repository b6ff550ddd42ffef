"""Building the image and running it: by the project's own builder, by Docker or by Podman."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import psutil

from tests.program import PATIENCE, ROOT, Client, wait_for

TAG = "latchkey-check"
USER = 10001
BUILDER = ROOT.parent / "shared" / "container"
STORAGE = {**os.environ, "STORAGE_DRIVER": "vfs"}
"""Where the builder keeps its images."""


class Engine(Protocol):
    """What builds the image and runs it."""

    def build(self) -> None: ...
    def clean(self) -> None: ...

    def read_only(self) -> "Engine":
        """Return one whose containers have a root file system that nobody can write."""

    def line(self, environment: dict[str, str], command: Sequence[str]) -> list[str]:
        """Return the command line that runs a container; without a command, the image's own."""


@dataclass(frozen=True)
class Builder:
    """Two scripts that need no engine and no registry; for root alone.

    Their containers share this host's network, and its processes.
    """

    directory: Path
    program: str = "run"

    def build(self) -> None:
        # The OCI's format has no HEALTHCHECK.
        environment = {**os.environ, "BUILDAH_FORMAT": "docker"}
        run([str(self.directory / "build"), TAG], env=environment)

    def clean(self) -> None:
        run(["buildah", "rmi", f"localhost/{TAG}"], env=STORAGE)

    def read_only(self) -> "Builder":
        return Builder(Path(__file__).parent, "run_read_only")

    def line(self, environment: dict[str, str], command: Sequence[str]) -> list[str]:
        settings = [f"{name}={value}" for name, value in environment.items()]
        words = [word for each in settings for word in ("-e", each)]
        start = ["--", *command] if command else []
        return [str(self.directory / self.program), TAG, *words, *start]


@dataclass(frozen=True)
class Docker:
    """Docker, or Podman, which takes the same words. A container is as shut in as compose's."""

    program: str

    def build(self) -> None:
        run([self.program, "build", "--tag", TAG, "."])

    def clean(self) -> None:
        run([self.program, "image", "rm", "--force", TAG])

    def read_only(self) -> "Docker":
        return self

    def line(self, environment: dict[str, str], command: Sequence[str]) -> list[str]:
        settings = [f"{name}={value}" for name, value in environment.items()]
        words = [word for each in settings for word in ("--env", each)]
        shut = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
        start = [f"--entrypoint={command[0]}"] if command else []
        line = [self.program, "run", "--rm", "--network=host", *shut, *words, *start, TAG]
        return [*line, *command[1:]]


def find_engine() -> Engine | None:
    """Return what can build and run the image here, if anything can."""
    if (BUILDER / "build").exists() and os.geteuid() == 0:
        return Builder(BUILDER)
    for program in filter(shutil.which, ("docker", "podman")):
        if subprocess.run([program, "info"], capture_output=True, check=False).returncode == 0:
            return Docker(program)
    return None


def run(line: Sequence[str], **options: object) -> str:
    """Run a program in the project's root; return what it prints. It must succeed."""
    done = subprocess.run(  # type: ignore[call-overload]  # the options are its own
        line, cwd=ROOT, text=True, capture_output=True, check=False, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def inside(engine: Engine, script: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a shell's script in a container of the image; return how it ended."""
    line = engine.line(environment, ["sh", "-c", script])
    done = subprocess.run(
        line, cwd=ROOT, text=True, capture_output=True, check=False, timeout=PATIENCE * 4
    )
    assert done.returncode not in range(125, 128), done.stderr  # the engine's, not the script's
    return done


class Container:
    """A run of the server in a container. Leaving its `with` ends it."""

    def __init__(
        self, engine: Engine, environment: dict[str, str], command: Sequence[str] = ()
    ) -> None:
        self.mark = uuid.uuid4().hex
        self.port = int(environment.get("PORT", "0"))
        line = engine.line({**environment, "CHECK_MARK": self.mark}, command)
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  # __exit__
        self.client = subprocess.Popen(
            line, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=self._output, stderr=self._output
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.client.poll() is None:
            for process in self.processes():
                process.kill()
        self.client.wait(PATIENCE)
        self._output.close()

    @property
    def said(self) -> str:
        """What the container has printed."""
        return os.pread(self._output.fileno(), 1 << 24, 0).decode()

    def serve(self) -> Self:
        """Wait until it serves."""
        self.say(r"serving on http://")
        return self

    def say(self, what: str) -> None:
        """Wait until it prints what a regular expression matches."""
        wait_for(lambda: re.search(what, self.said) or self.client.poll() is not None)
        assert re.search(what, self.said), self.said

    def processes(self) -> list[psutil.Process]:
        """Return the processes of the server: the manager first, if there is one."""
        found = [each for each in psutil.process_iter() if self._is_ours(each)]
        return sorted(found, key=lambda each: each.create_time())

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            words = process.cmdline()
            # The process that started it has the mark too, but as one of its arguments.
            return words[1:2] == ["server.py"] and process.environ().get("CHECK_MARK") == self.mark
        except psutil.Error:
            return False

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal to its first process; return the exit status."""
        self.processes()[0].send_signal(number)
        return self.client.wait(PATIENCE)

    def connect(self) -> Client:
        return Client(self.port)
