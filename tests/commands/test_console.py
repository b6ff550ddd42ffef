"""What commands print: names that somebody else chose are escaped, and none goes another way."""

import ast
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands.console import as_json, print_error, print_text, printable
from tests.program import ROOT

PRINTS = {"console.py", "serving.py"}
"""The console escapes what it prints; the log lines of a server contain no name."""


@given(st.text())
def test_nothing_that_can_not_be_seen_is_printed(text):
    shown = printable(text)
    assert shown.isprintable()
    assert shown.isascii() or not any(
        unicodedata.category(each) in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp") for each in shown
    )
    assert printable(shown) == shown


@given(st.dictionaries(st.text(), st.text()))
def test_json_is_the_same_value_and_writes_on_no_terminal(value):
    for indent in (None, 2):
        written = as_json(value, indent)
        assert all(line.isprintable() for line in written.split("\n"))
        assert json.loads(written) == value


@pytest.mark.parametrize("text", ["kim", "Åsa Öberg", "हिन्दी", "\U0001f511", 'a "b" \\c'])
def test_what_can_be_seen_stands_as_it_is(text):
    assert printable(text) == text


def test_a_complaint_is_one_line_and_lines_stay_lines(capsys):
    print_error("a\nb\x1b")
    print_text("a\nb\x1b")
    out, err = capsys.readouterr()
    assert (out, err) == ("a\nb\\x1b\n", "latchkey: a\\x0ab\\x1b\n")


def test_no_command_prints_by_itself():
    """A new one would forget to escape."""
    for file in (ROOT / "commands").rglob("*.py"):
        calls = [
            node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)
        ]
        named = {node.func.id for node in calls if isinstance(node.func, ast.Name)}
        assert ("print" in named) == (file.name in PRINTS), file
