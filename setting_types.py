"""Kinds of settings: a field of Settings with its default, its parser and what is allowed."""

import re
from collections.abc import Callable
from dataclasses import field
from ipaddress import ip_address
from typing import Any


def setting(
    default: Any, parse: Callable[[str], Any], allowed: str, *, is_secret: bool = False
) -> Any:
    """Return a field with this default; `parse` raises ValueError for what is not allowed."""
    metadata = {"parse": parse, "allowed": allowed}
    return field(default_factory=lambda: default, metadata=metadata, repr=not is_secret)


def whole(default: int, low: int, high: int) -> Any:
    """Return a field for a whole number."""

    def parse(text: str) -> int:
        # Python's int takes other scripts' digits and underscores, too.
        if not re.fullmatch("[0-9]{1,20}", text) or not low <= int(text) <= high:
            raise ValueError
        return int(text)

    return setting(default, parse, f"a whole number from {low} to {high}")


def seconds(default: float, low: float, high: float) -> Any:
    """Return a field for a number of seconds."""

    def parse(text: str) -> float:
        if not re.fullmatch(r"[0-9]*\.?[0-9]+", text) or not low <= float(text) <= high:
            raise ValueError
        return float(text)

    return setting(default, parse, f"a number of seconds from {low:g} to {high:g}")


def one_of(default: str, *choices: str) -> Any:
    """Return a field for one of these words."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError
        return text

    return setting(default, parse, " or ".join(choices))


def own_host(default: str) -> Any:
    """Return a field for an address or a name of this machine."""

    def parse(text: str) -> str:
        host = text[1:-1] if re.fullmatch(r"\[.+\]", text) else text
        if ":" in host:
            return str(ip_address(host))
        labels = host.encode("idna").decode().removesuffix(".").split(".")
        valid = "[a-zA-Z0-9_]([a-zA-Z0-9_-]*[a-zA-Z0-9_])?"
        if not all(re.fullmatch(valid, each) for each in labels):
            raise ValueError
        return ".".join(labels)

    return setting(default, parse, "an address of this machine, or a name of it")
