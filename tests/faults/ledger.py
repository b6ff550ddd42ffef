"""Load on a server, and the ledger of every answer: a fault is judged by what stands in it."""

import base64
import http.client
import io
import itertools
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self

from PIL import Image

from tests.program import PASSWORD, Client, Program, Response, registration

PAUSE = 0.02
"""Seconds between two requests of one client."""
BROKEN = Response(0, {}, b"")
"""What a client has when its connection broke."""
READS = ("/account/profile", "/auth/users/me", "/fardel/api/auth/profile")


@dataclass(frozen=True)
class Entry:
    """A request of an account's, and its answer. Times are of time.monotonic()."""

    what: str
    name: str
    asked: float
    seconds: float
    answer: Response

    @property
    def status(self) -> int:
        return self.answer.status

    @property
    def answered(self) -> float:
        return self.asked + self.seconds


class Ledger:
    """What was asked and answered, in the order of the answers."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def note(self, what: str, name: str, asked: float, answer: Response) -> Entry:
        """Enter a request that has just been answered."""
        entry = Entry(what, name, asked, time.monotonic() - asked, answer)
        self.entries.append(entry)
        return entry

    def of(self, *what: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.what in what]

    def names(self, what: str, *statuses: int) -> list[str]:
        """Return whose requests of this sort were answered with one of these."""
        return [entry.name for entry in self.of(what) if entry.status in statuses]

    def during(self, start: float, end: float, *what: str) -> list[Entry]:
        """Return what was asked and answered between two moments."""
        return [each for each in self.of(*what) if start <= each.asked and each.answered <= end]


Ask = Callable[..., Entry]
Role = Callable[[Ask], None]


class Load:
    """Clients with a keep-alive connection each, who ask until the `with` is left."""

    def __init__(self, server: Program, roles: Iterable[Role]) -> None:
        self.ledger = Ledger()
        self._port = server.port
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._play, args=(role,)) for role in roles]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _play(self, role: Role) -> None:
        client = Client(self._port)

        def ask(what: str, name: str, *request: Any) -> Entry:
            asked = time.monotonic()
            try:
                client.send(*request)
                answer = client.receive()
            except (OSError, http.client.HTTPException):
                client.close()  # the next request opens another
                answer = BROKEN
            return self.ledger.note(what, name, asked, answer)

        try:
            while not self._over.wait(PAUSE):
                role(ask)
        finally:
            client.close()


def reads(token: str) -> Role:
    """Ask who one is, in one dialect after the other."""
    paths = itertools.cycle(READS)
    return lambda ask: ask("read", "", "GET", next(paths), None, token)


def logs_in(name: str) -> Role:
    login = {"username": name, "password": PASSWORD}
    return lambda ask: ask("login", name, "POST", "/account/login", login)


def registers_and_sets_a_picture(ask: Ask) -> None:
    name = f"n{secrets.token_hex(6)}"
    entry = ask("register", name, "POST", "/account/register", registration(name))
    if entry.status == 200:
        picture = {"picture": png(name)}
        ask(
            "set picture", name, "POST", "/account/set_picture", picture, entry.answer.json["token"]
        )


def sets_a_picture(name: str, token: str) -> Role:
    picture = {"picture": png(name)}
    return lambda ask: ask("set picture", name, "POST", "/account/set_picture", picture, token)


def registers_without_a_session(ask: Ask) -> None:
    name = new_name()
    ask("register in kust", name, "POST", "/auth/users", registration(name))


def new_name() -> str:
    """Make a name; an account's picture has a color that comes from it."""
    return f"n{secrets.token_hex(6)}"


def looks_at(what: str, path: str) -> Role:
    return lambda ask: ask(what, "", "GET", path)


def color(name: str) -> tuple[int, int, int]:
    """Return the color of an account's picture: its own, as good as."""
    red, green, blue = bytes.fromhex(name[1:])[:3]
    return red, green, blue


def png(name: str) -> str:
    """Return the picture of an account, as base64."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16), color(name)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def shows(webp: bytes, name: str) -> bool:
    """Tell whether a picture is the account's, as far as WebP keeps a color."""
    with Image.open(io.BytesIO(webp)) as image:
        found = image.convert("RGB").getpixel((128, 128))
    assert isinstance(found, tuple)
    return all(abs(a - b) < 12 for a, b in zip(found, color(name), strict=True))


def path_of_picture(server: Program, token: str, path: str) -> str:
    """Return where the first picture is that an answer names."""
    answer = server.ask("GET", path, None, token)
    assert answer.status == 200, answer
    found = re.search(rb"/pictures/[\w-]+", answer.body)
    assert found, answer.body
    return found[0].decode()


def check_what_was_promised(server: Program, ledger: Ledger) -> None:
    """Who was told that the registration is done can log in; whose picture is set, has it."""
    tokens = {name: server.log_in(name) for name in ledger.names("register", 200)}
    for entry in ledger.of("register"):
        assert entry.status != 200 or entry.answer.json["token"] == tokens[entry.name]
    for name in ledger.names("register in kust", 200):
        server.log_in(name)
    for name in tokens.keys() & set(ledger.names("set picture", 200)):
        shown = server.ask("GET", path_of_picture(server, tokens[name], "/account/profile"))
        assert shown.status == 200
        assert shows(shown.body, name)


def check_log(log: str, why: str) -> None:
    """It says why which store could not serve, and nothing that is secret."""
    assert re.search(why, log), log[-2000:]
    assert "Traceback" not in log, log[log.index("Traceback") :][:2000]
    assert "never retrieved" not in log
    assert PASSWORD not in log
