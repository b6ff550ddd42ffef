"""Parses mounts: where each dialect responds, and its options.

DIALECTS has the short form, `name=/prefix?option=value&option=value`. DIALECTS_FILE names a TOML
file with a table for each dialect, which stays readable with ten options:

    [wicare]
    prefix = "/v1"
    sessions = "per-login"

A dialect declares its options in a frozen dataclass: a field for each, with a default and a type
that is a Literal of strings, str, bool, int or a tuple of strings. `__post_init__` may raise
BadValue for values that do not go together. Handlers read the options from the application.
"""

import dataclasses
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handlers.routes import Dialect
from store.account import FactorRule
from store.errors import BadValue

FORM = "name=/prefix or name=/prefix?option=value&…, each name once, separated by spaces"

SECOND_FACTOR = "second-factor"
"""The option that every dialect has, except for those that ask for a second factor."""
ASKING = frozenset({"latchkey"})
_PREFIX = re.compile(r"/[\w.~/-]*", re.ASCII)
_SWITCH = {"on": True, "off": False}


@dataclass(frozen=True, slots=True)
class Mount:
    """The path prefix of a dialect, besides its name, and its options; None for the defaults.

    `second_factor` is what logins of accounts with a second factor need (handlers/logins.py).
    """

    prefix: str = "/"
    options: Any = None
    second_factor: FactorRule = "otp"

    @property
    def base(self) -> str:
        """The prefix without a trailing slash."""
        return self.prefix.rstrip("/")


def parse_mounts(text: str, dialects: Mapping[str, Dialect]) -> dict[str, Mount]:
    """Return the mounts that DIALECTS lists. Raises ValueError, and BadValue with the reason."""
    mounts: dict[str, Mount] = {}
    for word in text.split():
        name, _, rest = word.partition("=")
        prefix, has_options, options = rest.partition("?")
        if name not in dialects or not _PREFIX.fullmatch(prefix):
            raise ValueError(word)
        if name in mounts:
            raise BadValue(f"{name} is there twice")
        given = dict(_pairs(name, options)) if has_options else {}
        mounts[name] = _mount(name, prefix, dialects[name].options, given)
    if not mounts:
        raise ValueError(text)
    return mounts


def read_mounts(file: Path, dialects: Mapping[str, Dialect]) -> dict[str, Mount]:
    """Return the mounts of a TOML file. Raises BadValue with the reason."""
    import tomllib  # noqa: PLC0415  # most servers have no such file

    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadValue(f"it cannot be read: {error.strerror}") from None
    except ValueError as error:  # of TOML, or of UTF-8
        raise BadValue(f"it is not TOML: {error}") from None
    mounts: dict[str, Mount] = {}
    for name, table in tables.items():
        if name not in dialects:
            raise BadValue(f"{name!r} is not a dialect; the dialects are {', '.join(dialects)}")
        if not isinstance(table, dict):
            raise BadValue(f"{name} must be a table: [{name}]")
        given = {option.replace("_", "-"): value for option, value in table.items()}
        prefix = given.pop("prefix", "/")
        if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
            raise BadValue(f"{name}: prefix must be a path that begins with /")
        mounts[name] = _mount(name, prefix, dialects[name].options, given)
    if not mounts:
        raise BadValue("it has no dialect")
    return mounts


def check_path(name: str, path: str) -> None:
    """Check a path that an option gives an endpoint. Raises BadValue."""
    if not re.fullmatch(r"(/(?!\.{1,2}(/|$))[\w.~-]+)+/?", path, re.ASCII):
        raise BadValue(f"{name.replace('_', '-')} must be a path such as /auth/login")


def _mount(name: str, prefix: str, defaults: Any, given: Mapping[str, Any]) -> Mount:
    if re.search(r"//|/\.{1,2}(/|$)", prefix):
        raise BadValue("no client ever asks for a path with //, /./ or /../ in it")
    others = {option: value for option, value in given.items() if option != SECOND_FACTOR}
    if name in ASKING:
        return Mount(prefix, parse_options(name, defaults, given), "ask")
    rule = given.get(SECOND_FACTOR, "otp")
    if rule not in ("otp", "exempt", "forbid"):
        raise BadValue(f"{name}: {SECOND_FACTOR} must be otp, exempt or forbid")
    return Mount(prefix, parse_options(name, defaults, others), rule)


def parse_options(name: str, defaults: Any, given: Mapping[str, Any]) -> Any:
    """Return the options of the dialect `name`: its defaults but for those given.

    A given value is text in the short form, and a value of TOML in a file. Raises BadValue with
    the reason.
    """
    types = typing.get_type_hints(type(defaults))
    known = {each.name.replace("_", "-"): each.name for each in dataclasses.fields(defaults)}
    changes: dict[str, Any] = {}
    for option, value in given.items():
        if option not in known:
            allowed = f"its options are {', '.join(known)}" if known else "it has none"
            raise BadValue(f"{name} has no option {option!r}; {allowed}")
        changes[known[option]] = _parse_option(name, option, types[known[option]], value)
    try:
        return dataclasses.replace(defaults, **changes)
    except BadValue as problem:
        raise BadValue(f"{name}: {problem}") from None


def _pairs(name: str, options: str) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for each in options.split("&"):
        option, equals, text = each.partition("=")
        if not (option and equals and text):
            raise BadValue(f"{name} has {each!r} where option=value is expected")
        if option in dict(pairs):
            raise BadValue(f"{name} has {option} twice")
        pairs.append((option, text))
    return pairs


def _parse_option(name: str, option: str, kind: Any, value: Any) -> Any:
    if kind is int:
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        if isinstance(value, str) and re.fullmatch(r"\d{1,18}", value, re.ASCII):
            return int(value)
        raise BadValue(f"{name}: {option} must be a whole number")
    if kind is str:
        if isinstance(value, str):
            return value
        raise BadValue(f"{name}: {option} must be text")
    if typing.get_origin(kind) is tuple:
        words = value.split(",") if isinstance(value, str) else value
        if isinstance(words, list) and words and all(isinstance(each, str) for each in words):
            return tuple(words)
        raise BadValue(f"{name}: {option} must be a list of texts")
    if kind is bool and isinstance(value, bool):
        return value
    choices = _SWITCH if kind is bool else {each: each for each in typing.get_args(kind)}
    if not isinstance(value, str) or value not in choices:
        raise BadValue(f"{name}: {option} must be {' or '.join(choices)}")
    return choices[value]
