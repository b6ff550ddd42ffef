"""The processes that decode pictures end at a limit, when a client leaves, and at a stop."""

import asyncio
import os
import signal
import struct
import sys
from pathlib import Path

import pytest

from store import image_processes, images
from store.client import Client
from store.errors import BadPicture, Busy, PictureProblem, RateLimited
from store.images import Images
from tests.store.test_images import GIF, JPEG, PNG, QUADRANTS, chunk, gif, png, shows

MAX_PIXELS = 25_000_000
LARGE = png(2_500, 2_500, (8, 6), bytes(10_001))


@pytest.fixture
def pictures():
    """Decoders as a server has them."""
    made = Images(1, 600.0, MAX_PIXELS, {"MARK": "given"})
    yield made
    made.close()
    assert made._decoders._all == set()


def processes(pictures):
    return [decoder._process for decoder in pictures._decoders._all]


def freeze(pictures):
    """Stop the one process, so that it does not reply."""
    [process] = processes(pictures)
    os.kill(process.pid, signal.SIGSTOP)
    return process


async def until(condition):
    for _ in range(3_000):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it did not come to that")


async def under_way(threads):
    await until(lambda: threads._begun)


async def test_one_process_is_started_and_kept(pictures):
    for sent in (PNG, JPEG, GIF):
        shows((await pictures.square(sent))[0], 512, QUADRANTS)
    await pictures.square(LARGE)
    [process] = processes(pictures)
    shows((await pictures.square(PNG))[0], 512, QUADRANTS)
    assert processes(pictures) == [process]


@pytest.mark.skipif(sys.platform != "linux", reason="only there is it to be seen")
async def test_a_process_knows_no_setting_and_makes_way_for_the_server(pictures):
    await pictures.square(PNG)
    [process] = processes(pictures)
    seen = Path(f"/proc/{process.pid}")
    assert (seen / "environ").read_bytes() == b"MARK=given\0"
    assert os.getpriority(os.PRIO_PROCESS, process.pid) >= 10
    assert (seen / "oom_score_adj").read_text() == "1000\n"
    limits = {
        line[:26].strip(): line[26:].split()[0]
        for line in (seen / "limits").read_text().splitlines()
    }
    assert 24 * MAX_PIXELS < int(limits["Max address space"]) < 50 * MAX_PIXELS
    assert limits["Max core file size"] == "0"


async def test_what_takes_too_long_is_ended_and_refused(pictures, monkeypatch):
    """Each lane at its own limit; what the first one ends, the second begins again."""
    monkeypatch.setattr(image_processes, "SMALL_CPU_SECONDS", 0.02)
    monkeypatch.setattr(image_processes, "LARGE_CPU_SECONDS", 0.02)
    with pytest.raises(BadPicture) as raised:
        await pictures.square(LARGE)
    assert raised.value.problem is PictureProblem.COSTLY
    monkeypatch.setattr(image_processes, "LARGE_CPU_SECONDS", 60)
    shows((await pictures.square(PNG))[0], 512, QUADRANTS)
    await pictures.square(gif(8, 8, 50_000))  # looks small, and is not
    assert len(processes(pictures)) == 1


async def test_a_small_picture_does_not_wait_for_a_large_one(pictures):
    large = asyncio.create_task(pictures.square(LARGE, 1, Client("192.0.2.1")))
    await under_way(pictures._large)
    [process] = [each._process for each in pictures._decoders._all - set(pictures._decoders._idle)]
    os.kill(process.pid, signal.SIGSTOP)
    shows((await pictures.square(PNG, 2, Client("192.0.2.2")))[0], 512, QUADRANTS)
    assert not large.done()
    os.kill(process.pid, signal.SIGCONT)
    await large


async def test_a_picture_whose_client_left_is_not_begun_or_is_given_up(pictures):
    with pytest.raises(Busy):
        await pictures.square(PNG, client=Client(is_gone=lambda: True))
    assert processes(pictures) == []
    await pictures.square(PNG)
    frozen, gone = freeze(pictures), [False]
    working = asyncio.create_task(pictures.square(PNG, client=Client(is_gone=lambda: gone[0])))
    await under_way(pictures._small)
    gone[0] = True
    with pytest.raises(Busy):
        await working
    assert frozen.returncode == -signal.SIGKILL


