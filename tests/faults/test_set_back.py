"""Redis comes back from an older state of itself: what ended sessions then still does.

A snapshot that was restored, or a failover to a replica that had missed the writes.
"""

import contextlib
import shutil
import signal
from collections.abc import Callable, Iterator

import pytest

from tests.faults.breakage import Site, end, redis_of, site
from tests.program import PASSWORD, Program, wait_for

NEW_PASSWORD = "battery staple"
DIALECTS = {
    "wicare": "/wicare/api/auth/login",
    "lumotist": "/lumotist/account/login",
    "kust": "/kust/auth/token/login",
    "cellars": "/cellars/api/login",
}
USES = [
    ("POST", "/wicare/api/auth/logout"),
    ("POST", "/wicare/api/auth/logoutall"),
    ("GET", "/lumotist/account/profile"),
    ("GET", "/lumotist/account/get_pictures"),
    ("POST", "/lumotist/account/set_picture"),
    ("POST", "/lumotist/account/delete"),
    ("POST", "/lumotist/account/logout"),
    ("GET", "/kust/auth/users/me"),
    ("GET", "/kust/user/1"),
    ("POST", "/kust/auth/token/logout"),
    ("POST", "/cellars/api/logout"),
    ("GET", "/fardel/api/auth/profile"),
    ("PUT", "/fardel/api/auth/profile"),
    ("POST", "/fardel/api/auth/refresh-token"),
    ("POST", "/fardel/api/auth/logout"),
    ("POST", "/fardel/api/auth/logout-refresh"),
]
"""Whatever a token can be used for."""
SHOWS = ("/lumotist/account/profile", "/kust/auth/users/me", "/fardel/api/auth/profile")


def end_all(server: Program, place: Site, name: str, tokens: dict[str, str]) -> None:
    ended = server.ask("POST", "/wicare/api/auth/logoutall", None, tokens["wicare"])
    assert ended.status == 204


def change_password(server: Program, place: Site, name: str, tokens: dict[str, str]) -> None:
    change = {"password": NEW_PASSWORD}
    answer = server.ask("PUT", "/fardel/api/auth/profile", change, tokens["fresh"])
    assert answer.status == 200
    assert answer.json["access_token"] not in tokens.values()


def disable(server: Program, place: Site, name: str, tokens: dict[str, str]) -> None:
    set_active(place, name, "false")


def disable_and_enable(server: Program, place: Site, name: str, tokens: dict[str, str]) -> None:
    set_active(place, name, "false")
    set_active(place, name, "true")


def delete(server: Program, place: Site, name: str, tokens: dict[str, str]) -> None:
    answer = server.ask("POST", "/account/delete", None, tokens["lumotist"])
    assert answer.status == 200


def delete_and_register(server: Program, place: Site, name: str, tokens: dict[str, str]) -> None:
    delete(server, place, name, tokens)
    assert server.register(name) not in tokens.values()


def set_active(place: Site, name: str, flag: str) -> None:
    with place.run("account", "set", name, f"is_active={flag}") as command:
        assert command.wait() == 0, command.err


Deed = Callable[[Program, Site, str, dict[str, str]], None]
CAN_LOG_IN: dict[Deed, str | None] = {
    end_all: PASSWORD,
    change_password: NEW_PASSWORD,
    disable: None,
    disable_and_enable: PASSWORD,
    delete: None,
    delete_and_register: PASSWORD,
}
"""What ends all sessions of an account, and the password that logs in afterwards."""


@pytest.fixture
def place() -> Iterator[Site]:
    with site() as place:
        yield place


@pytest.mark.slow
def test_ended_sessions_stay_ended_when_redis_is_set_back(place: Site):
    """Redis comes back as it was before: PostgreSQL knows better, in every dialect."""
    with place.run() as server:
        server.serve()
        untouched = log_in_everywhere(server, "untouched")
        tokens = {deed: log_in_everywhere(server, deed.__name__) for deed in CAN_LOG_IN}
        with redis_set_back_after(place):
            for deed in CAN_LOG_IN:
                deed(server, place, deed.__name__, tokens[deed])
        assert wait_for(lambda: server.ask("GET", "/readyz").status == 200)
        for old in tokens.values():
            assert are_recorded(place, old), "Redis was not set back"
        for deed, old in tokens.items():
            assert {*used(server, old)} == {401}, deed
            check_logins(server, deed.__name__, CAN_LOG_IN[deed], old)
            assert {*used(server, old)} == {401}, deed
        check_untouched(server, untouched)
        assert "Traceback" not in server.err


def log_in_everywhere(server: Program, name: str) -> dict[str, str]:
    """Register an account; return a token of each dialect and kind."""
    server.register(name)
    tokens = {}
    for dialect, path in DIALECTS.items():
        answer = server.ask("POST", path, {"username": name, "password": PASSWORD}).json
        tokens[dialect] = answer.get("token") or answer["auth_token"]
    login = {"email": f"{name}@example.com", "password": PASSWORD}
    pair = server.ask("POST", "/fardel/api/auth/login", login).json
    tokens |= {"fresh": pair["access_token"], "refresh": pair["refresh_token"]}
    refreshed = server.ask("POST", "/fardel/api/auth/refresh-token", None, tokens["refresh"])
    return {**tokens, "access": refreshed.json["access_token"]}


@contextlib.contextmanager
def redis_set_back_after(place: Site) -> Iterator[None]:
    """Do something, and have Redis forget that it was done: it gets its files of before."""
    home, copy = place.path / "redis", place.path / "redis-before"
    end(place.pids()["redis"], signal.SIGTERM)
    shutil.copytree(home, copy)
    place.start("redis")
    yield
    end(place.pids()["redis"], signal.SIGKILL)
    shutil.rmtree(home)
    copy.rename(home)
    place.start("redis")


def are_recorded(place: Site, tokens: dict[str, str]) -> bool:
    """Tell whether Redis has a record of each session that has not been revoked there."""
    with redis_of(place) as client:
        records = client.mget([f"session:{token[: len(token) // 2]}" for token in tokens.values()])
    return all(record and record != b"revoked" for record in records)


def used(server: Program, tokens: dict[str, str]) -> Iterator[int]:
    """Use each token for everything; yield what is answered."""
    with server.client() as client:
        for token in tokens.values():
            for method, path in USES:
                client.send(method, path, {} if method != "GET" else None, token)
                yield client.receive().status


def check_logins(server: Program, name: str, password: str | None, old: dict[str, str]) -> None:
    """Nobody logs in but with the password that is right now; the token is a new one."""
    for tried in (PASSWORD, NEW_PASSWORD):
        login = {"username": name, "password": tried}
        answer = server.ask("POST", "/account/login", login)
        assert answer.status == (200 if tried == password else 400)
        if answer.status == 200:
            assert answer.json["token"] not in old.values()
            profile = server.ask("GET", "/account/profile", None, answer.json["token"])
            assert profile.json["data"]["username"] == name


def check_untouched(server: Program, tokens: dict[str, str]) -> None:
    """What nobody ended is as good as before."""
    for kind, token in tokens.items():
        for path in SHOWS if kind != "refresh" else ():
            assert server.ask("GET", path, None, token).status == 200
    refreshed = server.ask("POST", "/fardel/api/auth/refresh-token", None, tokens["refresh"])
    assert refreshed.status == 200
