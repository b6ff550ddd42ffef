"""`mail`, and what a start says of mail: written to files, sent, or not sent."""

import contextlib
import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg2
import pytest

import embedded
from tests.program import KEY, Program, wait_for

HEAD = "ID      KIND      STATE    CREATED (UTC)        ADDRESS"
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lk-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


@pytest.fixture
def deployment(stores, clean, directory):
    """The settings of a server that writes mail to files."""
    return {
        "DATABASE_URL": stores[0],
        "REDIS_URL": stores[1],
        "SECRET_KEYS": KEY,
        "MAIL_URL": f"file:{directory}/mail",
        "PUBLIC_URL": "https://accounts.example",
    }


def run(*words, **environment):
    """Run the command; return its status and what it printed."""
    with Program("mail", *words, **environment) as ran:
        status = ran.wait()
        return status, ran.out if status == 0 else ran.err


def queue(cursor, kind="verify", address="mika@example.com"):
    cursor.execute(
        """insert into mail (kind, account_id, address, expires)
           select %s, min(id), %s, now() + interval '1 hour' from account""",
        (kind, address),
    )


def files(directory):
    return sorted((directory / "mail").glob("*.eml"))


def test_messages_in_files_and_in_the_queue(deployment, database, directory):
    with Program(**deployment) as server, database.cursor() as cursor:
        server.serve()
        server.register("mika")
        cursor.execute("update account set email = 'mika@example.com', email_folded = email")
        for kind in ("verify", "password"):
            queue(cursor, kind)
        assert wait_for(lambda: len(files(directory)) == 2)
        assert f"mail is written to {directory}/mail:" in server.out
    with database.cursor() as cursor:
        queue(cursor, "device", "Mika\x1b[2J@example.com")
    status, said = run("list", **deployment)
    head, *lines = said.splitlines()
    assert (status, head) == (0, HEAD)
    assert [re.sub(r"^\d+ +", "", re.sub(TIME, "<time>", line)) for line in lines] == [
        r"device    waiting  <time>  Mika\x1b[2J@example.com",
        "password  written  <time>  mika@example.com",
        "verify    written  <time>  mika@example.com",
    ]
    status, said = run("show", **deployment)
    assert status == 0
    assert said.startswith("To: mika@example.com\nSubject: Your Latchkey password was changed\n\n")
    status, said = run("show", lines[2].split()[0], **deployment)
    assert status == 0
    assert re.search(r"^    https://accounts\.example/ui/verify-email#[\w-]{50,}$", said, re.M)


def test_nothing_to_show(deployment):
    assert run("list", **deployment) == (0, f"{HEAD}\n")
    assert run("show", **deployment) == (1, "latchkey: no message is in a file\n")
    assert run("show", "7", **deployment) == (
        1,
        "latchkey: no message in a file has the id 7\n",
    )


def test_stores_that_are_not_there(directory):
    for action in ("list", "show"):
        status, said = run(action, DATA_DIR=str(directory / "nowhere"))
        assert status == 1
        assert "DATABASE_URL and REDIS_URL are not set" in said


def test_an_unavailable_database(deployment):
    status, said = run("list", **{**deployment, "DATABASE_URL": "host=127.0.0.1 port=1"})
    assert status == 1
    assert said.startswith("latchkey: postgresql: ")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"MAIL_URL": ""}, "no mail is sent: MAIL_URL is not set"),
        ({"PUBLIC_URL": ""}, "no mail is sent: none of PUBLIC_URL"),
        (
            {"MAIL_URL": "smtp://me:hunter2@mail.example", "MAIL_FROM": "me@mail.example"},
            "mail is sent by mail.example:587\n",
        ),
    ],
)
def test_a_start_says_where_mail_goes(deployment, changes, said):
    with Program(**{**deployment, **changes}) as server:
        assert f"latchkey: {said}" in server.serve().out
        assert "hunter2" not in server.out


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_links_of_the_embedded_stores_lead_to_the_server(directory, workers):
    """Also with PORT=0, when the port is known only once the server listens."""
    data = directory / "data"
    with ExitStack() as stack:
        server = stack.enter_context(Program(DATA_DIR=str(data), WORKERS=workers))
        server.serve()
        server.register("mika")
        url = re.search(r"serving on (http://127\.0\.0\.1:\d+)", server.out)[1]
        connection = psycopg2.connect(embedded.postgresql_url(data.resolve()))
        with contextlib.closing(connection), connection, connection.cursor() as cursor:
            cursor.execute("update account set email = 'mika@example.com', email_folded = email")
            queue(cursor, "reset")
            cursor.execute("update mail set account_id = null")
        [file] = wait_for(lambda: files(data))
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.parent.stat().st_mode & 0o777 == 0o700
        status, said = run("show", DATA_DIR=str(data))
        assert status == 0
        assert f"\n    {url}/ui/reset-password#" in said
