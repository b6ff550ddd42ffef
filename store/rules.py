"""The rules that every name obeys, whatever the dialect: one folding, one limit, one alphabet."""

import re
import unicodedata

MAX_NAME = 254
"""Characters in a username or e-mail, at most. Looked at before anything else touches the string:
NFKC is quadratic in combining marks."""

MAX_FOLDED = 2048
"""Bytes of a folded name, at most: one character can fold to eighteen, and PostgreSQL's index takes
2 704 bytes a row."""

_SURROGATE = re.compile("[\ud800-\udfff]")

_LOCAL = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
_QUOTED = r'"(?:[\x01-\x08\x0b\x0c\x0e-\x1f!#-\[\]-\x7f]|\\[\x01-\x09\x0b\x0c\x0e-\x7f])*"'
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_EMAIL = re.compile(
    rf"(?:{_LOCAL}|{_QUOTED})@(?:localhost|(?:{_LABEL}\.)+(?!-)[a-z0-9-]{{2,63}}(?<!-))",
    re.IGNORECASE | re.ASCII,
)


def is_storable(text: str) -> bool:
    """Tell whether PostgreSQL can keep this string: no NUL, no lone surrogate."""
    return "\0" not in text and _SURROGATE.search(text) is None


def is_nameable(text: str) -> bool:
    """Tell whether this string may be folded, looked up and indexed."""
    return len(text) <= MAX_NAME and is_storable(text) and len(fold(text).encode()) <= MAX_FOLDED


def fold(name: str) -> str:
    """Return the form in which names are compared, whatever the locale.

    Two names have the same one when they are a compatibility caseless match (Unicode, D146). Only
    for names of at most `MAX_NAME` characters.
    """
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFD", name).casefold())
    return unicodedata.normalize("NFKC", folded.casefold())


def is_email(text: str) -> bool:
    """Tell whether this looks like an address of RFC 5321: dot-atom or quoted, at a host name.

    A host of other letters counts in its IDNA form (RFC 3490).
    """
    if len(text) > MAX_NAME:
        return False
    local, _, host = text.rpartition("@")
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            return False
    return _EMAIL.fullmatch(f"{local}@{host}") is not None
