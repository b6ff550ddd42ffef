"""Pictures over HTTP: an account's picture is uploaded, stored, served and deleted."""

import asyncio
import io
import json
import os
import re
import signal
from base64 import b64encode, encodebytes
from dataclasses import replace

import pytest
from PIL import Image

from app import create_app
from handlers.app_keys import IMAGES, PICTURES, REQUEST_LOG
from store import image_decoder as decoder
from store.errors import BadToken, NoSuchPicture, PictureProblem
from store.images import SIDES
from store.pictures import Pictures
from tests.handlers.contract import FORM, MULTIPART, Row, play, urlencoded
from tests.handlers.dialects.lumotist_rows import LOGIN, SIGN_UP, SUCCESS, profile, token
from tests.store.test_image_processes import until
from tests.store.test_images import GIF, HOSTILE, JPEG, PNG, SENT, png, read, shows, turned

SPELLINGS = ("/account/set_picture", "/acount/set_picture")
RAW = {"Content-Type": "image/png"}
KINDS = ("image/png", "application/json", MULTIPART["Content-Type"])
ALLOWED = {PictureProblem.PIXELS: "At most 25000000", PictureProblem.ANIMATION: "40 times 25000000"}
NO_BASE64 = ["no base64!", "data:image/png;base64", "data:image/png,%89PNG", "a===", "é", "-_-_"]
BAD_SIZES = ["", "0", "128", "0256", "+64", "64.0", "٦٤", "256 ", "x" * 99]
UNKNOWN = ["A" * 22, "A" * 21, "1", "%00" * 22, "%C3%A9" * 22, "%2e%2e", ""]
SERVED = {
    "Content-Type": "image/webp",
    "Cache-Control": "public, max-age=86400",
    "Vary": "Accept",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


def in_a_form(sent, kind="image/png"):
    head = 'Content-Disposition: form-data; name="picture"; filename="../picture.svg"'
    return f"--seam\r\n{head}\r\nContent-Type: {kind}\r\n\r\n".encode() + sent + b"\r\n--seam--\r\n"


FORMS = {  # how a picture is sent; the stated type is ignored
    "multipart": lambda sent: (in_a_form(sent), MULTIPART),
    "multipart, of another type": lambda sent: (in_a_form(sent, "text/html"), MULTIPART),
    "raw": lambda sent: (sent, RAW),
    "raw, of another type": lambda sent: (sent, {"Content-Type": "image/svg+xml"}),
    "raw, of no type": lambda sent: (sent, {"Content-Type": "application/octet-stream"}),
    "multipart, of another name": lambda sent: (
        in_a_form(sent).replace(b'"picture"', b'"avatar"'),
        MULTIPART,
    ),
    "multipart, without a filename": lambda sent: (
        in_a_form(sent).replace(b'; filename="../picture.svg"', b""),
        MULTIPART,
    ),
    "multipart, with filename* alone": lambda sent: (
        in_a_form(sent).replace(b'filename="../picture.svg"', b"filename*=UTF-8''%C3%A9.png"),
        MULTIPART,
    ),
    "multipart, in base64": lambda sent: (
        in_a_form(encodebytes(sent)).replace(
            b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n", 1
        ),
        MULTIPART,
    ),
    "base64, escaped": lambda sent: (
        json.dumps({"a": '"', "picture": b64encode(sent).decode()})
        .replace("/", "\\/")
        .replace("+", "\\u002b")
        .encode(),
        {"Content-Type": "application/json; charset=utf8mb4"},
    ),
    "base64": lambda sent: ({"picture": b64encode(sent).decode()}, {}),
    "base64 in lines": lambda sent: ({"picture": encodebytes(sent).decode()}, {}),
    "data URL": lambda sent: ({"picture": f"data:text/x;base64,{b64encode(sent).decode()}"}, {}),
}


def upload(body, headers=RAW, path=SPELLINGS[0], status=200, response=SUCCESS):
    return Row(f"POST {path}", body, status, response, headers | token("<token>"))


def refused(body, headers, status=400):
    return upload(
        body, headers, status=status, response={"success": False, "error": "<why = text>"}
    )


LOGIN_AGAIN = Row("POST /account/login", LOGIN, 200, {"token": "<token = 40 hex>"})
OWN, UNCHANGED = profile(picture="<own = url>"), profile(picture="<own>")


async def served(client, url, **query):
    async with client.session.get(url, params=query) as response:
        assert response.status == 200
        return await response.read()


async def is_gone(client, url):
    async with client.session.get(url) as response:
        return (response.status, await response.json()) == (404, {"detail": "Not found."})


@pytest.fixture
def state(database):
    """Return which picture the one account shows, and which pictures it has uploaded."""

    def look():
        with database.cursor() as cursor:
            cursor.execute("select picture_id from account")
            [(shown,)] = cursor.fetchall()
            cursor.execute("select id from picture where account_id is not null")
            return shown, [picture_id for (picture_id,) in cursor]

    return look


@pytest.mark.parametrize("form", FORMS)
async def test_what_is_served_is_what_was_sent(client, state, form):
    names = await play(client, [SIGN_UP])
    formats = SENT if form == "raw" else ("JPEG", "PNG", "WebP", "GIF, animated")
    files = [(turned(6), SENT["JPEG"][1]), *(SENT[kind] for kind in formats)]
    for number, (sent, quadrants) in enumerate(files):
        row = upload(*FORMS[form](sent), path=SPELLINGS[number % 2])
        await play(client, [row, profile(picture=f"<{number} = url>")], names)
        url = names[str(number)]
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/pictures/[\w-]{22}", url)
        assert state() == (url[-22:], [url[-22:]])
        for side in SIDES:
            shows(await served(client, url, size=side), side, quadrants)
    old = [url for name, url in names.items() if name.isdigit()][:-1]
    assert all([await is_gone(client, url) for url in old])


@pytest.mark.parametrize("choice", [0, 6])
async def test_choosing_takes_the_own_picture_away(client, state, choice):
    names = await play(client, [SIGN_UP, upload(PNG), OWN, upload({"id": choice}, {})])
    await play(client, [profile(picture="<chosen = url>") if choice else profile()], names)
    assert await is_gone(client, names["own"])
    assert state() == (names["chosen"][-22:] if choice else None, [])
    if choice:  # and a gallery picture is not deleted with the account's choice
        await play(client, [upload(GIF)], names)
        read(await served(client, names["chosen"]), 256)


async def test_a_deleted_accounts_pictures_are_gone(client, database):
    names = await play(client, [SIGN_UP, upload(PNG), OWN])
    await play(client, [Row("POST /account/delete", None, 200, SUCCESS, token("<token>"))], names)
    assert await is_gone(client, names["own"])
    with pytest.raises(BadToken):
        await client.app[PICTURES].keep(1, 1, [b"512", b"256", b"64"])
    with database.cursor() as cursor:
        cursor.execute("select count(*) from picture where account_id is not null")
        assert cursor.fetchall() == [(0,)]


async def test_a_caller_of_an_older_epoch_changes_nothing(client, state, database):
    """Its session ended while its body arrived or its picture was decoded."""
    await play(client, [SIGN_UP, upload(PNG), OWN])
    pictures, before = client.app[PICTURES], state()
    with database.cursor() as cursor:
        cursor.execute("select id, session_epoch from account")
        [(account, epoch)] = cursor.fetchall()
    for stale in (epoch - 1, epoch + 1):
        with pytest.raises(BadToken):
            await pictures.keep(account, stale, [b"512", b"256", b"64"])
        for choice in (0, 6, 99):
            with pytest.raises(BadToken):
                await pictures.choose(account, stale, choice)
        assert state() == before
    with pytest.raises(NoSuchPicture):
        await pictures.choose(account, epoch, 99)
    await pictures.choose(account, epoch, 6)
    assert state()[1] == []


@pytest.mark.parametrize("form", ["multipart", "raw", "data URL"])
async def test_hostile_files_are_refused_and_the_old_picture_stays(client, state, form):
    names = await play(client, [SIGN_UP, upload(PNG), OWN])
    before = state(), await served(client, names["own"])
    for sent, problem in HOSTILE.values():
        await play(client, [refused(*FORMS[form](sent)), UNCHANGED], names)
        assert ALLOWED.get(problem, "JPEG, PNG, WebP and GIF") in names["why"]
    await play(client, [refused({"id": 99}, {}), UNCHANGED], names)
    assert (state(), await served(client, names["own"])) == before


@pytest.mark.parametrize("sent", [*NO_BASE64, None, 7, True, ["iVBORw0KGgo="], {"id": 6}])
async def test_text_that_is_no_picture_is_refused(client, sent):
    row = refused({"picture": sent}, {})
    names = await play(client, [SIGN_UP, upload(PNG), OWN, row, UNCHANGED])
    assert names["why"].startswith("The picture is no base64.") == (sent in NO_BASE64)


@pytest.fixture
async def small(aiohttp_client, settings, clean):
    """A client of a server whose limit is the length of JPEG."""
    return await aiohttp_client(create_app(replace(settings, picture_max_bytes=len(JPEG))))


@pytest.mark.parametrize("form", FORMS)
async def test_one_byte_too_many(small, form):
    fits, is_too_large = (FORMS[form](sent) for sent in (JPEG, JPEG + b"\0"))
    names = await play(small, [SIGN_UP, upload(*fits), OWN, refused(*is_too_large, 413), UNCHANGED])
    assert f"At most {len(JPEG)} bytes" in names["why"]


def first_lines(names, kind, *more):
    lines = ["POST /account/set_picture HTTP/1.1", "Host: x", f"Content-Type: {kind}", *more]
    return "\r\n".join([*lines, f"Authorization: Token {names['token']}", "\r\n"]).encode()


@pytest.mark.parametrize("kind", KINDS)
async def test_too_many_bytes_are_refused_unread(client, raw, kind):
    """The response arrives before the first of them is sent."""
    names = await play(client, [SIGN_UP])
    length = 5_242_881 if kind == "image/png" else 9_999_999
    response = await raw(client, first_lines(names, kind, f"Content-Length: {length}"))
    assert response.startswith(b"HTTP/1.1 413 ")
    assert b"\r\nConnection: close\r\n" in response
    assert b"At most 5242880 bytes" in response


@pytest.mark.parametrize("kind", KINDS)
async def test_chunks_are_refused_once_they_are_too_many(small, raw, kind):
    """The response arrives before the last of them is sent."""
    names = await play(small, [SIGN_UP, upload(JPEG), OWN])
    most = len(JPEG) if kind == "image/png" else len(JPEG) * 4 // 3 + 65_536
    chunk = b"%x\r\n" % (most + 1) + bytes(most + 1)
    response = await raw(small, first_lines(names, kind, "Transfer-Encoding: chunked") + chunk)
    assert response.startswith(b"HTTP/1.1 413 ")
    await play(small, [UNCHANGED], names)


async def test_a_form_without_files_has_the_limit_of_any_body(client):
    """A megabyte of percent signs would block the event loop for a second."""
    await play(client, [SIGN_UP, refused(urlencoded(picture="%" * 400_000), FORM, 413)])


@pytest.mark.parametrize("how", ["Transfer-Encoding: chunked", f"Content-Length: {len(JPEG)}"])
@pytest.mark.parametrize("kind", ["image/png", MULTIPART["Content-Type"]])
async def test_an_upload_cut_off_leaves_the_old_picture(client, state, monkeypatch, how, kind):
    """Even if the received part is a complete picture."""
    names, log = await play(client, [SIGN_UP, upload(PNG), OWN]), asyncio.Queue()
    client.server.handler.handler_cancellation = False  # as it is when no test runs
    monkeypatch.setattr(client.app[REQUEST_LOG], "add", lambda *line: log.put_nowait(line))
    body = PNG if kind == "image/png" else in_a_form(PNG)
    body = b"%x\r\n%b\r\n" % (len(body), body) if "chunked" in how else body
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(first_lines(names, kind, how, "Expect: 100-continue"))
    await reader.readuntil(b"100 Continue\r\n\r\n")
    writer.write(body)
    await asyncio.sleep(0.05)  # so that it is read before the end arrives
    writer.close()
    assert (await asyncio.wait_for(log.get(), 10))[2] == 400
    assert state() == (names["own"][-22:], [names["own"][-22:]])


async def test_the_event_loop_goes_on_while_a_picture_is_converted(client):
    """Ticks of a millisecond are counted: without threads there were a few."""
    names, ticks = await play(client, [SIGN_UP]), []

    async def tick():
        while True:
            ticks.append(await asyncio.sleep(0.001))

    sent = png(5_000, 5_000, (8, 2), bytes(15_001))
    ticking = asyncio.create_task(tick())
    await play(client, [upload(sent)], names)
    ticking.cancel()
    assert len(ticks) > 50


async def test_a_picture_whose_client_leaves_is_given_up(client):
    """Its process is killed although it does not respond, and the next picture has a new one."""
    names = await play(client, [SIGN_UP, upload(PNG)])
    [decoder] = client.app[IMAGES]._decoders._all
    os.kill(decoder._process.pid, signal.SIGSTOP)
    _, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(first_lines(names, "image/png", f"Content-Length: {len(PNG)}") + PNG)
    await until(lambda: client.app[IMAGES]._small._begun)
    writer.close()
    await asyncio.to_thread(decoder._process.wait)
    await play(client, [upload(GIF)], names)


async def test_an_account_may_not_fill_the_queue(client):
    """One of its pictures is decoded and one waits."""
    names = await play(client, [SIGN_UP, upload(PNG)])
    [decoder] = client.app[IMAGES]._decoders._all
    os.kill(decoder._process.pid, signal.SIGSTOP)
    waiting = [asyncio.create_task(play(client, [upload(PNG)], names)) for _ in range(2)]
    turns = client.app[IMAGES]._turns._turns
    await until(lambda: sum(turn.count for turn in turns.values()) == 3)
    too_many = {"detail": "Too many attempts, try again later."}
    await play(client, [upload(PNG, status=429, response=too_many)], names)
    os.kill(decoder._process.pid, signal.SIGCONT)
    await asyncio.gather(*waiting)
    assert client.app[IMAGES]._turns._turns == {}


async def test_uploads_at_once_leave_one_picture(client, state):
    names = await play(client, [SIGN_UP])
    for _ in range(5):
        await asyncio.gather(*(play(client, [upload(sent)], names) for sent in (PNG, GIF)))
        shown, own = state()
        assert own == [shown]
        shows(await client.app[PICTURES].read(shown, 256), 256)


async def test_changes_at_once_leave_the_picture_that_is_shown(client, state, database):
    """Without a lock on the account's row, each would miss the rows of the previous ones."""
    await play(client, [SIGN_UP])
    pictures = client.app[PICTURES]
    with database.cursor() as cursor:
        cursor.execute("select id, session_epoch from account")
        [caller] = cursor.fetchall()
    sixth = (await pictures.gallery())[5].picture_id
    for number in range(60):
        one, other = (pictures.keep(*caller, [b"%d" % number] * len(SIDES)) for _ in range(2))
        choice = pictures.choose(*caller, number % 2 * 6)
        await asyncio.gather(*((choice, one, other) if number % 4 < 2 else (one, other, choice)))
        shown, own = state()
        assert own == [shown] or (shown in (None, sixth) and not own)


@pytest.fixture
async def url(client):
    """The URL of an account's uploaded picture."""
    return (await play(client, [SIGN_UP, upload(PNG), OWN]))["own"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("side", [512, 256, 64, None])
async def test_a_picture_is_served_and_does_nothing(client, url, method, side):
    query = {} if side is None else {"size": side}
    content = await served(client, url, **query)
    read(content, side or 256)
    response = await client.session.request(method, url, params=query)
    assert response.status == 200
    assert SERVED.items() <= response.headers.items()
    assert response.headers["Content-Length"] == str(len(content))
    assert re.fullmatch(r'"[\w-]+"', response.headers["ETag"])
    assert await response.read() == (content if method == "GET" else b"")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_a_client_has_is_not_read_again(client, url, monkeypatch, method):
    bytes_of, reads = Pictures.read, []
    monkeypatch.setattr(Pictures, "read", lambda *what: reads.append(what) or bytes_of(*what))

    async def ask(known, where=url):
        return await client.session.request(method, where, headers={"If-None-Match": known})

    etag = (await client.session.head(url)).headers["ETag"]
    other = (await client.session.head(url, params={"size": 64})).headers["ETag"]
    assert (etag != other, len(reads)) == (True, 2)
    for known in (etag, f"W/{etag}", f'"x", {other}, {etag}', "*"):
        response = await ask(known)
        assert (response.status, await response.read()) == (304, b"")
        assert response.headers["ETag"] == etag
        assert response.headers["Cache-Control"] == SERVED["Cache-Control"]
    assert len(reads) == 2
    for known in (other, '"x"', "x", ""):
        assert (await ask(known)).status == 200
    nowhere = url[:-22] + "A" * 22
    for known in ("*", f'"{"A" * 22}-256"'):
        assert (await ask(known, nowhere)).status == 404


ACCEPTED = {  # the format for each Accept
    "image/webp": "WEBP",
    "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8": "WEBP",
    "image/*": "WEBP",
    "*/*": "WEBP",
    "image/png,image/svg+xml,image/*;q=0.8,video/*;q=0.8,*/*;q=0.5": "WEBP",
    "application/json": "WEBP",
    "text/html": "WEBP",
    "image/webp;q=0.5, image/jpeg;q=0.5": "WEBP",
    "image/webp;q=x, */*": "WEBP",
    "*/*;q=0": "WEBP",
    ";;,,q=": "WEBP",
    "": "WEBP",
    "image/jpeg": "JPEG",
    "image/png": "JPEG",
    "Image/JPEG; q=0.9, text/html": "JPEG",
    "image/webp;q=0, */*": "JPEG",
    "image/webp;q=0.000": "JPEG",
    "image/webp;q=0.4,image/jpeg;q=0.5": "JPEG",
    "image/*;q=0.5,image/jpeg": "JPEG",
    "*/*,image/webp; q=0": "JPEG",
}


async def test_each_client_is_sent_a_form_that_it_takes(client, url, monkeypatch):
    """By `Accept`. Each format has its own ETag, and a JPEG is made once."""
    made, make = [], decoder.jpeg
    monkeypatch.setattr(decoder, "jpeg", lambda webp: made.append(webp) or make(webp))
    etags: dict[str, set[str]] = {"WEBP": set(), "JPEG": set()}
    for accept, form in ACCEPTED.items():
        headers = {"Accept": accept}
        response = await client.session.get(url, headers=headers)
        content = await response.read()
        assert response.headers["Content-Type"] == f"image/{form.lower()}", accept
        assert response.headers["Vary"] == "Accept"
        image = Image.open(io.BytesIO(content))
        assert (image.format, image.size, image.info.get("exif")) == (form, (256, 256), None)
        head = await client.session.head(url, headers=headers)
        assert head.headers["Content-Length"] == str(len(content))
        known = {**headers, "If-None-Match": response.headers["ETag"]}
        again = await client.session.get(url, headers=known)
        assert (again.status, again.headers["Vary"]) == (304, "Accept")
        etags[form].add(response.headers["ETag"])
    assert [len(each) for each in etags.values()] == [1, 1]
    assert etags["WEBP"] != etags["JPEG"]
    assert len(made) == 1
    nowhere = await client.session.get(url[:-22] + "A" * 22, headers={"Accept": "image/jpeg"})
    assert nowhere.status == 404


async def test_a_deleted_picture_is_no_jpeg_either(client, url):
    headers = {"Accept": "image/jpeg"}
    assert (await client.session.get(url, headers=headers)).status == 200
    names = await play(client, [LOGIN_AGAIN])
    await play(client, [upload({"id": 0}, {})], names)
    assert (await client.session.get(url, headers=headers)).status == 404


async def test_what_is_not_there(client, url):
    for size in BAD_SIZES:
        response = await client.session.get(url, params={"size": size})
        assert (response.status, [*await response.json()]) == (400, ["size"]), size
    unknown = (
        Row(f"GET /pictures/{each}", None, 404, {"detail": "Not found."}) for each in UNKNOWN
    )
    await play(client, unknown)
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        response = await client.session.request(method, url)
        assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
