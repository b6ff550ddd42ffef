import pytest

from store.common_passwords import FILE, is_listed
from tools.common_passwords import make_words

WORDS = FILE.read_text().splitlines()


def test_the_file_is_made_from_the_lists_of_zxcvbn():
    assert FILE.read_text() == make_words()
    assert len(WORDS) > 60_000


def test_each_line_is_found():
    assert [word for word in WORDS if not is_listed(word)] == []


def test_what_lies_beside_a_line_is_not_found():
    """Shorter, longer, before and after each thousandth line, and both ends of the file."""
    listed = set(WORDS)
    beside = [
        near
        for word in [*WORDS[::1000], WORDS[0], WORDS[-1]]
        for near in (word[:-1], word[1:], f"{word}0", f"{word}~", f" {word}", f"{word[:-1]}\uffff")
        if near not in listed
    ]
    assert len(beside) > 200
    assert [word for word in beside if is_listed(word)] == []


@pytest.mark.parametrize(
    "word", ["", "\n", "password\n", "\npassword", "1029384756\npassword", "\ud800", "zzzzzz" * 40]
)
def test_what_is_not_a_line_is_not_found(word):
    assert not is_listed(word)
