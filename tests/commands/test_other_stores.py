"""All accounts move from the embedded stores to others, by the lines of docs/operating.md."""

import re
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.program import KEY, ROOT, Program
from tests.store.databases import ask, own_database

PAGE = (ROOT / "docs/operating.md").read_text()
EXPORT, IMPORT = (
    shlex.split(command)
    for command in re.findall(
        r"^ {4}python server\.py (account .* all\.jsonl)$", PAGE, re.MULTILINE
    )
)


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lk-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


def run(words: list[str], place: Path, **where: str) -> str:
    """Run a command of the page, its file in the place of the test; it must succeed."""
    words = [str(place / word) if word == "all.jsonl" else word for word in words]
    with Program(*words, **where) as ran:
        assert ran.wait() == 0, ran.err
        return ran.out


@pytest.mark.slow
def test_from_the_embedded_stores_to_others(stores, place):
    """To a PostgreSQL of one's own, and to new embedded stores, as of its next major version."""
    old = {"DATA_DIR": str(place / "data")}
    with Program(**old) as server:
        server.serve()
        token = server.register("mika")
        assert server.ask("POST", "/account/set_picture", {"id": 6}, token).status == 200
        picture = server.ask("GET", "/account/profile", None, token).json["data"]["picture"]
        assert picture
    assert run(EXPORT, place, **old) == ""
    with own_database(stores) as url:
        run(IMPORT, place, DATABASE_URL=url, REDIS_URL=stores[1], SECRET_KEYS=KEY)
        shown = """select username, gallery.id from account join gallery using (picture_id)"""
        assert ask(url, shown) == [("mika", 6)]
    (place / "data").rename(place / "data.old")
    with Program(**old) as server:
        server.serve()
        assert "1 account imported" in run(IMPORT, place, **old)
        token = server.log_in("mika")
        data = server.ask("GET", "/account/profile", None, token).json["data"]
        assert data["id"] == 1
        path = re.sub("^https?://[^/]*", "", data["picture"])
        assert server.ask("GET", path).status == 200
