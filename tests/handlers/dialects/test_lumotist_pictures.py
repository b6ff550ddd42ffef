"""lumotist: the gallery, and the picture of an account."""

import io
from dataclasses import replace

import pytest
from PIL import Image

from app import create_app
from handlers.dialects.lumotist import ACCEPTED
from tests.handlers.contract import FORM, JSON, MULTIPART, Row, multipart, play, urlencoded
from tests.handlers.dialects.lumotist_rows import SIGN_UP, SUCCESS, profile, token


def group(first, last):
    """Ten URLs with ten names are ten different URLs."""
    return [
        {"id": number, "name": "<text>", "picture": f"<picture {number} = url>"}
        for number in range(first, last + 1)
    ]


GALLERY = Row(
    "GET /account/get_pictures",
    None,
    200,
    {"male": group(1, 5), "female": group(6, 10)},
    token("<token>"),
)


def choose(body, headers=None):
    headers = (headers or {}) | token("<token>")
    return Row("POST /account/set_picture", body, 200, SUCCESS, headers)


async def test_gallery(client):
    names = await play(client, [SIGN_UP, GALLERY])
    pixels = set()
    for number in range(1, 11):
        response = await client.session.get(names[f"picture {number}"])
        assert response.status == 200
        assert response.headers["Content-Type"] == "image/webp"
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        image = Image.open(io.BytesIO(await response.read()))
        assert image.format == "WEBP"
        assert image.width == image.height
        assert len(image.convert("RGB").getcolors(image.width**2)) > 100
        pixels.add(image.convert("RGB").tobytes())
    assert len(pixels) == 10


async def test_a_picture_needs_no_token_and_answers_head(client):
    names = await play(client, [SIGN_UP, GALLERY])
    response = await client.session.head(names["picture 3"], headers=token("nobody's"))
    assert response.status == 200
    assert response.headers["Content-Type"] == "image/webp"
    response = await client.session.post(names["picture 3"])
    assert response.status == 405
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("number", range(1, 11))
async def test_chosen_picture_is_in_the_profile(client, number):
    rows = [SIGN_UP, GALLERY, choose({"id": number}), profile(picture=f"<picture {number}>")]
    await play(client, rows)


@pytest.mark.parametrize("path", ["/account/set_picture", "/acount/set_picture"])
@pytest.mark.parametrize("prefix", ["", "/lumotist"])
@pytest.mark.parametrize("slash", ["", "/"])
async def test_both_spellings(client, path, prefix, slash):
    row = replace(choose({"id": 6}), request=f"POST {prefix}{path}{slash}")
    await play(client, [SIGN_UP, GALLERY, row, profile(picture="<picture 6>")])


def part(head, content=b"no picture"):
    return b"--seam\r\n%b\r\n\r\n%b\r\n" % (head.encode(), content)


FILE = part('Content-Disposition: form-data; name="me"; filename="me.jpg"')


async def test_digits_and_forms(client):
    rows = [
        SIGN_UP,
        GALLERY,
        choose({"id": "7"}),
        profile(picture="<picture 7>"),
        choose(urlencoded(id="8"), FORM),
        profile(picture="<picture 8>"),
        choose(multipart(id="9"), MULTIPART),
        profile(picture="<picture 9>"),
        choose({"id": "010"}),
        profile(picture="<picture 10>"),
    ]
    await play(client, rows)


async def test_an_input_that_was_left_empty_is_not_there(client):
    """An HTML form sends every input, including an empty file and an empty text."""
    names = await play(client, [SIGN_UP, GALLERY])
    file = FILE.replace(b"me.jpg", b"").replace(b'"me"', b'"picture"').replace(b"no picture", b"")
    number = multipart(id="6").replace(b"--seam--\r\n", b"")
    for body, kind in (
        (number + file + b"--seam--\r\n", MULTIPART),
        (file + number + b"--seam--\r\n", MULTIPART),
        (multipart(id="6", picture=""), MULTIPART),
        (urlencoded(id="6", picture=""), FORM),
        (b'{"id": 6, "picture": ""}', JSON),
        (b'{"id": 6, "picture": null}', JSON),
    ):
        rows = [choose({"id": 1}), choose(body, kind), profile(picture="<picture 6>")]
        await play(client, rows, names)
    image = io.BytesIO()
    Image.new("RGB", (9, 9)).save(image, "PNG")
    own = multipart(id="").replace(b"--seam--\r\n", b"")
    own += FILE.replace(b"no picture", image.getvalue()) + b"--seam--\r\n"
    await play(client, [choose(own, MULTIPART), profile(picture="<own = url>")], names)
    assert names["own"] not in [names[f"picture {number}"] for number in range(1, 11)]


@pytest.mark.parametrize("zero", [0, "0"])
async def test_zero_takes_the_picture_away(client, zero):
    rows = [SIGN_UP, choose({"id": zero}), profile(), choose({"id": 1}), choose({"id": zero})]
    await play(client, [*rows, profile()])


