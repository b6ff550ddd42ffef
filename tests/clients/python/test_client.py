"""latchkey-client without a framework: both clients, against a real server and other ones."""

import logging
import os
import signal
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from latchkey_client import (
    ApiError,
    Identity,
    LatchkeyClient,
    Unavailable,
    token_of,
)
from tests.clients.python.clients import Run, both, runner
from tests.clients.python.conftest import Latchkey
from tests.clients.python.stranger import Stranger
from tests.handlers.internal.keys import KEYS, TEXT, Scope
from tests.pages import free_port
from tests.program import KEY, Program, Relay

UNKNOWN = "0123456789abcdef" * 4
IMPOSSIBLE = ["", "x y", "x\r\nX-Account-Id: 1", "\xe9", "x" * 5000]
"""What no header carries as a token."""


@both
def test_an_identity_is_complete(latchkey: Latchkey, database, kind: type):
    name = f"\u4e16+{kind.__name__}"
    token, account_id = latchkey.sign_up(name, email=f"{kind.__name__}@example.com")
    with runner(kind, latchkey.url) as run:
        identity = run(lambda client: client.authenticate(token))
        assert len(identity.session_id) == 16
        assert identity == Identity(
            id=account_id,
            username=name,
            email=f"{kind.__name__}@example.com",
            email_verified=False,
            is_staff=False,
            is_superuser=False,
            session_id=identity.session_id,
            session_dialect="latchkey",
            session_kind="device",
        )
        with database.cursor() as cursor:
            cursor.execute(
                "update account set username = null, username_folded = null, is_staff = true,"
                " is_superuser = true, email_verified_at = now() where id = %s",
                (account_id,),
            )
        identity = run(lambda client: client.authenticate(token))
        assert identity.username is None
        assert identity.email_verified
        assert identity.is_staff
        assert identity.is_superuser
        latchkey.log_out(token)
        assert run(lambda client: client.authenticate(token)) is None
        assert run(lambda client: client.authenticate(UNKNOWN)) is None


@both
def test_a_token_that_no_header_carries_is_not_sent(kind: type):
    """There is no server here."""
    with runner(kind, f"http://127.0.0.1:{free_port()}") as run:
        for token in IMPOSSIBLE:
            assert run(lambda client, token=token: client.authenticate(token)) is None


@both
def test_introspection(latchkey: Latchkey, kind: type):
    token, account_id = latchkey.sign_up(f"introspected-{kind.__name__}")
    with runner(kind, latchkey.url, service_key=KEYS[Scope.INTROSPECT]) as run:
        status = run(lambda client: client.introspect(token))
        assert (status.account_id, status.email) == (account_id, None)
        assert timedelta(0) <= datetime.now(UTC) - status.opened < timedelta(minutes=1)
        assert status.expires - status.opened == pytest.approx(
            timedelta(days=14), abs=timedelta(minutes=1)
        )
        latchkey.log_out(token)
        for other in (token, UNKNOWN, *IMPOSSIBLE, "\udce9"):
            assert run(lambda client, other=other: client.introspect(other)) is None


@both
def test_a_service_key_is_needed_and_checked(latchkey: Latchkey, kind: type):
    with runner(kind, latchkey.url) as run, pytest.raises(ValueError, match="needs a service_key"):
        run(lambda client: client.introspect(UNKNOWN))
    wrong = "wrong-key-of-the-tests-0123456789abcdef"
    with runner(kind, latchkey.url, service_key=wrong) as run:
        with pytest.raises(ApiError) as raised:
            run(lambda client: client.introspect(UNKNOWN))
        assert (raised.value.status, raised.value.code) == (401, "token_unknown")
        assert wrong not in str(raised.value) + repr(raised.value)
    for bad in ("short", "x" * 31, f"{wrong}\n", f"{wrong} {wrong}"):
        with pytest.raises(ValueError, match="service key") as refused:
            kind(latchkey.url, service_key=bad)
        assert bad.strip() not in str(refused.value)
    for url in ("127.0.0.1:8000", "ftp://example.com", "https://"):
        with pytest.raises(ValueError, match="URL"):
            kind(url)


