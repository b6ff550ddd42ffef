"""A phone with one account: what every dialect's users do, and how answers are looked at."""

import secrets
import struct
import zlib
from typing import Any

from locust import FastHttpUser, between, task
from locust.exception import RescheduleTask, StopUser
from shapes import DATE, difference

PASSWORD = "a walk in the park"
PROFILE = "/lumotist/account/profile"
HASHED = " (bcrypt)"
"""Behind the names of requests that take bcrypt's time."""
OVER = {"detail": "Invalid token."}


class Phone(FastHttpUser):
    """A user of one dialect, which a subclass speaks: `register`, `log_in` and `log_out`."""

    abstract = True
    wait_time = between(0.5, 2)
    dialect = ""

    def on_start(self) -> None:
        """Make an account."""
        self.name = f"{self.dialect}-{secrets.token_hex(6)}"
        self.email = f"{self.name}@example.com"
        self.address = random_address()
        self.picture: Any = ""
        try:
            self.token = self.register()
        except RescheduleTask:  # there is nothing to do without an account
            raise StopUser from None

    def register(self) -> str:
        """Make the account and return its token."""
        raise NotImplementedError

    def log_in(self) -> str:
        """Return the account's token."""
        raise NotImplementedError

    def log_out(self) -> None:
        """End the session."""
        raise NotImplementedError

    @task(100)
    def read(self) -> None:
        """Look at the profile: what phones do nearly all of the time."""
        self.read_profile()

    @task(1)
    def log_in_again(self) -> None:
        """Log in while logged in: the answer is the token there is."""
        if self.log_in() != self.token:
            self.complain("login", "another token, while the first one lives")

    @task(1)
    def leave_and_return(self) -> None:
        """Log out, be refused, log in."""
        self.log_out()
        over = self.token
        self.token = self.log_in()
        if self.token == over:
            self.complain("login", "the token of a session that was ended")
        self.get(PROFILE, OVER, over, status=401, name=f"{PROFILE} (logged out)")
        self.read_profile()

    def read_profile(self) -> Any:
        """Read the account through lumotist: a session of one dialect is good in all."""
        data = {"id": int, "username": self.name, "email": self.email}
        data |= {"created": DATE, "picture": self.picture}
        return self.get(PROFILE, {"success": True, "data": data})

    def get(self, path: str, expected: Any, token: str = "", **others: Any) -> Any:
        """GET with the phone's token, or another."""
        return self.ask("GET", path, expected, token=token or self.token, **others)

    def post(self, path: str, expected: Any, data: Any = None, **others: Any) -> Any:
        """POST to a path of the phone's dialect, under that dialect's own name."""
        return self.ask("POST", f"/{self.dialect}{path}", expected, data, **others)

    def enter(self, path: str, expected: Any, data: Any, **others: Any) -> Any:
        """POST a password, which the server has to hash or verify."""
        return self.post(path, expected, data, name=f"/{self.dialect}{path}{HASHED}", **others)

    def ask(
        self,
        method: str,
        path: str,
        expected: Any,
        data: Any = None,
        *,
        token: str = "",
        status: int = 200,
        name: str | None = None,
    ) -> Any:
        """Return what is answered, None for an empty body; anything unexpected is a failure."""
        headers = {"X-Forwarded-For": self.address}
        if token:
            headers["Authorization"] = f"Token {token}"
        sent = {} if data is None else {"json": data}
        if isinstance(data, bytes):
            sent = {"data": data}
            headers["Content-Type"] = "image/png"
        with self.client.request(
            method, path, name=name, headers=headers, catch_response=True, **sent
        ) as response:
            found = _json(response)
            if response.status_code != status:
                response.failure(f"{response.status_code} instead of {status}: {found!r:.200}")
            elif wrong := difference(expected, found):
                response.failure(wrong)
            else:
                response.success()  # whatever its status: this one was expected
                return found
        raise RescheduleTask

    def look_at(self, url: str) -> None:
        """Fetch a picture."""
        with self.client.get(url, name="/pictures/<id>", catch_response=True) as response:
            kind = (response.headers or {}).get("Content-Type")
            if (response.status_code, kind) != (200, "image/webp"):
                response.failure(f"{response.status_code} {kind} instead of a picture")

    def complain(self, what: str, why: str) -> None:
        """Count a failure that shows only beside an earlier answer."""
        self.environment.events.request.fire(
            request_type="CHECK",
            name=f"/{self.dialect} {what}",
            response_time=0,
            response_length=0,
            exception=AssertionError(why),
            context={},
        )


def random_address() -> str:
    """Return an address of one client among many."""
    return ".".join(["10", *(str(secrets.randbelow(256)) for _ in range(3))])


def png() -> bytes:
    """Draw a small picture of one colour."""
    side = 96
    rows = (b"\0" + secrets.token_bytes(3) * side) * side
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def _json(response: Any) -> Any:
    try:
        return response.json() if response.content else None
    except ValueError:
        return response.text
