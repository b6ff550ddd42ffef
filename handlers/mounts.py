"""Parses DIALECTS: the mount of each dialect, `name=/prefix?option=value&option=value`.

A dialect declares its options in a frozen dataclass: a field for each, with a default and a type
that is a Literal of strings, bool or int. Handlers read the options from the application.
"""

import dataclasses
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from handlers.routes import Dialect
from store.errors import BadValue

FORM = "name=/prefix or name=/prefix?option=value&…, each name once, separated by spaces"

_PREFIX = re.compile(r"/[\w.~/-]*", re.ASCII)
_SWITCH = {"on": True, "off": False}


@dataclass(frozen=True, slots=True)
class Mount:
    """The path prefix of a dialect, besides its name, and its options; None for the defaults."""

    prefix: str = "/"
    options: Any = None

    @property
    def base(self) -> str:
        """The prefix without a trailing slash."""
        return self.prefix.rstrip("/")


def parse_mounts(text: str, dialects: Mapping[str, Dialect]) -> dict[str, Mount]:
    """Return the mounts that a text lists. Raises ValueError, and BadValue with the reason."""
    mounts: dict[str, Mount] = {}
    for word in text.split():
        name, _, rest = word.partition("=")
        prefix, has_options, options = rest.partition("?")
        if name not in dialects or not _PREFIX.fullmatch(prefix):
            raise ValueError(word)
        if re.search(r"//|/\.{1,2}(/|$)", prefix):
            raise BadValue("no client ever asks for a path with //, /./ or /../ in it")
        if name in mounts:
            raise BadValue(f"{name} is there twice")
        given = dict(_pairs(name, options)) if has_options else {}
        mounts[name] = Mount(prefix, parse_options(name, dialects[name].options, given))
    if not mounts:
        raise ValueError(text)
    return mounts


def parse_options(name: str, defaults: Any, given: Mapping[str, str]) -> Any:
    """Return the options of the dialect `name`: its defaults but for those given.

    Raises BadValue with the reason.
    """
    types = typing.get_type_hints(type(defaults))
    known = {each.name.replace("_", "-"): each.name for each in dataclasses.fields(defaults)}
    changes: dict[str, Any] = {}
    for option, text in given.items():
        if option not in known:
            allowed = f"its options are {', '.join(known)}" if known else "it has none"
            raise BadValue(f"{name} has no option {option!r}; {allowed}")
        changes[known[option]] = _parse_option(name, option, types[known[option]], text)
    return dataclasses.replace(defaults, **changes)


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


def _parse_option(name: str, option: str, kind: Any, text: str) -> Any:
    if kind is int:
        if re.fullmatch(r"\d{1,18}", text, re.ASCII):
            return int(text)
        raise BadValue(f"{name}: {option} must be a whole number")
    choices = _SWITCH if kind is bool else {each: each for each in typing.get_args(kind)}
    if text not in choices:
        raise BadValue(f"{name}: {option} must be {' or '.join(choices)}")
    return choices[text]
