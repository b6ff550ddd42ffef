"""`events`: what was done to accounts, as a terminal and as other programs see it."""

import getpass
import json
import re

import pytest

from tests.program import KEY, Program

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  (.*)")


@pytest.fixture
def deployment(stores, clean):
    return {
        "DATABASE_URL": stores[0],
        "REDIS_URL": stores[1],
        "SECRET_KEYS": KEY,
        "EVENTS": "on",
    }


def run(deployment, *words):
    """Run a command that succeeds; return its lines."""
    with Program(*words, **deployment) as ran:
        assert ran.wait() == 0, ran.err
        return ran.out.splitlines()


def told(lines):
    return [re.sub(" +", " ", LINE.fullmatch(line)[1]) for line in lines]


def test_the_audit_trail(deployment):
    """Of an account, of a command, and of what one goes on to see."""
    who = f"by operator {getpass.getuser()}"
    with Program(**deployment) as server:
        server.serve()
        server.register("mika")
        server.register("kim")
        run(deployment, "account", "set", "mika", "city=Kyiv", "first_name=Mika")
        run(deployment, "sessions", "end", "mika")
        run(deployment, "account", "delete", "mika", "--yes")
        expected = [
            "account.created 1 mika by account mika",
            "account.created 2 kim by account kim",
            f"account.changed 1 mika {who} city, first_name",
            f"sessions.ended 1 mika {who}",
            f"account.deleted 1 mika {who}",
        ]
        assert told(run(deployment, "events")) == expected
        assert told(run(deployment, "events", "--limit", "2")) == expected[-2:]
        assert told(run(deployment, "events", "--account", "kim")) == expected[1:2]
        assert told(run(deployment, "events", "--account", "id:1")) == expected[:1] + expected[2:]
        assert told(run(deployment, "events", "--type", "account.created")) == expected[:2]
        as_json = [json.loads(line) for line in run(deployment, "events", "--json")]
        assert [each["type"] for each in as_json] == [line.split()[0] for line in expected]
        after = as_json[3]["cursor"]
        assert told(run(deployment, "events", "--after", after)) == expected[4:]
        with Program("events", "--limit", "1", "--follow", **deployment) as following:
            following.say("account.deleted")
            server.register("lee")
            following.say("account.created +3 lee  by account lee\n")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--after", "yesterday"], "argument --after: that is not a cursor of an event"),
        (["--limit", "0"], "argument --limit: a whole number above 0 is required"),
        (["--type", "login"], "argument --type: invalid choice"),
        (["--limit", "1", "--after", "1-1"], "argument --after: not allowed with"),
    ],
)
def test_arguments_that_are_not_valid(deployment, words, problem):
    with Program("events", *words, **deployment) as ran:
        assert ran.wait() == 2
        assert problem in ran.err


def test_a_cursor_of_another_database(deployment):
    with Program("events", "--after", "ffffffffffff-1", **deployment) as ran:
        assert ran.wait() == 1
        assert ran.err == ("latchkey: events after this cursor were deleted because of their age\n")


def test_imported_accounts_and_ended_sessions_are_events(deployment, tmp_path):
    who = f"by operator {getpass.getuser()}"
    file = tmp_path / "accounts.csv"
    file.write_text("username,password\nann,!\nben,!\n")
    run(deployment, "account", "import", str(file))
    run(deployment, "sessions", "end", "--all", "--yes")
    assert told(run(deployment, "events")) == [
        f"account.created 1 ann {who}",
        f"account.created 2 ben {who}",
        f"sessions.ended 1 ann {who}",
        f"sessions.ended 2 ben {who}",
    ]
