"""docs/contracts/options.md has every option of every dialect, as the code declares it."""

import dataclasses
import re
import typing
from pathlib import Path
from typing import Any

import pytest

from handlers import DIALECTS

PAGE = (Path(__file__).parent.parent.parent.parent / "docs/contracts/options.md").read_text()
CELLS = ("option", "dialects", "values", "default", "setting", "effect")


def table() -> dict[tuple[str, str], dict[str, str]]:
    """Return the cells of the row of each dialect and option."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for line in re.findall(r"^\| (`.+) \|$", PAGE, re.MULTILINE):
        row = dict(zip(CELLS, line.split(" | "), strict=True))
        for dialect in row["dialects"].split(", "):
            key = dialect.strip("`"), row["option"].strip("`")
            assert key not in found, f"{key} has two rows in docs/contracts/options.md"
            found[key] = row
    return found


def written(value: Any) -> str:
    """Return a default as the table has it."""
    if isinstance(value, bool):
        return "`on`" if value else "`off`"
    text = ",".join(value) if isinstance(value, tuple) else str(value)
    return f"`{text}`" if text else "none"


OPTIONS = {
    (name, field.name.replace("_", "-")): field
    for name, dialect in DIALECTS.items()
    for field in dataclasses.fields(dialect.options)
}


@pytest.mark.parametrize(("dialect", "option"), OPTIONS)
def test_every_option_has_a_row(dialect: str, option: str):
    field = OPTIONS[dialect, option]
    default = written(getattr(DIALECTS[dialect].options, field.name))
    row = table().get((dialect, option))
    assert row, (
        f"docs/contracts/options.md has no row for this option. Add `{dialect}` to the row of the "
        f"same option of another dialect, if values and default are the same, or add a row: "
        f"| `{option}` | `{dialect}` | <values> | {default} | <setting of the library> | <effect> |"
    )
    assert row["default"] == default, f"the row of {option} of {dialect} has another default"
    kind = typing.get_type_hints(type(DIALECTS[dialect].options))[field.name]
    choices = ("on", "off") if kind is bool else typing.get_args(kind)
    if typing.get_origin(kind) is not tuple and choices:
        assert row["values"] == ", ".join(f"`{each}`" for each in choices)
    assert all(row.values()), f"the row of {option} of {dialect} has an empty cell"


def test_every_row_is_an_option():
    unknown = table().keys() - OPTIONS.keys()
    assert not unknown, (
        f"docs/contracts/options.md has rows of options that do not exist: {unknown}"
    )


def test_the_page_names_the_dialects_that_have_none():
    [line] = re.findall(r"^(.+) have no other options\.$", PAGE, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", line)) == {*DIALECTS} - {name for name, _ in OPTIONS}
