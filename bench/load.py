"""Load: wrk on one server for some seconds, with random tokens, and what the server used."""

import json
import os
import subprocess
from pathlib import Path

from bench import machine
from bench.figures import Sample
from bench.servers import Server

SCRIPT = Path(__file__).with_name("tokens.lua")


class WrongAnswers(Exception):
    """A server answered something else than 200, or not at all: its rate means nothing."""


def reads(server: Server, connections: int, seconds: int) -> Sample:
    """Return reads a second; `extra` has p50 and p99 in milliseconds. Raises WrongAnswers."""
    command = [machine.need("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "-s", SCRIPT]
    environment = {"TOKENS": str(server.headers), "TARGET_PATH": server.path}
    load = machine.Busyness(os.sched_getaffinity(0))
    used = server.cpu()
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{server.port}"],
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
