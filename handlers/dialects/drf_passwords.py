"""The rules for new passwords of Django's four validators, with their messages."""

from collections.abc import Callable, Mapping, Sequence

from store.account import Account
from store.errors import BadValue
from store.password_rules import is_common, is_similar

MIN_LENGTH = 8
NO_RULES = ("none",)
"""The option that switches every rule off."""
SIMILAR = "The password is too similar to the {}."
SHORT = "This password is too short. It must contain at least {} characters."
COMMON = "This password is too common."
NUMERIC = "This password is entirely numeric."

_Rule = Callable[[str, int, Mapping[str, str | None]], str | None]


def password_problems(
    password: str,
    rules: Sequence[str],
    length: int = MIN_LENGTH,
    attributes: Mapping[str, str | None] | None = None,
) -> list[str]:
    """Return the messages of the rules that a new password does not fulfil, in Django's order.

    `rules` are keys of RULES, `length` is the minimum length. `attributes` are what the password
    must not be like, by the name that a message has for each.
    """
    problems = (
        find(password, length, attributes or {}) for name, find in RULES.items() if name in rules
    )
    return [problem for problem in problems if problem]


def check_rules(rules: Sequence[str]) -> None:
    """Check the option `password-rules`. Raises BadValue."""
    if rules != NO_RULES and (unknown := set(rules) - set(RULES)):
        raise BadValue(
            f"password-rules has {min(unknown)!r}; known are {', '.join(RULES)}, or none alone"
        )


def attributes(values: Account | Mapping[str, str]) -> dict[str, str | None]:
    """Return what a password must not be like, by its name in a message."""
    found: Mapping[str, str] = values._asdict() if isinstance(values, Account) else values
    return {
        "username": found.get("username"),
        "first name": found.get("first_name"),
        "last name": found.get("last_name"),
        "email address": found.get("email"),
    }


def _similar(password: str, _: int, attributes: Mapping[str, str | None]) -> str | None:
    like = (name for name, text in attributes.items() if text and is_similar(password, text))
    name = next(like, None)
    return SIMILAR.format(name) if name else None


def _short(password: str, length: int, _: Mapping[str, str | None]) -> str | None:
    return SHORT.format(length) if len(password) < length else None


def _common(password: str, _: int, __: Mapping[str, str | None]) -> str | None:
    return COMMON if is_common(password) else None


def _numeric(password: str, _: int, __: Mapping[str, str | None]) -> str | None:
    return NUMERIC if password.isdigit() else None


RULES: Mapping[str, _Rule] = {
    "similar": _similar,
    "length": _short,
    "common": _common,
    "numeric": _numeric,
}
"""The rules by their name in options."""
