"""Putting something around a method of one object: metrics and traces are no part of the stores."""

from collections.abc import Callable
from functools import partial
from typing import Any


def wrap(owner: Any, method: str, around: Callable[..., Any]) -> None:
    """Have `around`, given the method, called in its place, on this one object."""
    setattr(owner, method, partial(around, getattr(owner, method)))
