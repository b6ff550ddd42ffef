"""The server is killed at random moments of many changes: there are as many events as changes."""

import asyncio
import contextlib
import http.client
import random
import threading
import time
from collections.abc import Iterator

import pytest

from tests.handlers.internal.keys import KEYS, TEXT, Scope
from tests.program import KEY, Client, Program, registration
from tests.store.test_schema import prepare_at

WRITERS = 4
COUNTED = """
create table counted (account_id bigint);
create function count_change() returns trigger language plpgsql as $$
begin
    insert into counted values (coalesce(new.id, old.id));
    return null;
end $$;
create trigger counted after insert or delete on account
    for each row execute function count_change();
create trigger counted_updates after update on account
    for each row when (old.last_login is not distinct from new.last_login)
    execute function count_change();"""
"""PostgreSQL counts the changes of accounts that commit. A login changes `last_login`."""
NOT_COUNTED = "drop table counted; drop function count_change cascade"


@pytest.fixture
def counting(stores, database, clean) -> Iterator[None]:
    asyncio.run(prepare_at(stores[0]))
    with database.cursor() as cursor:
        cursor.execute(COUNTED)
        yield
        cursor.execute(NOT_COUNTED)


def change(client: Client, chance: random.Random, tokens: dict[str, str], writer: int) -> None:
    """Make one change of an account of this writer, or create one."""
    name = chance.choice([*tokens, ""])
    if not name:
        name = f"kim-{writer}-{chance.getrandbits(40):x}"
        client.send("POST", "/account/register", registration(name))
        response = client.receive()
        tokens[name] = response.json["token"]
        return
    token = tokens[name]
    kind = chance.choice(["change", "change", "change", "password", "end", "delete"])
    if kind == "change":
        client.send("PATCH", "/v1/account", {"first_name": f"{chance.random()}"}, token)
    elif kind == "password":
        body = {"current_password": "correct horse", "new_password": "correct horse"}
        client.send("PUT", "/v1/account/password", body, token)
    else:
        path = "/api/auth/logoutall/" if kind == "end" else "/account/delete"
        client.send("POST", path, {}, token)
        del tokens[name]
    client.receive()


def write(port: int, seed: int, writer: int) -> None:
    """Make changes until the server is gone."""
    chance, tokens = random.Random(seed), dict[str, str]()  # noqa: S311
    client = Client(port)
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(client):
        while True:
            change(client, chance, tokens, writer)


def kill_while_changing(deployment, database, *, kills: int, changes: int) -> None:
    chance = random.Random(kills)  # noqa: S311
    killed = counted = 0
    while killed < kills or counted < changes:
        with Program(**deployment) as server:
            port = server.port
            writers = [
                threading.Thread(target=write, args=(port, chance.getrandbits(30), number))
                for number in range(WRITERS)
            ]
            for writer in writers:
                writer.start()
            time.sleep(chance.uniform(0.02, 0.4))
            server.process.kill()
            killed += 1
            for writer in writers:
                writer.join()
        with database.cursor() as cursor:
            cursor.execute("select count(*) from counted")
            [(counted,)] = cursor.fetchall()
    assert_each_change_has_its_event(deployment, database)


def assert_each_change_has_its_event(deployment, database) -> None:
    with database.cursor() as cursor:
        cursor.execute(
            """with changes as (select account_id, count(*) from counted group by account_id),
                    events as (select account_id, count(*) from event group by account_id)
               select changes, events from changes full join events using (account_id)
                where changes.count is distinct from events.count"""
        )
        assert cursor.fetchall() == []
        cursor.execute("select count(*), count(distinct type) from event")
        [(count, types)] = cursor.fetchall()
    assert types >= 3
    read, after = 0, ""
    with Program(**deployment) as server, server.client() as client:
        while True:
            key = f"Bearer {KEYS[Scope.READ]}"
            client.send("GET", f"/internal/events?limit=100{after}", Authorization=key)
            page = client.receive().json
            read += len(page["events"])
            after = f"&after={page['cursor']}"
            if not page["events"]:
                break
    assert read == count


@pytest.fixture
def deployment(stores, counting):
    return {
        "DATABASE_URL": stores[0],
        "REDIS_URL": stores[1],
        "SECRET_KEYS": KEY,
        "SERVICE_KEYS": TEXT,
        "EVENTS": "on",
    }


def test_a_server_that_is_killed_three_times(deployment, database):
    kill_while_changing(deployment, database, kills=3, changes=30)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_server_that_is_killed_a_hundred_times_in_a_thousand_changes(deployment, database):
    kill_while_changing(deployment, database, kills=100, changes=1000)
