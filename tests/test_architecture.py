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
    named = [name for name in found if name.endswith("/") and not (ROOT / name).is_dir()]
    missing += [name for name in named if name[:-1] not in directories]
    assert missing == []


def test_the_page_names_every_package():
    inits = [*ROOT.glob("*/__init__.py"), *ROOT.glob("*/*/__init__.py")]
    packages = {init.parent.relative_to(ROOT).as_posix() for init in inits}
    packages = {package for package in packages if package.partition("/")[0] != "tests"}
    assert {"handlers/internal", "webhooks"} <= packages
    page = (ROOT / "docs/architecture.md").read_text()
    assert [package for package in sorted(packages) if f"`{package}/`" not in page] == []
