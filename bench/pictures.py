"""How much uploads slow down those who look at pictures.

    python bench/pictures.py [--pause SECONDS] [--pairs N]

200 readers, each asking for its next picture when the last one has come, or so many seconds later.
Their 99th percentile alone, and while 20 uploads of 3 million pixels run, in turns; what counts is
the median of the ratios. Brings its own stores and server, and takes half a minute or so.
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

from store import embedded  # noqa: E402  # a script's own directory is where it looks first

READERS = 200
UPLOADS = 20
SHOWN = 20
"""Accounts whose pictures are read. Others upload: a picture that is replaced is gone."""
SIZE = (2048, 1536)
ALONE_SECONDS = 2.0
SETTLE_SECONDS = 0.3
GOAL = 3.0


class Failed(Exception):
    """The server did not do what it was asked, so there is nothing to measure."""


@dataclass
class Phase:
    """What was measured while one thing was the case: seconds of each read, and of all."""

    reads: list[float] = field(default_factory=list)
    seconds: float = 0.0
    put_off: int = 0

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
def server() -> Iterator[str]:
    """Run stores and a server of our own; yield its URL."""
    with (
        tempfile.TemporaryDirectory(prefix="pictures-", ignore_cleanup_errors=True) as directory,
        embedded.data_directory(Path(directory)) as data,
        embedded.postgresql(data, lambda _: None) as database_url,
        embedded.redis(data, lambda _: None) as redis_url,
    ):
        environment = {
            **os.environ,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "SECRET_KEYS": secrets.token_hex(32),
            "PORT": "0",
            "BCRYPT_ROUNDS": "4",
        }
        process = subprocess.Popen(
            [sys.executable, "server.py"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            yield _url(process)
        finally:
            process.send_signal(subprocess.signal.SIGINT)
            process.wait(30)


def _url(process: "subprocess.Popen[str]") -> str:
    for line in process.stdout or ():
        if found := re.search(r"serving on (http://\S+)", line):
            return found[1]
    raise Failed("the server did not start")


class Crowd:
    """The readers, and those who upload."""

    def __init__(self, session: aiohttp.ClientSession, pause: float) -> None:
        self._session = session
        self._pause = pause
        self._phase: Phase | None = None

    async def _post(self, path: str, token: str = "", **content: object) -> tuple[int, bytes]:
        headers = {"Authorization": f"Token {token}"} if token else {}
        async with self._session.post(path, headers=headers, **content) as answer:
            return answer.status, await answer.read()

    async def register(self, name: str) -> str:
        """Make an account; return its token."""
        fields = {"username": name, "email": f"{name}@example.com", "password": "correct horse"}
        status, body = await self._post("/account/register", json=fields)
        if status != 200:
            raise Failed(f"register answered {status}")
        token: str = json.loads(body)["token"]
        return token

    async def upload(self, token: str, picture: bytes) -> int:
        """Upload a picture as a form; return how often the server asked to come back later."""
        for put_off in range(100):
            form = aiohttp.FormData()
            form.add_field("picture", io.BytesIO(picture), filename="me.jpg")
            status, _ = await self._post("/account/set_picture", token, data=form)
            if status == 200:
                return put_off
            if status != 503:
                raise Failed(f"set_picture answered {status}")
            await asyncio.sleep(1)
        raise Failed("an upload was put off a hundred times")

    async def url(self, token: str) -> str:
        """Return the URL of the picture that an account shows."""
        headers = {"Authorization": f"Token {token}"}
        async with self._session.get("/account/profile", headers=headers) as answer:
            url: str = (await answer.json())["data"]["picture"]
            return url

    async def read(self, urls: list[str]) -> None:
        """Read pictures at random until cancelled; a read belongs to the phase it began in."""
        choice = random.Random(secrets.token_bytes(8))
        await asyncio.sleep(choice.random() * self._pause)
        while True:
            phase, begun = self._phase, time.perf_counter()
            async with self._session.get(choice.choice(urls)) as answer:
                content = await answer.read()
            if answer.status != 200 or not content.startswith(b"RIFF"):
                raise Failed(f"a picture answered {answer.status}")
            if phase:
                phase.reads.append(time.perf_counter() - begun)
            await asyncio.sleep(self._pause)

    async def alone(self) -> Phase:
        """Measure the readers alone."""
        with self._measured() as phase:
            await asyncio.sleep(ALONE_SECONDS)
        await asyncio.sleep(SETTLE_SECONDS)
        return phase

    async def beside_uploads(self, tokens: list[str], pictures: list[bytes]) -> Phase:
        """Measure the readers for as long as uploads that begin together take."""
        with self._measured() as phase:
            uploads = (
                self.upload(token, pictures[number % len(pictures)])
                for number, token in enumerate(tokens)
            )
            phase.put_off = sum(await asyncio.gather(*uploads))
        await asyncio.sleep(SETTLE_SECONDS)
        return phase

    @contextlib.contextmanager
    def _measured(self) -> Iterator[Phase]:
        phase = self._phase = Phase()
        begun = time.perf_counter()
        yield phase
        phase.seconds = time.perf_counter() - begun
        self._phase = None


async def measure(url: str, pause: float, pairs: int) -> list[float]:
    """Print what is measured, pair by pair; return their ratios."""
    pictures = [photograph(seed) for seed in range(8)]
    print(f"uploads are JPEGs of {SIZE[0]} x {SIZE[1]}, {len(pictures[0]) / 1e6:.1f} MB each")
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(60)
    async with aiohttp.ClientSession(url, connector=connector, timeout=timeout) as session:
        crowd = Crowd(session, pause)
        shown = [await crowd.register(f"shown{number}") for number in range(SHOWN)]
        uploading = [await crowd.register(f"uploading{number}") for number in range(UPLOADS)]
        for number, token in enumerate(shown):
            await crowd.upload(token, pictures[number % len(pictures)])
        urls = [await crowd.url(token) for token in shown]
        readers = [asyncio.create_task(crowd.read(urls)) for _ in range(READERS)]
        await asyncio.sleep(1)
        ratios = []
        for number in range(pairs):
            alone = await crowd.alone()
            beside = await crowd.beside_uploads(uploading, pictures)
            ratios.append(beside.p99 / alone.p99)
            print(f"{number + 1}  alone           {alone}")
            print(f"   with {UPLOADS} uploads {beside} in {beside.seconds:.1f} s", end="")
            print(f", {beside.put_off} put off; ratio {ratios[-1]:.2f}", flush=True)
        for reader in readers:
            reader.cancel()
        for ended in await asyncio.gather(*readers, return_exceptions=True):
            if not isinstance(ended, asyncio.CancelledError):
                raise Failed("a reader gave up") from ended
    return ratios


def main() -> int:
    """Measure; return 1 when uploads slow reads down more than they may."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between a reader's reads")
    parser.add_argument("--pairs", type=int, default=5)
    chosen = parser.parse_args()
    with server() as url:
        ratios = asyncio.run(measure(url, chosen.pause, chosen.pairs))
    median = statistics.median(ratios)
    print(f"median ratio {median:.2f} of {len(ratios)} pairs; {GOAL:g} at most are wanted")
    return int(median > GOAL)


if __name__ == "__main__":
    sys.exit(main())
