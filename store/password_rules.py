"""Rules for new passwords, after NIST SP 800-63B: a length, and lists of what is guessed first.

There are no composition rules (an upper-case letter, a digit): they make passwords that people
repeat and guessers expect. The rules hold where a password is set, never at a login.
"""

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass

from store.common_passwords import is_listed
from store.errors import BadValue
from store.names import MAX_NAME

MAX_LENGTH = 1024
"""The longest minimum that a rule may ask for, in characters."""

_SIMILAR = 0.7
"""The part of the characters that two similar texts share, as in Django's validator."""


class PasswordProblem(enum.Enum):
    """Why a password is not allowed as a new one."""

    TOO_SHORT = "too_short"
    TOO_COMMON = "too_common"
    TOO_SIMILAR = "too_similar"
    BREACHED = "breached"


@dataclass(frozen=True, slots=True)
class PasswordRules:
    """What a new password must fulfil; the setting PASSWORD_RULES."""

    length: int = 8
    """Characters, at least."""
    common: bool = True
    """Whether common passwords are refused."""
    similar: bool = True
    """Whether passwords like the account's own names are refused."""

    def problems(self, password: str, names: Iterable[str]) -> list[PasswordProblem]:
        """Return what is wrong with a new password of an account with these names.

        `names` are its username and e-mail, those that it has.
        """
        found = []
        if len(password) < self.length:
            found.append(PasswordProblem.TOO_SHORT)
        if self.common and is_common(password):
            found.append(PasswordProblem.TOO_COMMON)
        if self.similar and any(is_similar(password, name) for name in names):
            found.append(PasswordProblem.TOO_SIMILAR)
        return found


def parse_password_rules(text: str) -> PasswordRules:
    """Return the rules that a text names, such as `length=8 common similar`.

    Each rule may be left out. Raises ValueError, and BadValue with the reason.
    """
    words = text.split()
    names = [word.partition("=")[0] for word in words]
    if len(set(names)) < len(names):
        raise BadValue("a rule is there twice")
    length = 1
    for word in words:
        if match := re.fullmatch(r"length=([0-9]{1,4})", word):
            length = int(match[1])
            if not 1 <= length <= MAX_LENGTH:
                raise BadValue(f"length must be from 1 to {MAX_LENGTH}")
        elif word not in ("common", "similar"):
            raise ValueError(text)
    return PasswordRules(length, "common" in words, "similar" in words)


def is_common(password: str) -> bool:
    """Return whether a password is one of the most common, in any case, with spaces around it."""
    stripped = password.strip()
    return len(stripped) <= MAX_NAME and is_listed(stripped.lower())


def is_similar(password: str, name: str) -> bool:
    """Return whether a password is nearly a name, or nearly a word of it."""
    from difflib import SequenceMatcher  # noqa: PLC0415  # 0.2 MB, and most servers only read

    if len(password) > 2 * MAX_NAME:
        return False
    password, name = password.lower(), name.lower()
    return any(
        SequenceMatcher(a=password, b=part).quick_ratio() >= _SIMILAR
        for part in [*re.split(r"\W+", name), name]
        # Lengths this far apart can't be similar, and comparing long strings takes long.
        if part and len(password) <= 2 * len(part) <= 2 * MAX_NAME
    )