async def test_a_stop_waits_for_no_picture(pictures):
    """The process does not reply, and would not end without a kill."""
    await pictures.square(PNG)
    frozen = freeze(pictures)
    working = asyncio.create_task(pictures.square(PNG))
    await under_way(pictures._small)
    waiting = asyncio.create_task(pictures.square(GIF, 2, Client("192.0.2.2")))
    await asyncio.sleep(0)
    pictures.close()
    outcomes = await asyncio.gather(working, waiting, return_exceptions=True)
    assert isinstance(outcomes[0], Busy)
    assert isinstance(outcomes[1], asyncio.CancelledError)
    assert frozen.returncode == -signal.SIGKILL


async def test_a_decoder_that_crashes_takes_one_picture_with_it(pictures, caplog):
    await pictures.square(PNG)
    for signum, problem in (
        (signal.SIGSEGV, PictureProblem.DAMAGED),
        (signal.SIGKILL, PictureProblem.COSTLY),
    ):
        frozen = freeze(pictures)
        working = asyncio.create_task(pictures.square(PNG))
        await under_way(pictures._small)
        os.kill(frozen.pid, signum)
        os.kill(frozen.pid, signal.SIGCONT)
        with pytest.raises(BadPicture) as raised:
            await working
        assert raised.value.problem is problem
        assert f"status {-signum}" in caplog.text
        await pictures.square(PNG)
    [idle] = processes(pictures)
    idle.kill()
    idle.wait()
    await pictures.square(PNG)


async def test_what_a_decoder_has_to_say_is_in_no_log(pictures, capfd):
    """Pillow warns of each entry of EXIF that is wrong."""
    table = b"".join(struct.pack(">HHII", number, 2, 4_000_000, 8) for number in range(200))
    exif = b"MM\0*\0\0\0\x08" + struct.pack(">H", 200) + table + bytes(99)
    await pictures.square(png(8, 8, (8, 0), bytes(9), chunk(b"eXIf", exif)))
    assert capfd.readouterr() == ("", "")


async def test_no_process_can_be_started(pictures, monkeypatch, caplog):
    monkeypatch.setattr(image_processes, "_COMMAND", ("/nowhere/python",))
    with pytest.raises(Busy):
        await pictures.square(PNG)
    assert "cannot start a process that decodes pictures" in caplog.text


async def test_each_account_and_each_address_has_its_turn(pictures):
    await pictures.square(PNG)
    frozen = freeze(pictures)
    calls = [
        pictures.square(PNG, number, Client("192.0.2.1")) for number in range(images.ADDRESS_TURNS)
    ]
    waiting = [asyncio.create_task(call) for call in calls]
    await under_way(pictures._small)
    assert pictures._small._pending == 1  # the others leave the queue to other addresses
    with pytest.raises(RateLimited):
        await pictures.square(PNG, 99, Client("192.0.2.1"))
    waiting.pop().cancel()
    os.kill(frozen.pid, signal.SIGCONT)
    await asyncio.gather(*waiting)
    assert pictures._turns._turns == {}


async def test_the_cache_of_jpegs_is_bounded(pictures, monkeypatch):
    webp = (await pictures.square(PNG))[2]
    one = await pictures.jpeg("0", webp)
    monkeypatch.setattr(images, "JPEG_CACHE_BYTES", 3 * len(one))
    for name in "120345":
        await pictures.jpeg(name, webp)
    assert list(pictures._cache) == ["3", "4", "5"]
    assert pictures._cached_bytes == 3 * len(one)


async def test_a_jpeg_is_made_once_for_a_network_and_kept_once(pictures):
    """Two clients of one network, and one of another, ask for the same one at once."""
    webp = (await pictures.square(PNG))[2]
    addresses = ("192.0.2.1", "192.0.2.1", "198.51.100.1")
    one, same, other = await asyncio.gather(
        *(pictures.jpeg("0", webp, Client(address)) for address in addresses)
    )
    assert one is same
    assert one == other
    assert pictures._cached_bytes == len(one)


def test_no_process_is_started_once_they_have_been_ended(pictures):
    pictures.close()
    with pytest.raises(Busy):
        pictures._decoders.squares(PNG, False, lambda: False)