@both
def test_one_url_is_enough_with_an_internal_port(stores: tuple[str, str], kind: type):
    """That of the internal port, which also has /verify."""
    port, key = free_port(), KEYS[Scope.READ]
    urls = {"DATABASE_URL": stores[0], "REDIS_URL": stores[1], "SECRET_KEYS": KEY}
    with Program(**urls, SERVICE_KEYS=TEXT, INTERNAL_PORT=str(port)) as server:
        token = server.serve().register(f"port-{kind.__name__}", "Analytical-Engine-1843")
        with runner(kind, f"http://127.0.0.1:{port}", service_key=key) as run:
            identity = run(lambda client: client.authenticate(token))
            assert run(lambda client: client.introspect(token)).account_id == identity.id
            assert run(lambda client: client.accounts.get(identity.id)).id == identity.id
        with (
            runner(kind, f"http://127.0.0.1:{server.port}", service_key=key) as run,
            pytest.raises(ApiError, match="404"),
        ):
            run(lambda client: client.introspect(token))


@both
def test_an_outage_is_never_a_missing_user(latchkey: Latchkey, kind: type, caplog):
    """Neither of a store nor of the server; and the token is in no log and no error."""
    caplog.set_level(logging.DEBUG)
    token, account_id = latchkey.sign_up(f"outage-{kind.__name__}")
    relay = Relay(("127.0.0.1", latchkey.port))
    url, key = f"http://127.0.0.1:{relay.port}", KEYS[Scope.WRITE]
    calls = [lambda client: client.authenticate(token), lambda client: client.introspect(token)]
    with runner(kind, url, service_key=key, timeout=1.0) as run:
        for call in calls:
            assert run(call)
        with latchkey.without_redis():
            for call in calls:
                check_unavailable(run, call, "503 to (GET|POST) /", token, key)
        assert run(calls[0]).id == account_id
        os.kill(latchkey.process.pid, signal.SIGSTOP)
        try:
            for call in calls:
                check_unavailable(run, call, "ReadTimeout", token, key)
        finally:
            os.kill(latchkey.process.pid, signal.SIGCONT)
        assert run(calls[0]).id == account_id
        relay.close()
        for call in calls:
            check_unavailable(run, call, "ConnectError", token, key)
        with closing(Relay(("127.0.0.1", latchkey.port), relay.port)):
            assert run(calls[0]).id == account_id
    records = "".join(map(repr, (record.__dict__ for record in caplog.records)))
    assert "ConnectError in GET /verify" in records
    assert token not in records
    assert key not in records


def check_unavailable(run: Run, call: Callable[[Any], Any], reason: str, *secrets: str) -> None:
    with pytest.raises(Unavailable, match=reason) as raised:
        run(call)
    error: BaseException | None = raised.value
    assert raised.value.retry_after == 1
    assert error.__cause__ is None
    assert error.__context__ is None, "httpx's errors have the request, and that has the token"
    text = "".join(traceback.format_exception(error)) + repr(error.__dict__)
    assert [each for each in secrets if each in text] == []


@both
@pytest.mark.parametrize(
    ("status", "headers", "retry_after"),
    [
        (200, {}, 1),
        (200, {"X_Account_Id": "mika"}, 1),
        (204, {}, 1),
        (302, {"Location": "/login"}, 1),
        (429, {"Retry_After": "7"}, 7),
        (302, {"X_Account_Id": "7"}, 1),
        (401, {}, 1),
        (401, {"WWW_Authenticate": 'Basic realm="proxy"'}, 1),
        (200, {"X_Account_Id": "9" * 5000}, 1),
        (404, {}, 1),
        (500, {"X_Account_Id": "7"}, 1),
        (502, {"Retry_After": "soon"}, 1),
        (503, {"Retry_After": "120"}, 120),
        (503, {"Retry_After": "-5"}, 1),
        (503, {"Retry_After": "9" * 400}, 1),
        (504, {}, 1),
    ],
)
def test_a_strange_response_is_not_a_missing_user(
    kind: type, status: int, headers: dict[str, str], retry_after: int
):
    with closing(Stranger(status, **headers)) as stranger, runner(kind, stranger.url) as run:
        with pytest.raises(Unavailable) as raised:
            run(lambda client: client.authenticate(UNKNOWN))
        assert raised.value.retry_after == retry_after
        assert stranger.requests == 1


