"""Where the value of a setting comes from: its variable, or the file of a secret."""

from collections.abc import Mapping
from dataclasses import Field
from pathlib import Path
from typing import Any

from store.errors import BadValue

SECRET = (
    "secret_keys",
    "jwt_signing_keys",
    "database_url",
    "redis_url",
    "mail_url",
    "service_keys",
    "webhooks",
)
"""Never shown. Each may be in a file instead, whose name is in its variable with _FILE."""


class BadSetting(Exception):
    """A setting's value is invalid. The text has its name, its value and what is allowed."""


def file_of(environment: Mapping[str, str], name: str) -> Path | None:
    """Return the file of a secret, None if its variable with _FILE is not set."""
    named = environment.get(f"{name.upper()}_FILE", "").strip()
    return Path(named) if named else None


def text_of(environment: Mapping[str, str], name: str) -> str:
    """Return the text of a setting, from its variable or its file."""
    variable = name.upper()
    text = environment.get(variable, "").strip()
    file = file_of(environment, name) if name in SECRET else None
    if file is None:
        return text
    if text:
        raise BadSetting(f"{variable} and {variable}_FILE are both set: set only one of them")
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as problem:  # a name with NUL, or bytes that are not UTF-8
        reason = getattr(problem, "strerror", None) or "it is not text in UTF-8"
    else:
        if text:
            return text
        reason = "it is empty"
    raise BadSetting(
        f"{variable}_FILE must name a readable file that has the value "
        f"(got {_quoted(str(file))}: {reason})"
    )


def parse_setting(each: "Field[Any]", text: str) -> Any:
    """Return the value of a setting's text. Raises BadSetting with the reason, on one line."""
    reason = ""
    try:
        if "\0" in text:
            raise BadValue("it has a NUL character")
        return each.metadata["parse"](text)
    except BadValue as problem:
        reason = f": {str(problem)[:_LONGEST_REASON]}"
    except ValueError:
        pass
    shown = "its value is not shown" if each.name in SECRET else f"got {_quoted(text)}"
    must = f"{each.name.upper()} must be {each.metadata['allowed']}"
    raise BadSetting(f"{must} ({shown}){reason}")


_LONGEST_SHOWN = 80
_LONGEST_REASON = 500


def _quoted(text: str) -> str:
    """Return a value on one line, in printable characters, cut when it is long."""
    return ascii(text) if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]!a}..."
