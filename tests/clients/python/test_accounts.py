"""The account API by latchkey-client, both clients, against a real server."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from latchkey_client import Account, ApiError, Changes, Unavailable
from tests.clients.python.clients import both, runner
from tests.clients.python.conftest import PASSWORD, Latchkey
from tests.clients.python.stranger import Stranger
from tests.handlers.internal.keys import KEYS, Scope
from tests.program import wait_for

WRITE = KEYS[Scope.WRITE]
HASH = "$2b$04$Ei1vnUfZHqHkH8PRbm0Ule5uGcPTTwyQoqdn0C5pYAplfkYg7ibEa"
NO_ID = 2**62


@both
def test_the_life_of_an_account(latchkey: Latchkey, kind: type):
    name = f"life-{kind.__name__}"
    with runner(kind, latchkey.url, service_key=WRITE) as run:
        email = f"{name}@example.com"
        created = run(
            lambda client: client.accounts.create(
                username=name, email=email, password=PASSWORD, is_staff=True
            )
        )
        assert datetime.now(UTC) - created.created < timedelta(minutes=1)
        assert created == Account(
            id=created.id,
            username=name,
            email=email,
            email_verified=False,
            first_name=None,
            last_name=None,
            picture=created.picture,
            created=created.created,
            last_login=None,
            is_active=True,
            is_staff=True,
            is_superuser=False,
            password_set=True,
        )
        token = latchkey.log_in(name, PASSWORD)
        [session] = run(lambda client: client.accounts.sessions(created.id))
        assert datetime.now(UTC) - session.created < timedelta(minutes=1)
        identity = run(lambda client: client.authenticate(token))
        assert (identity.id, identity.session_id) == (created.id, session.id)
        run(lambda client: client.accounts.end_session(created.id, session.id))
        assert run(lambda client: client.authenticate(token)) is None
        token = latchkey.log_in(name, PASSWORD)
        run(lambda client: client.accounts.end_sessions(created.id))
        assert run(lambda client: client.authenticate(token)) is None
        assert run(lambda client: client.accounts.sessions(created.id)) == []

        run(lambda client: client.accounts.send_password_reset(created.id))
        assert wait_for(lambda: any(email in each.read_text() for each in latchkey.mail.iterdir()))
        run(lambda client: client.accounts.set_password(created.id, f"{PASSWORD}-2"))
        token = latchkey.log_in(name, f"{PASSWORD}-2")
        changes: Changes = {
            "first_name": "Mika",
            "is_active": False,
            "email_verified_at": "2026-01-01T00:00:00Z",
            "city": "Oulu",
            "towns": [1, 2],
        }
        changed = run(lambda client: client.accounts.change(created.id, **changes))
        assert (changed.first_name, changed.is_active) == ("Mika", False)
        assert changed.email_verified
        assert run(lambda client: client.authenticate(token)) is None
        assert run(lambda client: client.accounts.get(created.id)) == changed
        run(lambda client: client.accounts.delete(created.id))
        assert run(lambda client: client.accounts.get(created.id)) is None
        with pytest.raises(ApiError, match="404 not_found"):
            run(lambda client: client.accounts.delete(created.id))


@both
def test_accounts_are_found(latchkey: Latchkey, kind: type):
    """By id, by name, and page by page."""
    prefix = f"found{kind.__name__.lower()}"
    ids = [latchkey.sign_up(f"{prefix}-{each}", email=f"{prefix}{each}@example.com")[1]
           for each in range(5)]  # fmt: skip
    with runner(kind, latchkey.url, service_key=KEYS[Scope.READ]) as run:
        many = [*range(NO_ID, NO_ID + 1200), *ids, *ids]
        found = run(lambda client: client.accounts.get_many(many))
        assert sorted(found) == ids
        assert [found[each].username for each in ids] == [f"{prefix}-{each}" for each in range(5)]
        assert run(lambda client: client.accounts.get_many([])) == {}
        by_name = run(lambda client: client.accounts.find_by_username(f"{prefix}-3".upper()))
        by_email = run(lambda client: client.accounts.find_by_email(f"{prefix}3@EXAMPLE.com"))
        assert by_name == by_email == found[ids[3]]
        assert run(lambda client: client.accounts.find_by_username("no one & more")) is None
        page = run(lambda client: client.accounts.page(ids[0] - 1, 3, active=True))
        assert ([each.id for each in page.accounts], page.next) == (ids[:3], ids[2])
        assert run(lambda client: client.accounts.page(ids[-1], active=False)).next is None
        listed = run(lambda client: client.accounts.iterate(search=prefix))
        listed = sorted(each.id for each in listed)
        assert listed == ids


@both
def test_many_pages(latchkey: Latchkey, database, kind: type):
    with database.cursor() as cursor:
        cursor.execute("select count(*) from account")
        [before] = cursor.fetchone()
        cursor.execute(
            "insert into account (id, username, username_folded, password, session_epoch)"
            " select nextval('account_id'), 'page' || n || %s, 'page' || n || %s, '', 0"
            " from generate_series(1, 250) as n",
            (kind.__name__, kind.__name__.lower()),
        )
    with runner(kind, latchkey.url, service_key=KEYS[Scope.READ]) as run:
        ids = [each.id for each in run(lambda client: client.accounts.iterate())]
    assert len(ids) == before + 250
    assert ids == sorted(set(ids))


@both
def test_a_creation_is_repeated_with_its_key(latchkey: Latchkey, kind: type):
    name = f"repeated-{kind.__name__}"
    with runner(kind, latchkey.url, service_key=WRITE) as run:
        create = lambda client: client.accounts.create(  # noqa: E731
            idempotency_key=f"key-{name}", username=name, password_hash=HASH
        )
        assert run(create) == run(create)
        with pytest.raises(ApiError) as raised:
            run(lambda client: client.accounts.create(username=name, password_hash=HASH))
        assert (raised.value.status, raised.value.code) == (409, "taken")
        assert [(each.field, each.code) for each in raised.value.errors] == [("username", "taken")]
        account = run(lambda client: client.accounts.find_by_username(name))
        run(lambda client: client.accounts.set_password_hash(account.id, HASH))
        with pytest.raises(ApiError, match="email"):
            run(lambda client: client.accounts.send_password_reset(account.id))


@both
def test_the_scope_of_a_key(latchkey: Latchkey, kind: type):
    _, account_id = latchkey.sign_up(f"scope-{kind.__name__}")
    with runner(kind, latchkey.url, service_key=KEYS[Scope.READ]) as run:
        with pytest.raises(ApiError) as raised:
            run(lambda client: client.accounts.delete(account_id))
        assert (raised.value.status, raised.value.code) == (403, "insufficient_scope")


@both
def test_a_creation_without_a_response_is_repeated_with_one_key(kind: type):
    """A change is not: the first request may have had its effect."""
    with (
        closing(Stranger(409, drops=1)) as stranger,
        runner(kind, stranger.url, service_key=WRITE) as run,
    ):
        with pytest.raises(ApiError):
            run(lambda client: client.accounts.create(username="x"))
        [first, second] = stranger.keys
        assert first == second
        assert len(first) >= 32
        with pytest.raises(ApiError):
            run(lambda client: client.accounts.create(username="x"))
        assert stranger.keys[-1] != first
    with (
        closing(Stranger(409, drops=1)) as stranger,
        runner(kind, stranger.url, service_key=WRITE) as run,
    ):
        with pytest.raises(Unavailable, match="in PATCH"):
            run(lambda client: client.accounts.change(1, username="x"))
        assert stranger.requests == 1


@both
def test_a_creation_that_is_being_processed_can_be_sent_again(kind: type):
    """With the key of the caller, who waits."""
    in_use = '{"code": "idempotency_key_in_use", "title": "x"}'
    with (
        closing(Stranger(409, in_use, Retry_After="5")) as stranger,
        runner(kind, stranger.url, service_key=WRITE) as run,
    ):
        with pytest.raises(Unavailable) as raised:
            run(lambda client: client.accounts.create(idempotency_key="k", username="x"))
        assert (raised.value.retry_after, stranger.keys) == (5, ["k"])


@both
@pytest.mark.parametrize("session_id", ["..", ".", "", "%2e%2e", "0" * 15, "0" * 15 + "\n", "?"])
def test_what_is_not_the_id_of_a_session_is_not_sent(kind: type, session_id: str):
    """With `..` it would be the path of the account, and delete that."""
    with (
        closing(Stranger(204)) as stranger,
        runner(kind, stranger.url, service_key=KEYS[Scope.WRITE]) as run,
    ):
        with pytest.raises(ValueError, match="16 hexadecimal digits"):
            run(lambda client: client.accounts.end_session(1, session_id))
        assert stranger.requests == 0


@both
def test_a_404_of_a_proxy_is_not_a_missing_account(kind: type):
    with (
        closing(Stranger(404, "<html>")) as stranger,
        runner(kind, stranger.url, service_key=KEYS[Scope.WRITE]) as run,
        pytest.raises(ApiError, match="404"),
    ):
        run(lambda client: client.accounts.get(1))


@both
@pytest.mark.parametrize("body", ["{}", '{"accounts": null}', '{"accounts": [{}], "id": 1}'])
def test_a_strange_account_is_an_outage(kind: type, body: str):
    with (
        closing(Stranger(200, body)) as stranger,
        runner(kind, stranger.url, service_key=KEYS[Scope.WRITE]) as run,
    ):
        for call in (
            lambda client: client.accounts.get(1),
            lambda client: client.accounts.get_many([1]),
            lambda client: client.accounts.sessions(1),
        ):
            with pytest.raises(Unavailable):
                run(call)
