"""Load: wrk on one server for some seconds, and what the server used."""

import json
import os
import secrets
import subprocess
from collections.abc import Callable
from pathlib import Path

from bench import machine
from bench.figures import Sample
from bench.machine import CantRun
from bench.servers import Server

SCRIPTS = Path(__file__).parent

Load = Callable[[Server, int, int], Sample]
"""Takes a server, the number of connections and seconds."""


class WrongAnswers(Exception):
    """A server answered something else than 2xx, or not at all: its rate means nothing."""


def reads(server: Server, connections: int, seconds: int) -> Sample:
    """Return reads a second, with random tokens. Raises WrongAnswers.

    `extra` has p50 and p99 in milliseconds.
    """
    environment = {"TOKENS": str(server.headers.resolve()), "TARGET_PATH": server.path}
    return _wrk("tokens.lua", environment, server, connections, seconds)


def registrations(server: Server, connections: int, seconds: int) -> Sample:
    """Return registrations a second, each with a new name. Raises CantRun and WrongAnswers."""
    if server.registration is None:
        raise CantRun(f"{server.name} has no registration")
    environment = {
        "TARGET_PATH": server.registration.path,
        "BODY": server.registration.body,
        "PREFIX": f"r{secrets.token_hex(4)}",
    }
    return _wrk("registrations.lua", environment, server, connections, seconds)


def _wrk(
    script: str, environment: dict[str, str], server: Server, connections: int, seconds: int
) -> Sample:
    command = [machine.need("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script]
    load = machine.Busyness(os.sched_getaffinity(0))
    used = server.cpu()
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{server.port}"],
        cwd=SCRIPTS,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + 60,
    )
    used = server.cpu() - used
    said = json.loads(done.stdout.splitlines()[-1])
    if said["refused"] or said["socket_errors"]:
        raise WrongAnswers(f"{server.name}: {said}")
    took = said["duration_us"] / 1e6
    return Sample(
        said["requests"] / took,
        used / said["requests"] * 1e6,
        used / took,
        load.so_far(),
        {"p50": said["p50_us"] / 1000, "p99": said["p99_us"] / 1000},
    )
