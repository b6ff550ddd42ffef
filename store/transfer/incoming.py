"""What an import is given: accounts as lines of a file have them, and why one can't be imported."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from store.transfer.pictures import Picture


class Kind(enum.StrEnum):
    """Why a line can't be imported."""

    UNREADABLE = "line that can't be read"
    ENCODING = "wrong UTF-8"
    UNKNOWN_COLUMN = "unknown column"
    COLUMN_TWICE = "column given twice"
    NAMELESS = "neither username nor e-mail"
    HASHLESS = "no password hash"
    UNKNOWN_HASH = "unknown hash"
    BAD_VALUE = "bad value"
    TOO_LONG = "too long"
    UNSTORABLE = "can't be stored"
    UNASKED = "with white space around it"
    TAKEN = "taken"
    TWICE = "twice in this file"
    LOST = "taken meanwhile"


OF_THE_FILE = frozenset({Kind.UNKNOWN_COLUMN, Kind.COLUMN_TWICE})
"""What concerns every line of the file, though it is told once."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a line can't be imported.

    `value` is what stands there (never anything of a hash) or a reason; `other` is the account's
    id, the other line or the last line that it concerns.
    """

    line: int
    kind: Kind
    field: str = ""
    value: str = ""
    other: int | None = None


@dataclass(frozen=True, slots=True)
class Incoming:
    """An account of a line: values by column, `password` being the hash.

    Where `is_sound` is false something of the line could not be read; its names still count.
    """

    line: int
    values: Mapping[str, Any]
    is_sound: bool
    picture: Picture | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """How many lines there are, and what becomes of them."""

    lines: int
    new: int
    already_there: int
    with_problems: int
