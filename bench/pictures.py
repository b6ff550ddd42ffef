"""How much uploads slow down those who look at pictures.

    python bench/pictures.py [--pause SECONDS] [--pairs N]

200 readers, each asking for its next picture so long after the last one has come. Their 99th
percentile alone, and while 20 uploads of 3 million pixels run, in turns; what counts is the median
of the ratios. Without a pause the readers alone take all the processor there is, and hide what the
uploads do. Brings its own stores and server, and takes half a minute or so.
"""

import argparse
import asyncio
import contextlib
import io
import json
import os
import random
import re
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from PIL import Image, ImageFilter

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import embedded  # noqa: E402  # a script looks in its own directory first

READERS = 200
UPLOADS = 20
PREVIEW_CHARS = 20
"""Accounts whose pictures are read. Others upload: a picture that is replaced is gone."""
SIZE = (2048, 1536)
ALONE_SECONDS = 2.0
SETTLE_SECONDS = 0.5
GOAL = 3.0


class Failed(Exception):
    """The server did not do what it was asked, so there is nothing to measure."""


@dataclass
class Phase:
    """What was measured while one thing was the case: seconds of each read, and of all."""

    reads: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def p99(self) -> float:
        """Milliseconds that one read in a hundred took longer than."""
        return sorted(self.reads)[int(len(self.reads) * 0.99)] * 1000

    def __str__(self) -> str:
        rate = len(self.reads) / self.seconds
        return f"p99 {self.p99:6.1f} ms ({len(self.reads):5} reads, {rate:4.0f}/s)"


