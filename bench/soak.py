"""A soak test: memory, descriptors and latency of a server under constant load must stay flat.

    python bench/soak.py [--minutes 30]

It runs a separate server and stores, has the phones of tests/load use it, and looks at the
server's process every few seconds. Hashes are cheap and sessions short here, so that phones log in
often, and sessions are extended and expire. It stops by itself. The exit status is 1 when a
response was wrong, or when something was not flat. The results are in .bench_cache/soak.
"""

import argparse
import asyncio
import dataclasses
import json
import os
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

# The project's root in the place of this directory, as in run.py.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

import psutil  # noqa: E402

from bench import servers, stores  # noqa: E402
from bench.accounts import LOW_COST, PASSWORD, Accounts, name_of  # noqa: E402
from bench.client import Connection  # noqa: E402
from bench.servers import PROFILE, ROOT, Server  # noqa: E402

CACHE = ROOT / ".bench_cache"
OUT = CACHE / "soak"
PYTHON = CACHE / "venv/bin/python"
SETTINGS = {
    "BCRYPT_ROUNDS": str(LOW_COST),
    "SESSION_LIFETIME": "120",
    "ACCESS_TOKEN_LIFETIME": "86400",  # not extended by use
    "TRUSTED_PROXIES": "127.0.0.1",
    "LOGIN_LIMIT": "1000 per minute",
    "PYTHONDONTWRITEBYTECODE": "",
}
PHONES, NEW_PHONES = 30, 10
"""In all, and how many more each second."""
SAMPLES = 120
READS = 200
"""For each sample's latency, one after the other on one connection."""
WARM_UP = 1 / 4
"""The part of the run in which caches fill up, and which does not count."""


@dataclass(frozen=True)
class Sample:
    """The server's process at one time. Minutes, MiB, numbers, and milliseconds of reads."""

    minutes: float
    memory: float
    descriptors: int
    threads: int
    p50: float
    p99: float


@dataclass(frozen=True)
class Bound:
    """How much more of something there may be in the last third than in the first."""

    name: str
    of: Callable[[Sample], float]
    factor: float
    spare: float


BOUNDS = (
    Bound("memory, MiB", lambda each: each.memory, 1.03, 1),
    Bound("descriptors", lambda each: each.descriptors, 1, 3),
    Bound("threads", lambda each: each.threads, 1, 1),
    Bound("read, p50, ms", lambda each: each.p50, 1.5, 0.2),
    Bound("read, p99, ms", lambda each: each.p99, 2, 5),
)


def main() -> int:
    """Run; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="how long (30; at most 600)")
    minutes = parser.parse_args().minutes
    if not 1 <= minutes <= 600:
        parser.error("--minutes must be from 1 to 600")
    OUT.mkdir(parents=True, exist_ok=True)
    with stores.running(CACHE / "soak-data") as both:
        nobody = Accounts(secrets.token_hex(32), [], OUT)
        cores, log = os.sched_getaffinity(0), OUT / "server.log"
        with (
            servers.latchkey(cores, both.urls("small"), nobody, log, **SETTINGS) as server,
            _phones(server, minutes) as phones,
        ):
            samples = _watch(server, minutes * 60, phones)
            wrong = phones.wait() != 0
    return _conclude(samples, wrong)


def _phones(server: Server, minutes: float) -> "subprocess.Popen[bytes]":
    """Start locust. Its exit status is not 0 after a wrong response."""
    command = [PYTHON, "-m", "locust", "-f", "tests/load/locustfile.py", "--headless"]
    command += ["--host", f"http://127.0.0.1:{server.port}", "--only-summary"]
    command += ["--users", str(PHONES), "--spawn-rate", str(NEW_PHONES)]
    command += ["--run-time", f"{round(minutes * 60)}s", "--html", OUT / "phones.html"]
    with (OUT / "phones.log").open("wb") as log:
        return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)


def _watch(server: Server, seconds: float, phones: "subprocess.Popen[bytes]") -> list[Sample]:
    process, began = psutil.Process(server.process.pid), time.monotonic()
    asyncio.run(_register(server))
    pause = seconds / SAMPLES
    samples: list[Sample] = []
    while phones.poll() is None and process.is_running():
        p50, p99 = asyncio.run(_latency(server))
        passed = time.monotonic() - began
        sample = Sample(
            passed / 60,
            process.memory_info().rss / 2**20,
            process.num_fds(),
            process.num_threads(),
            p50,
            p99,
        )
        samples.append(sample)
        print(
            f"{sample.minutes:6.1f} min  {sample.memory:6.1f} MiB  {sample.descriptors} descriptors"
            f"  {sample.threads} threads  p50 {p50:.2f} ms  p99 {p99:.2f} ms",
            flush=True,
        )
        time.sleep(max(0.0, pause * len(samples) - passed))
    return samples


async def _register(server: Server) -> None:
    fields = {"username": name_of(0), "email": "user0@example.com", "password": PASSWORD}
    connection = await Connection.open(server.port)
    answer = await connection.ask("POST", "/account/register", data=fields)
    connection.close()
    if answer.status != 200:
        raise SystemExit(f"the server answered a registration with {answer.status}")


async def _latency(server: Server) -> tuple[float, float]:
    """Return p50 and p99 of some reads, in milliseconds."""
    connection = await Connection.open(server.port)
    token = (await connection.log_in(name_of(0))).json["token"]
    took = []
    for _ in range(READS):
        before = time.perf_counter()
        answer = await connection.ask("GET", PROFILE, token)
        took.append((time.perf_counter() - before) * 1000)
        if answer.status != 200:
            raise SystemExit(f"the server answered a read with {answer.status}")
    connection.close()
    cuts = statistics.quantiles(took, n=100)
    return cuts[49], cuts[98]


def _conclude(samples: Sequence[Sample], wrong: bool) -> int:
    """Write the table, the samples and the picture; return the exit status."""
    if len(samples) < SAMPLES / 4:
        print(f"the phones ended early: see {(OUT / 'phones.log').relative_to(ROOT)}")
        return 1
    warm = samples[int(len(samples) * WARM_UP) :]
    third = max(1, len(warm) // 3)
    lines = [
        f"Soak test of {samples[-1].minutes:.2g} minutes, {PHONES} phones. "
        "Medians of the first and of the last third, after the warm-up.\n",
        "| | first | last | highest | at most | |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    flat = True
    for bound in BOUNDS:
        first, last = (
            statistics.median(map(bound.of, part)) for part in (warm[:third], warm[-third:])
        )
        most = first * bound.factor + bound.spare
        flat = flat and last <= most
        numbers = " | ".join(
            f"{each:.4g}" for each in (first, last, max(map(bound.of, warm)), most)
        )
        lines.append(f"| {bound.name} | {numbers} | {'flat' if last <= most else '**grows**'} |")
    lines.append(f"\nWrong responses: {'yes, see phones.log' if wrong else 'none'}.")
    (OUT / "soak.md").write_text("\n".join(lines) + "\n")
    (OUT / "soak.json").write_text(json.dumps([dataclasses.asdict(each) for each in samples]))
    subprocess.run([PYTHON, ROOT / "bench/soak_chart.py", OUT / "soak.json"], check=False)
    print("\n".join(["", *lines, f"\nwritten to {OUT.relative_to(ROOT)}"]))
    return 0 if flat and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
