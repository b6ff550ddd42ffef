"""`gallery`: what an operator puts before accounts to choose from, and takes away again.

Each test has a database of its own, so that the ten pictures of the other one stay as they are.
"""

import asyncio
import os
import re
from contextlib import ExitStack, closing
from dataclasses import replace

import psycopg2
import pytest

import commands
from app import create_app
from handlers.app_keys import PICTURES
from settings import Settings
from store.images import SIDES
from store.postgresql.database import connect_database
from store.schema import prepare
from tests.handlers.contract import Row, play
from tests.handlers.dialects.lumotist_rows import SIGN_UP, SUCCESS, profile, token
from tests.program import KEY, Program
from tests.store.test_images import HOSTILE, PNG, shows, turned

LINE = re.compile(r" *(\d+)  (\w+) +(\w.*\w) +/pictures/([\w-]{22})")


def url_of(stores, name):
    return stores[0].replace("/postgres?", f"/{name}?")


async def prepare_database(url):
    database = await connect_database(url, 1, 20)
    await prepare(database)
    await database.close()


@pytest.fixture(scope="module")
def administrator(stores):
    """A cursor that makes databases and drops them."""
    with closing(psycopg2.connect(stores[0])) as connection:
        connection.autocommit = True
        yield connection.cursor()


@pytest.fixture(scope="module")
def drawn(stores, administrator):
    """The name of a database that a server has prepared."""
    administrator.execute("create database drawn")
    asyncio.run(prepare_database(url_of(stores, "drawn")))
    yield "drawn"
    administrator.execute("drop database drawn")


@pytest.fixture
def settings(stores, settings, administrator, drawn):
    """Settings of a server that has a copy of that database, and somebody else's Redis."""
    administrator.execute(f"create database copy template {drawn}")
    yield replace(settings, database_url=url_of(stores, "copy"))
    administrator.execute("drop database copy with (force)")


@pytest.fixture
async def client(settings, aiohttp_client, clean):
    return await aiohttp_client(create_app(settings))


@pytest.fixture
def start(settings):
    """Start `gallery …` beside the server that the tests ask."""
    where = {"DATABASE_URL": settings.database_url, "REDIS_URL": settings.redis_url}
    with ExitStack() as stack:
        yield lambda *words, **other: stack.enter_context(
            Program("gallery", *words, **({"SECRET_KEYS": KEY} | where | other))
        )


@pytest.fixture
def gallery(settings, capsys):
    """Run `gallery …` beside the server; return its exit status and what it has printed."""

    async def run(*words):
        # In a thread, for it has an event loop of its own.
        status = await asyncio.to_thread(commands.run, ["gallery", *words], settings)
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def file(tmp_path):
    """A picture that was taken with the camera on its side."""
    path = tmp_path / "mika.jpg"
    path.write_bytes(turned(6))
    return path


def listed(said):
    """Return what `gallery list` has printed, by ids."""
    status, out, err = said
    head, *lines = out.splitlines()
    assert (status, head.split(), err) == (0, ["ID", "GROUP", "NAME", "PICTURE"], "")
    rows = [LINE.fullmatch(line).groups() for line in lines]
    return {int(number): (group, name, picture) for number, group, name, picture in rows}


def choose(number, who="token"):
    return Row("POST /account/set_picture", {"id": number}, 200, SUCCESS, token(f"<{who}>"))


def other(name):
    """Register another account: <name> is its token."""
    fields = {"username": name, "email": f"{name}@test.com", "password": "x"}
    answer = {"success": True, "token": f"<{name} = 40 hex>"}
    return Row("POST /account/register", fields, 200, answer)


async def offered(client, names):
    headers = {"Authorization": f"Token {names['token']}"}
    async with client.get("/account/get_pictures", headers=headers) as answer:
        return await answer.json()


async def test_ten_pictures_are_drawn(gallery):
    pictures = listed(await gallery("list"))
    assert list(pictures) == list(range(1, 11))
    assert [group for group, _, _ in pictures.values()] == ["male"] * 5 + ["female"] * 5
    assert len({name for _, name, _ in pictures.values()}) == 10
    assert len({picture for _, _, picture in pictures.values()}) == 10


