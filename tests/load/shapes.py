"""What an answer must look like: JSON with patterns and types in the place of what varies."""

import re
from typing import Any

TOKEN_40 = re.compile(r"[0-9a-f]{40}")
TOKEN_64 = re.compile(r"[0-9a-f]{64}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z")
DATE = re.compile(r"\d\d-\d\d-\d{4}")
PICTURE = re.compile(r"https?://[^/]+/pictures/[\w-]{22}")
TEXT = re.compile(r".+")


def difference(expected: Any, found: Any, where: str = "answer") -> str:
    """Say where an answer is not what it must be; "" when it is.

    A type stands for anything of it, a pattern for every string that it matches as a whole.
    """
    if isinstance(expected, dict) and isinstance(found, dict) and expected.keys() == found.keys():
        parts = [(expected[key], found[key], f"{where}.{key}") for key in expected]
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        parts = [(*pair, f"{where}[]") for pair in zip(expected, found, strict=True)]
    elif _is(expected, found):
        return ""
    else:
        return f"{where} is {found!r:.200}, not {expected!r:.200}"
    return next(filter(None, (difference(*part) for part in parts)), "")


def _is(expected: Any, found: Any) -> bool:
    if isinstance(expected, type):
        return type(found) is expected  # True is no number
    if isinstance(expected, re.Pattern):
        return isinstance(found, str) and expected.fullmatch(found) is not None
    return type(expected) is type(found) and expected == found
