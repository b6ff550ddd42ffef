"""The diagrams of the documentation are drawn from their present sources, and are shown."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.pages import PAGES
from tools import diagrams


@pytest.mark.parametrize("source", diagrams.sources(), ids=lambda source: source.name)
def test_a_picture_is_drawn_from_its_present_source(source: Path):
    """If this fails: `make diagrams`."""
    picture = source.with_suffix(".svg").read_text()
    assert picture.startswith(f"<!-- {source.name} {diagrams.digest(source)} -->\n")
    assert ElementTree.fromstring(picture).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314


def test_every_picture_is_shown():
    shown = "".join(page.read_text() for page in PAGES)
    pictures = sorted(diagrams.DIAGRAMS.glob("*.svg"))
    assert len(pictures) == len(diagrams.sources()) > 0
    assert [each.name for each in pictures if f"(diagrams/{each.name})" not in shown] == []


def test_a_sequence_is_drawn_as_it_is_committed():
    """Sequences need no Graphviz."""
    source = diagrams.DIAGRAMS / "logoutall.seq"
    assert source.with_suffix(".svg").read_text().endswith(diagrams.draw_sequence(source))