async def test_what_is_added_can_be_chosen(client, gallery, file):
    names = await play(client, [SIGN_UP])
    before = await offered(client, names)
    said = await gallery("add", str(file), "--group", "female", "--name", "Mika")
    assert said == (0, "Mika was added as picture 11\n", "")
    await gallery("add", str(file), "--group", "robots", "--name", "Äda 2", "--new-group")
    pictures = listed(await gallery("list"))
    assert pictures[11][:2] == ("female", "Mika")
    assert pictures[12][:2] == ("robots", "Äda 2")
    mika, ada = (str(client.make_url(f"/pictures/{pictures[each][2]}")) for each in (11, 12))
    female = [*before["female"], {"id": 11, "name": "Mika", "picture": mika}]
    robots = [{"id": 12, "name": "Äda 2", "picture": ada}]
    assert await offered(client, names) == {**before, "female": female, "robots": robots}
    await play(client, [choose(11), profile(picture=mika)], names)
    for side in SIDES:
        answer = await client.session.get(mika, params={"size": side})
        shows(await answer.read(), side)


def of_another(name, number, picture=""):
    asked = profile(name, f"{name}@test.com", id=number, picture=picture)
    return replace(asked, headers=token(f"<{name}>"))


async def test_what_is_removed_is_taken_from_the_accounts(client, gallery, file):
    await gallery("add", str(file), "--group", "female", "--name", "Mika")
    names = await play(client, [SIGN_UP, choose(4), profile(picture="<4 = url>"), choose(11)])
    await play(client, [other("second"), choose(11, "second")], names)
    await play(client, [other("third"), choose(4, "third")], names)
    before = await offered(client, names)
    mika = before["female"].pop()["picture"]
    gone = "picture {} was removed; {} now without a picture\n"
    assert await gallery("remove", "11") == (0, gone.format(11, "2 accounts are"), "")
    assert await offered(client, names) == before
    assert (await client.session.get(mika)).status == 404
    refused = {"success": False, "error": "Invalid picture id."}
    rows = [profile(), of_another("second", 2), of_another("third", 3, "<4>")]
    await play(client, [*rows, replace(choose(11), status=400, response=refused)], names)
    assert await gallery("remove", "4") == (0, gone.format(4, "1 account is"), "")
    await play(client, [of_another("third", 3)], names)
    assert await gallery("remove", "10") == (0, gone.format(10, "0 accounts are"), "")
    # An id is never given again: who had chosen Mika would be shown as somebody else.
    _, out, _ = await gallery("add", str(file), "--group", "female", "--name", "Ada")
    assert out == "Ada was added as picture 12\n"


async def test_what_was_removed_is_not_drawn_again(client, gallery, settings):
    """However often a server starts, and when there is none left at all."""
    names = await play(client, [SIGN_UP])
    await gallery("remove", "3")
    before = listed(await gallery("list"))
    assert list(before) == [1, 2, 4, 5, 6, 7, 8, 9, 10]
    await prepare_database(settings.database_url)
    assert listed(await gallery("list")) == before
    for number in before:
        await client.app[PICTURES].remove_from_gallery(number)
    await prepare_database(settings.database_url)
    assert await offered(client, names) == {"male": [], "female": []}


def is_one_line(text, *words):
    [line] = text.splitlines()
    assert text == f"{line}\n"
    assert line.startswith("latchkey: ")
    assert [word for word in words if word not in line] == [], line


