"""A picture in JSON or base64: text of megabytes, which is read in pieces; and what is not one."""

import base64
import json

import pytest

from handlers.body import MAX_BODY, PIECE, Malformed
from handlers.picture_upload import NotBase64, _from_json, from_base64

PICTURE = bytes(range(256)) * 4_096
TEXT = base64.b64encode(PICTURE).decode()


async def read(body):
    return await _from_json(body, None, "id", None)


async def test_a_long_picture_is_read_whole():
    assert len(TEXT) > 4 * PIECE
    assert await from_base64(TEXT.encode()) == PICTURE
    assert await read(json.dumps({"picture": TEXT}).encode()) == PICTURE
    assert await read(json.dumps({"id": 7, "picture": TEXT}).encode()) == PICTURE


@pytest.mark.parametrize("shift", range(8))
async def test_an_escape_between_two_pieces_is_one_character(shift):
    """Encoders may write a slash with a backslash, and any character by its number."""
    escaped = TEXT.replace("/", "\\/").replace("A", "\\u0041")
    body = f'{{"picture": "data:image/png;{"x" * shift},{escaped}"}}'.encode()
    assert await read(body) == PICTURE


@pytest.mark.parametrize("text", [TEXT + "é", TEXT + "\\x", TEXT + "=", TEXT[:-1]])
async def test_a_long_text_that_is_not_base64_is_refused(text):
    with pytest.raises(NotBase64):
        await read(f'{{"picture": "{text}"}}'.encode())


async def test_base64_that_goes_on_behind_its_end_is_refused():
    """Also when the end is that of a piece, which is decoded by itself."""
    ended = b"A" * (PIECE - 4) + b"AA=="
    assert await from_base64(ended) == bytes(len(ended) // 4 * 3 - 2)
    with pytest.raises(NotBase64):
        await from_base64(ended + b"AAAA")


async def test_only_the_picture_may_be_long():
    with pytest.raises(Malformed, match="too long"):
        await read(b'{"picture": 1, "x": [' + b"1," * (MAX_BODY // 2) + b"1]}")


@pytest.mark.parametrize("body", [b'{"picture": "\n"}', b'{"picture": "', b'{"a\\"'])
async def test_a_string_that_is_not_one_is_not_looked_for_a_picture(body):
    with pytest.raises(Malformed):
        await read(body)