def photograph(seed: int) -> bytes:
    """Return a JPEG of about the size and detail that a telephone's camera makes."""
    noise = [Image.effect_noise((SIZE[0] // 4, SIZE[1] // 4), 40 + seed % 30) for _ in range(3)]
    image = Image.merge("RGB", noise).resize(SIZE).filter(ImageFilter.GaussianBlur(1))
    exif = Image.Exif()
    exif[0x0112] = 1 + seed % 8
    file = io.BytesIO()
    image.save(file, "JPEG", quality=93, exif=exif)
    return file.getvalue()


@contextlib.contextmanager
def run_server() -> Iterator[str]:
    """Run stores and a server of our own; yield its URL."""
    with (
        tempfile.TemporaryDirectory(prefix="pictures-", ignore_cleanup_errors=True) as directory,
        embedded.open_data_directory(Path(directory)) as data,
        embedded.run_postgresql(data, lambda _: None) as database_url,
        embedded.run_redis(data, lambda _: None) as redis_url,
    ):
        stores = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
        others = {"SECRET_KEYS": secrets.token_hex(32), "PORT": "0", "BCRYPT_ROUNDS": "4"}
        process = subprocess.Popen(
            [sys.executable, "server.py"],
            cwd=ROOT,
            env={**os.environ, **stores, **others},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            yield _url(process)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def _url(process: "subprocess.Popen[str]") -> str:
    for line in process.stdout or ():
        if found := re.search(r"serving on (http://\S+)", line):
            return found[1]
    raise Failed("the server did not start")


def connect(url: str) -> aiohttp.ClientSession:
    """Return a client of the server that opens as many connections as are asked of it."""
    timeout = aiohttp.ClientTimeout(60)
    return aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0), timeout=timeout)


async def register(session: aiohttp.ClientSession, name: str) -> str:
    """Make an account; return its token."""
    fields = {"username": name, "email": f"{name}@example.com", "password": "correct horse"}
    async with session.post("/account/register", json=fields) as answer:
        if answer.status != 200:
            raise Failed(f"register answered {answer.status}")
        token: str = (await answer.json())["token"]
        return token


async def upload(session: aiohttp.ClientSession, token: str, picture: bytes) -> int:
    """Upload a picture as a form; return how often the server asked to come back later."""
    headers = {"Authorization": f"Token {token}"}
    for put_off in range(100):
        form = aiohttp.FormData()
        form.add_field("picture", io.BytesIO(picture), filename="me.jpg")
        async with session.post("/account/set_picture", headers=headers, data=form) as answer:
            if answer.status == 200:
                return put_off
            if answer.status != 503:
                raise Failed(f"set_picture answered {answer.status}")
        await asyncio.sleep(1)
    raise Failed("an upload was put off a hundred times")


async def keep_uploading(url: str) -> None:
    """Upload 20 pictures at once for every line on stdin; say when it is done.

    A process of its own: readers in the same one would wait while it sends.
    """
    pictures = [photograph(seed) for seed in range(8)]
    async with connect(url) as session:
        tokens = [await register(session, f"uploading{number}") for number in range(UPLOADS)]
        print(f"{UPLOADS} JPEGs of {SIZE[0]} x {SIZE[1]}, {len(pictures[0]) / 1e6:.1f} MB each")
        sys.stdout.flush()
        while await asyncio.to_thread(sys.stdin.readline):
            uploads = (
                upload(session, token, pictures[number % len(pictures)])
                for number, token in enumerate(tokens)
            )
            print(sum(await asyncio.gather(*uploads)), flush=True)


class Readers:
    """200 that look at pictures, as long as they are not stopped."""

    def __init__(self, session: aiohttp.ClientSession, urls: list[str], pause: float) -> None:
        self._session = session
        self._urls = urls
        self._pause = pause
        self._phase = Phase()
        self._tasks = [asyncio.create_task(self._read()) for _ in range(READERS)]

    async def _read(self) -> None:
        await asyncio.sleep(random.random() * self._pause)
        while True:
            phase, begun = self._phase, time.perf_counter()
            async with self._session.get(random.choice(self._urls)) as answer:
                content = await answer.read()
            if answer.status != 200 or not content.startswith(b"RIFF"):
                raise Failed(f"a picture answered {answer.status}")
            phase.reads.append(time.perf_counter() - begun)
            await asyncio.sleep(self._pause)

    @contextlib.contextmanager
    def measured(self) -> Iterator[Phase]:
        """Yield what has the reads that begin from now on, until this ends."""
        phase = self._phase = Phase()
        begun = time.perf_counter()
        yield phase
        phase.seconds = time.perf_counter() - begun
        self._phase = Phase()

    async def stop(self) -> None:
        """End them all. Raises Failed if one of them had ended before."""
        for task in self._tasks:
            task.cancel()
        for ended in await asyncio.gather(*self._tasks, return_exceptions=True):
            if not isinstance(ended, asyncio.CancelledError):
                raise Failed("a reader gave up") from ended


async def shown_pictures(session: aiohttp.ClientSession) -> list[str]:
    """Make accounts that have pictures; return the pictures' URLs."""
    urls = []
    for number in range(PREVIEW_CHARS):
        token = await register(session, f"shown{number}")
        await upload(session, token, photograph(number))
        headers = {"Authorization": f"Token {token}"}
        async with session.get("/account/profile", headers=headers) as answer:
            urls.append(json.loads(await answer.read())["data"]["picture"])
    return urls


async def measure(url: str, pause: float, pairs: int) -> list[float]:
    """Print what is measured, pair by pair; return their ratios."""
    pipe = asyncio.subprocess.PIPE
    uploader = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--upload-to", url, stdin=pipe, stdout=pipe
    )
    ratios: list[float] = []
    async with connect(url) as session:
        readers = Readers(session, await shown_pictures(session), pause)
        print((await uploader.stdout.readline()).decode(), end="")
        for number in range(pairs):
            await asyncio.sleep(SETTLE_SECONDS)
            with readers.measured() as alone:
                await asyncio.sleep(ALONE_SECONDS)
            with readers.measured() as beside:
                uploader.stdin.write(b"\n")
                put_off = int(await uploader.stdout.readline())
            ratios.append(beside.p99 / alone.p99)
            print(f"{number + 1}  alone           {alone}")
            print(f"   with {UPLOADS} uploads {beside} in {beside.seconds:.1f} s", end="")
            print(f", {put_off} put off; ratio {ratios[-1]:.2f}", flush=True)
        await readers.stop()
    uploader.stdin.close()
    await uploader.wait()
    return ratios


def main() -> int:
    """Measure; return 1 when uploads slow reads down more than they may."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pause", type=float, default=0.25, help="seconds between two reads")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--upload-to", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.upload_to:
        asyncio.run(keep_uploading(chosen.upload_to))
        return 0
    with run_server() as url:
        ratios = asyncio.run(measure(url, chosen.pause, chosen.pairs))
    median = statistics.median(ratios)
    print(f"median ratio {median:.2f} of {len(ratios)} pairs; {GOAL:g} at most are wanted")
    return int(median > GOAL)


if __name__ == "__main__":
    sys.exit(main())
