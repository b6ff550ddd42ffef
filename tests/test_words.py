"""Documents are in plain technical English: these words stay out of them."""

import re

import pytest

from tests.pages import PAGES, ROOT

DOCUMENTS = sorted(
    {
        *PAGES,
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "clients").glob("*/README.md"),
        *(ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md", "RELIABILITY.md")),
        *(ROOT / name for name in ("CHANGELOG.md", "bench/NOTES.md")),
    }
)

BANNED = {
    "anew": "again",
    "everybody's": "name the owner",
    "for ever": "forever, or say until when",
    "gladly": "leave it out",
    "hangs up": "disconnects",
    "lately": "recently, or say how long",
    "meanwhile": "at the same time, or name the other event",
    "nobody's": "name what is missing",
    "of its own": "its own, separate",
    "of one's own": "uploaded, separate",
    "of their own": "their own, separate",
    "tell whether": "whether, or return whether",
    "tells whether": "whether, or returns whether",
    "who asks": "the caller, the client",
    "whoever": "a client that, an operator who",
}
"""Each with what to write instead."""

CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)
WORDS = re.compile(
    r"(?<!\w)({})(?!\w)".format("|".join(each.replace(" ", r"\s+") for each in BANNED)),
    re.IGNORECASE,
)


def name_of(document):
    return str(document.relative_to(ROOT))


def banned_words(text):
    """Return each banned word that a text has outside of code, as it is in BANNED."""
    return [" ".join(word.lower().split()) for word in WORDS.findall(CODE.sub("", text))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_words(document):
    found = [f"{word}: {BANNED[word]}" for word in banned_words(document.read_text())]
    assert found == []


def test_words_are_found():
    text = "Whoever asks\nfor\never; a whoeverness, `anew`, ```\nlately\n``` and of its own."
    assert banned_words(text) == ["whoever", "for ever", "of its own"]
