"""Every secret that the tests use, every line that is logged meanwhile, and whether they meet."""

import functools
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from handlers.internal import service_keys
from store.jwt_tokens import JwtTokens
from store.one_time_tokens import OneTimeTokens
from store.passwords import Passwords
from store.tokens import Tokens
from telemetry.log import RequestLog, TextFormatter

_HEX = re.compile(r"[0-9a-f]{40,}")
SHORTEST, LONGEST = 8, 4096
"""Characters of a password that is looked for: a shorter one may stand in a line by chance, a
longer one would stand out, and to look at one takes the event loop 10 ms a megabyte."""


class Watch(logging.Handler):
    """Gathers secrets and lines; `leaks` are the secrets that stand in the lines."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(TextFormatter())
        self.tokens: set[str] = set()
        self.passwords: set[str] = set()
        self.links: set[str] = set()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what is logged."""
        self.lines.append(self.format(record))

    def note_password(self, password: object) -> None:
        """Remember a password, if it can be told from anything else: by its length, for one."""
        if not isinstance(password, str) or password.strip().lower() == "password":
            return
        if SHORTEST <= len(password) <= LONGEST and len(set(password)) > 3:
            self.passwords.add(password)

    def leaks(self) -> set[str]:
        """Return the secrets that were logged."""
        text = "\n".join(self.lines)
        hexes = _HEX.findall(text)
        tokens = {token for token in self.tokens if any(token in run for run in hexes)}
        return tokens | {each for each in self.passwords | self.links if each in text}


WATCH = Watch()


@contextmanager
def watching(patch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """Watch this process: its tokens, its passwords, its service keys, its two kinds of log."""

    def derive(original: Callable[..., str], *args: Any) -> str:
        token = original(*args)
        WATCH.tokens.add(token)
        return token

    def link(original: Callable[..., str], *args: Any) -> str:
        token = original(*args)
        WATCH.links.add(token)
        return token

    async def note(original: Callable[..., Any], self: Passwords, password: str, *rest: Any) -> Any:
        WATCH.note_password(password)
        return await original(self, password, *rest)

    def digest(original: Callable[[str], bytes], key: str) -> bytes:
        WATCH.note_password(key)
        return original(key)

    def flush(original: Callable[..., None], self: RequestLog) -> None:
        WATCH.lines += [self._format(each) for each in self._entries]
        original(self)

    for owner, name, ours in (
        (Tokens, "derive", derive),
        (OneTimeTokens, "make", link),
        (JwtTokens, "sign", link),
        (Passwords, "hash", note),
        (Passwords, "verify", note),
        (RequestLog, "flush", flush),
    ):
        patch.setattr(owner, name, functools.partialmethod(_around, ours, getattr(owner, name)))
    patch.setattr(service_keys, "_digest", functools.partial(digest, service_keys._digest))
    # `serve`, run in this process, would take all handlers away from every later test.
    patch.setattr("telemetry.log.set_up", lambda *_, **__: None)
    logging.getLogger().addHandler(WATCH)
    yield WATCH
    logging.getLogger().removeHandler(WATCH)


def _around(self: Any, ours: Callable[..., Any], original: Callable[..., Any], *args: Any) -> Any:
    return ours(original, self, *args)