@both
@pytest.mark.parametrize(
    "body",
    [
        *("", "<html>", "[]", '"active"', "{}", '{"active": true}', "[" * 200_000),
        '{"active": true, "sub": "mika"}',
        '{"active": true, "sub": "1", "email_verified": true, "sid": "", "dialect": "",'
        ' "kind": "", "iat": 1e20, "exp": 1}',
    ],
)
def test_a_strange_introspection_is_not_an_inactive_token(kind: type, body: str):
    key = KEYS[Scope.INTROSPECT]
    with (
        closing(Stranger(200, body)) as stranger,
        runner(kind, stranger.url, service_key=key) as run,
        pytest.raises(Unavailable),
    ):
        run(lambda client: client.introspect(UNKNOWN))


@both
@pytest.mark.parametrize("body", ["<html>", "[]", '{"code": 5}', '{"errors": "x"}'])
def test_a_strange_error_is_an_api_error(kind: type, body: str):
    key = KEYS[Scope.INTROSPECT]
    with (
        closing(Stranger(403, body)) as stranger,
        runner(kind, stranger.url, service_key=key) as run,
        pytest.raises(ApiError, match="403 : unexpected response"),
    ):
        run(lambda client: client.introspect(UNKNOWN))


@both
def test_calls_share_a_connection(kind: type):
    with (
        closing(Stranger(401, WWW_Authenticate="Token")) as stranger,
        runner(kind, stranger.url) as run,
    ):
        for _ in range(20):
            assert run(lambda client: client.authenticate(UNKNOWN)) is None
        assert (stranger.connections, stranger.requests) == (1, 20)


@both
@pytest.mark.parametrize(("drops", "requests"), [(0, 1), (1, 2), (2, 2)])
def test_a_connection_that_breaks_is_replaced_once(kind: type, drops: int, requests: int):
    """As an idle one does that the server closes when it is used again."""
    with (
        closing(Stranger(401, WWW_Authenticate="Token", drops=drops)) as stranger,
        runner(kind, stranger.url) as run,
    ):
        if drops < 2:
            assert run(lambda client: client.authenticate(UNKNOWN)) is None
        else:
            check_unavailable(run, lambda client: client.authenticate(UNKNOWN), "RemoteProtocol")
        assert stranger.requests == requests


@both
def test_a_timeout_is_not_repeated(kind: type):
    """A user waits for one timeout, and a busy server does not get twice the requests."""
    with (
        closing(Stranger(401, WWW_Authenticate="Token", delay=0.5)) as stranger,
        runner(kind, stranger.url, timeout=0.1) as run,
    ):
        with pytest.raises(Unavailable, match="ReadTimeout"):
            run(lambda client: client.authenticate(UNKNOWN))
        assert stranger.requests == 1


@both
def test_proxies_of_the_environment_get_no_token(kind: type, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with (
        closing(Stranger(401, WWW_Authenticate="Token")) as stranger,
        runner(kind, stranger.url) as run,
    ):
        assert run(lambda client: client.authenticate(UNKNOWN)) is None
        assert stranger.requests == 1


def test_one_client_serves_many_threads(latchkey: Latchkey):
    tokens = [latchkey.sign_up(f"thread-{each}") for each in range(8)]
    with LatchkeyClient(latchkey.url) as client, ThreadPoolExecutor(8) as threads:
        found = threads.map(lambda pair: client.authenticate(pair[0]).id == pair[1], tokens * 20)
        assert all(found)


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (None, None),
        ("", None),
        ("Basic eA==", None),
        ("Tokenx", None),
        ("Token x", "x"),
        ("bearer  x ", "x"),
        ("TOKEN", ""),
    ],
)
def test_the_token_of_a_header(header: str | None, token: str | None):
    assert token_of(header) == token
