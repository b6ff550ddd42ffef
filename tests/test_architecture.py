"""The pages about the code name files that are there."""

import re

import pytest

from tests.pages import ROOT
from tools.diagrams import DIAGRAMS

PAGES = [ROOT / "docs/architecture.md", ROOT / "docs/session-protocol.md"]
FILE = re.compile(r"\b[\w/]+\.(?:py|sql)\b|\b[a-z][\w/]*/(?=[\n\"`:,])")
DIRECTORIES = (
    "commands",
    "embedded",
    "handlers",
    "mail",
    "store",
    "telemetry",
    "tests",
    "tools",
    "webhooks",
)


def files_of(text: str) -> list[str]:
    return FILE.findall(text.replace("\\n", "\n"))


@pytest.mark.parametrize("page", [*PAGES, DIAGRAMS / "architecture.dot"], ids=lambda p: p.name)
def test_every_file_that_a_page_names_is_there(page):
    """By its path, or by its name where the page has said before in which directory it is."""
    files = [*ROOT.glob("*.py"), *(path for d in DIRECTORIES for path in (ROOT / d).rglob("*.py"))]
    known = {path.relative_to(ROOT).as_posix() for path in files} | {"schema.sql"}
    names = {part for path in known for part in (path, path.rpartition("/")[2])}
    directories = {path.rpartition("/")[0] for path in known}
    directories |= {parent.rpartition("/")[2] for parent in directories}
    found = files_of(page.read_text())
    assert found
    missing = [name for name in found if not name.endswith("/") and name not in names]
    missing += [name for name in found if name.endswith("/") and name[:-1] not in directories]
    assert missing == []
