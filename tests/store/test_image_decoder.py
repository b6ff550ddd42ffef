"""The process that decodes pictures, from its own side: requests in, responses out, and its end."""

import io
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection

import pytest
from PIL import Image

from store.errors import PictureProblem
from store.image_cost import LARGE, SIDES, SQUARES
from store.image_decoder import jpeg, serve, squares
from tests.program import ROOT
from tests.store.test_images import JPEG, PNG, QUADRANTS, encode, png, shows

MAX_PIXELS = 10_000_000
SMALL_LANE, LARGE_LANE = b"\0", b"\1"
SECONDS = 30.0
"""CPU time that no picture here takes, and a wait that no busy machine reaches."""
SLOW = png(2_500, 2_500, (8, 6), bytes(10_001))

Ask = Callable[[bytes], list[bytes]]


def ask(connection: Connection, request: bytes) -> list[bytes]:
    connection.send_bytes(request)
    response = [connection.recv_bytes()]
    if response[0] == SQUARES:
        response += [connection.recv_bytes() for _ in SIDES]
    return response


@pytest.fixture
def decoder() -> Iterator[Ask]:
    """Serve on a thread. It must return when the server closes the connection."""
    here, there = (Connection(end.detach()) for end in socket.socketpair())
    thread = threading.Thread(target=serve, args=(there, MAX_PIXELS, SECONDS, SECONDS), daemon=True)
    thread.start()
    yield lambda request: ask(here, request)
    here.close()
    thread.join(SECONDS)
    assert not thread.is_alive()
    there.close()


def test_a_picture_is_decoded_in_either_lane(decoder):
    for lane, sent in ((SMALL_LANE, PNG), (LARGE_LANE, PNG), (SMALL_LANE, JPEG)):
        response = decoder(lane + sent)
        assert response == [SQUARES, *squares(sent, MAX_PIXELS)]
        shows(response[1], SIDES[0], QUADRANTS)


def test_a_slow_picture_is_decoded_only_in_the_lane_of_large_ones(decoder):
    assert decoder(SMALL_LANE + SLOW) == [LARGE]
    assert decoder(LARGE_LANE + SLOW)[0] == SQUARES


def test_what_cannot_be_decoded_is_answered_with_its_problem(decoder):
    too_large = png(10_000, 10_000, (1, 0), bytes(1_251))
    for sent, problem in (
        (b"GIF", PictureProblem.UNKNOWN_FORMAT),
        (PNG[:200], PictureProblem.DAMAGED),
        (too_large, PictureProblem.PIXELS),
    ):
        assert decoder(SMALL_LANE + sent) == [problem.name.encode()]
    assert decoder(SMALL_LANE + PNG)[0] == SQUARES  # and it goes on


def test_the_limit_of_cpu_time_ends_with_each_picture(decoder):
    """Else the time of pictures that are done would count for the next one."""
    for lane, sent in ((LARGE_LANE, PNG), (SMALL_LANE, SLOW), (SMALL_LANE, b"none")):
        decoder(lane + sent)
        assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)


def test_the_process_ends_with_its_server_and_at_no_signal_meant_for_it():
    here, there = socket.socketpair()
    with there:
        process = subprocess.Popen(
            [sys.executable, "-m", "store.image_decoder", str(MAX_PIXELS), "30", "30"],
            cwd=ROOT,
            stdin=there.fileno(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    connection = Connection(here.detach())
    assert ask(connection, SMALL_LANE + PNG)[0] == SQUARES
    for each in (signal.SIGINT, signal.SIGTERM):  # a terminal and a supervisor send it to a group
        process.send_signal(each)
    assert ask(connection, SMALL_LANE + JPEG)[0] == SQUARES
    connection.close()
    printed, _ = process.communicate(timeout=SECONDS)
    assert (process.returncode, printed) == (0, b"")


LITTLE_MEMORY = """
import pathlib, resource, sys
from store.errors import BadPicture
from store.image_decoder import squares

small, slow = (pathlib.Path(each).read_bytes() for each in sys.argv[1:])
squares(small, 10_000_000)  # what is imported late is in memory now
pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
most = pages * resource.getpagesize() + 8 * 1024 * 1024
resource.setrlimit(resource.RLIMIT_AS, (most, most))
try:
    squares(slow, 10_000_000)
except BadPicture as error:
    print(error.problem.name)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is set from /proc")
def test_a_picture_that_takes_more_memory_than_there_is_costs_too_much(tmp_path):
    for name, sent in (("small", PNG), ("slow", SLOW)):
        (tmp_path / name).write_bytes(sent)
    command = [sys.executable, "-c", LITTLE_MEMORY, tmp_path / "small", tmp_path / "slow"]
    printed = subprocess.check_output(command, cwd=ROOT, text=True)
    assert printed.split() == [PictureProblem.COSTLY.name]


@pytest.mark.parametrize("alpha", [255, 0])
def test_a_jpeg_shows_transparent_pixels_on_white(alpha):
    kept = encode(Image.new("RGBA", (64, 64), (200, 30, 30, alpha)), "WEBP", lossless=True)
    with Image.open(io.BytesIO(jpeg(kept)), formats=["JPEG"]) as image:
        assert (image.mode, image.size) == ("RGB", (64, 64))
        wanted = (200, 30, 30) if alpha else (255, 255, 255)
        pixel = image.getpixel((32, 32))
    assert max(abs(one - other) for one, other in zip(pixel, wanted, strict=True)) < 8