GIVEN = ("--group", "female", "--name", "Mika")
REFUSED = {
    ("add", "nothing.png", *GIVEN): ["nothing.png: No such file or directory"],
    ("add", ".", *GIVEN): [".: Is a directory"],
    ("add", "good.png", "--name", "x", "--group", "femal"): [
        "'femal'",
        "female, male",
        "--new-group",
    ],
    ("add", "good.png", "--name", "x", "--group", "Female"): ["'Female'", "female, male"],
    ("add", "SVG", *GIVEN): ["SVG", "not in a supported format"],
    ("add", "nothing", *GIVEN): ["not in a supported format"],
    ("add", "a JPEG cut off", *GIVEN): ["a JPEG cut off", "damaged or cut off"],
    ("add", "a PNG of 900 million pixels", *GIVEN): ["too many pixels"],
    ("add", "an animated GIF", *GIVEN): ["too long an animation"],
    ("remove", "11"): ["11"],
    ("remove", "0"): ["0"],
    ("remove", "-1"): ["-1"],
    ("remove", str(2**31)): [str(2**31)],
    ("remove", str(2**70)): [str(2**70)],
}


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Files that are no pictures, and good.png, where the command runs."""
    for name, (sent, _) in HOSTILE.items():
        (tmp_path / name).write_bytes(sent)
    (tmp_path / "good.png").write_bytes(PNG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def test_what_can_not_be_done_changes_nothing(files, gallery):
    before = await gallery("list")
    for words, said in REFUSED.items():
        status, out, err = await gallery(*words)
        assert (status, out) == (1, ""), words
        is_one_line(err, *said)
    assert await gallery("list") == before


@pytest.mark.parametrize("option", ["--name", "--group"])
async def test_texts_that_can_not_be_stored(files, gallery, option):
    status, out, err = await gallery(
        "add", "good.png", *GIVEN, "--new-group", option, os.fsdecode(b"\xff")
    )
    assert (status, out) == (1, "")
    is_one_line(err)


def test_a_setting_limits_what_is_added(settings, files, capsys):
    where = replace(settings, picture_max_pixels=5000)
    assert commands.run(["gallery", "add", f"{files}/good.png", *GIVEN], where) == 1
    out, err = capsys.readouterr()
    assert out == ""
    is_one_line(err, "pixels")


@pytest.mark.slow
def test_as_a_program(start, file, files):
    ran = start("add", f"{files}/good.png", *GIVEN, PICTURE_MAX_PIXELS="5000")
    assert (ran.wait(), ran.out) == (1, "")
    is_one_line(ran.err, "pixels")
    ran = start("remove", "99")
    assert (ran.wait(), ran.out) == (1, "")
    is_one_line(ran.err, "the gallery has no picture 99")
    adds = start("add", str(file), *GIVEN)
    assert (adds.wait(), adds.out, adds.err) == (0, "Mika was added as picture 11\n", "")
    removes = start("remove", "11")
    assert (removes.wait(), removes.err) == (0, "")
    assert removes.out == "picture 11 was removed; 0 accounts are now without a picture\n"
    lists = start("list")
    assert list(listed((lists.wait(), lists.out, lists.err))) == list(range(1, 11))


@pytest.mark.parametrize(
    "words", [[], ["draw"], ["add"], ["add", "x.png", "--name", "X"], ["remove"], ["remove", "x"]]
)
def test_too_few_words_are_a_usage(capsys, words):
    with pytest.raises(SystemExit) as ended:
        commands.run(["gallery", *words], Settings())
    assert ended.value.code == 2
    is_one_line(capsys.readouterr().err)


async def test_choosing_what_is_just_being_removed(client, settings):
    """The choice waits for the removal, and then finds that it may not refer to the picture."""
    names = await play(client, [SIGN_UP, choose(5), profile(picture="<5 = url>")])
    wanted = {"success": False, "error": "Invalid picture id."}
    with closing(psycopg2.connect(settings.database_url)) as removing:
        cursor = removing.cursor()
        cursor.execute(
            "delete from picture using gallery where gallery.id = 4 and picture_id = picture.id"
        )
        refused = replace(choose(4), status=400, response=wanted)
        choosing = asyncio.create_task(play(client, [refused], names))
        waiting = 0
        while not waiting and not choosing.done():
            await asyncio.sleep(0.01)
            cursor.execute("select pg_stat_clear_snapshot()")
            cursor.execute("select count(*) from pg_stat_activity where wait_event_type = 'Lock'")
            [(waiting,)] = cursor.fetchall()
        removing.commit()
    await choosing
    await play(client, [profile(picture="<5>")], names)