BAD = {
    "nothing": ({}, {}),
    "null": ({"id": None}, {}),
    "blank": ({"id": ""}, {}),
    "true": ({"id": True}, {}),
    "false": ({"id": False}, {}),
    "a word": ({"id": "six"}, {}),
    "hexadecimal": ({"id": "0x6"}, {}),
    "an underscore": ({"id": "1_0"}, {}),
    "other digits": ({"id": "٦"}, {}),
    "a superscript": ({"id": "²"}, {}),
    "unknown": ({"id": 11}, {}),
    "negative": ({"id": -1}, {}),
    "a negative string": ({"id": "-1"}, {}),
    "a fraction": ({"id": 6.5}, {}),
    "a fraction in a string": ({"id": "6.5"}, {}),
    "a list": ({"id": [6]}, {}),
    "an object": ({"id": {"id": 6}}, {}),
    "beyond 31 bits": ({"id": 2**31}, {}),
    "beyond 32 bits": ({"id": 2**32 + 6}, {}),
    "beyond 63 bits": ({"id": 2**63}, {}),
    "beyond 64 bits": ({"id": 2**64 + 6}, {}),
    "beyond 64 bits in a string": ({"id": str(2**64 + 6)}, {}),
    "a long string": ({"id": "9" * 4_400}, {}),
    "a longer one": ({"id": "9" * 10_000}, {}),
    "NUL": ({"id": "6\0"}, {}),
    "no body": (None, {}),
    "an empty body": (b"", JSON),
    "not an object": ([6], {}),
    "a bare number": (6, {}),
    "malformed": (b'{"id": 6', JSON),
    "a bad form": (b"id=%ff", FORM),
}


@pytest.mark.parametrize(("body", "headers"), BAD.values(), ids=BAD)
async def test_anything_bad_is_an_invalid_picture_id(client, body, headers):
    bad = Row(
        "POST /account/set_picture",
        body,
        400,
        {"success": False, "error": "Invalid picture id."},
        headers | token("<token>"),
    )
    rows = [SIGN_UP, GALLERY, choose({"id": 6}), bad, profile(picture="<picture 6>")]
    await play(client, rows)


NEITHER = {
    "another field": ({"photo": "aGVsbG8="}, {}, "No `id` and no picture was sent."),
    "another field of a form": (urlencoded(photo="x"), FORM, "No `id` and no picture was sent."),
    "an empty file": (
        part('Content-Disposition: form-data; name="picture"; filename=""', b"") + b"--seam--",
        MULTIPART,
        "No `id` and no picture was sent.",
    ),
    "two files of other names": (FILE + FILE + b"--seam--\r\n", MULTIPART, "No `id` and no"),
    "text": (b'{"id": 6}', {"Content-Type": "text/plain"}, 'Unsupported media type "text/plain".'),
    "no type": (b'{"id": 6}', {}, 'Unsupported media type "".'),
    "no boundary": (b"--", {"Content-Type": "multipart/form-data"}, "Multipart form parse error"),
    "no parts": (b"--", MULTIPART, "Multipart form parse error"),
}


async def test_what_is_neither_a_picture_nor_an_id_is_told_what_is_accepted(client):
    names = await play(client, [SIGN_UP])
    for body, headers, why in NEITHER.values():
        response = {"success": False, "error": "<why = text>"}
        row = Row("POST /account/set_picture", body, 400, response, headers | token("<token>"))
        await play(client, [row], names)
        assert names["why"].startswith(why)
        assert names["why"].endswith(ACCEPTED)


async def test_pictures_are_per_account(client):
    other = {"username": "other", "email": "other@test.com", "password": "x"}
    made = {"success": True, "token": "<other token = 40 hex>"}
    names = await play(client, [SIGN_UP, Row("POST /account/register", other, 200, made), GALLERY])
    await play(client, [choose({"id": 2})], names)
    await play(client, [profile("other", "other@test.com", id=2)], {"token": names["other token"]})


async def test_public_url_is_what_pictures_begin_with(aiohttp_client, settings, clean):
    settings = replace(settings, public_url="https://pictures.example/here")
    client = await aiohttp_client(create_app(settings))
    names = await play(client, [SIGN_UP, GALLERY])
    for number in range(1, 11):
        assert names[f"picture {number}"].startswith("https://pictures.example/here/pictures/")


async def test_host_that_is_no_utf_8(client, raw):
    """No input causes a 500, not even a Host header that JSON cannot represent."""
    names = await play(client, [SIGN_UP, choose({"id": 1})])
    for path in ("get_pictures", "profile"):
        head = f"GET /account/{path} HTTP/1.1\r\nConnection: close\r\n"
        head += f"Authorization: Token {names['token']}\r\nHost: "
        response = await raw(client, head.encode() + b"pl\xffain\r\n\r\n")
        assert response.split(b" ")[1] in (b"200", b"400")
        assert b"\r\nContent-Type: application/json\r\n" in response
