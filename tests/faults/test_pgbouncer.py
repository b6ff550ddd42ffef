"""PgBouncer in transaction mode before PostgreSQL, with fewer connections behind it than to it."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from aiohttp.test_utils import TestClient
from psycopg2.extensions import parse_dsn

from app import create_app
from settings import Settings, read_settings
from tests.faults.crowd import HOST, MakeClient, Readers, milliseconds, on
from tests.handlers.contract import play
from tests.handlers.dialects.each_dialect import (
    DIALECT_CALLS,
    account_of,
    cannot_log_in,
    log_in,
    log_out,
    register,
    who,
)
from tests.program import PASSWORD, Program, Relay, registration, wait_for
from tests.store.test_images import encode, paint

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
BEHIND = 2
"""Connections to PostgreSQL, for many times as many to PgBouncer."""
DATABASE = "pooled"

CONFIGURATION = """
[databases]
{database} = host={host} port={port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {behind}
max_client_conn = 500
logfile = {directory}/log
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed"),
]


@dataclass
class Bouncer:
    """A PgBouncer that can be killed and started again."""

    directory: Path
    port: int
    _process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def url(self) -> str:
        """Return what a server is given; it asks what kind of PostgreSQL it meets."""
        where = f"{HOST}:{self.port}/{DATABASE}"
        return f"postgresql://postgres@{where}?target_session_attrs=read-write"

    def start(self) -> None:
        """Start it as `nobody` if this is root: it does not run as root."""
        assert PROGRAM
        user = {"user": "nobody", "extra_groups": []} if os.geteuid() == 0 else {}
        file = self.directory / "ini"
        self._process = subprocess.Popen([PROGRAM, "-q", file], **user, cwd="/")  # type: ignore[call-overload]
        assert wait_for(self._accepts), (self.directory / "log").read_text()

    def kill(self) -> None:
        assert self._process
        self._process.kill()
        self._process.wait()

    def _accepts(self) -> bool:
        try:
            socket.create_connection((HOST, self.port), 1).close()
        except OSError:
            return False
        return True


@contextmanager
def direct(stores: tuple[str, str], database: str) -> Iterator["psycopg2.extensions.cursor"]:
    """Give a cursor on a connection past PgBouncer."""
    with closing(psycopg2.connect(stores[0], dbname=database)) as connection:
        connection.autocommit = True
        yield connection.cursor()


def free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture
def bouncer(stores: tuple[str, str]) -> Iterator[Bouncer]:
    """Run a PgBouncer in front of an empty database, which lets in this user alone."""
    with (
        closing(Relay(f"{parse_dsn(stores[0])['host']}/.s.PGSQL.5432")) as relay,
        tempfile.TemporaryDirectory(prefix="latchkey-") as directory,
        direct(stores, "postgres") as cursor,
    ):
        bouncer = Bouncer(Path(directory), free_port())
        bouncer.directory.chmod(0o777)  # it is somebody else who writes its log there
        (bouncer.directory / "ini").write_text(
            CONFIGURATION.format(
                database=DATABASE,
                host=HOST,
                port=relay.port,
                own_port=bouncer.port,
                behind=BEHIND,
                directory=directory,
            )
        )
        cursor.execute(f"create database {DATABASE}")
        bouncer.start()
        try:
            yield bouncer
        finally:
            bouncer.kill()
            cursor.execute(f"drop database {DATABASE} with (force)")


@pytest.fixture
def settings(stores: tuple[str, str], bouncer: Bouncer, clean: None) -> Settings:
    more = {"DATABASE_POOL": "8", "STORE_TIMEOUT": "5", "BCRYPT_ROUNDS": "4"}
    return read_settings(on(stores, DATABASE_URL=bouncer.url, **more))


async def test_all_dialects_work_through_pgbouncer(
    aiohttp_client: MakeClient, settings: Settings, stores: tuple[str, str], redis_client: Any
):
    """Three servers prepare one empty database together; then each dialect has its say."""
    servers = [aiohttp_client(create_app(settings)) for _ in range(3)]
    client, *_ = await asyncio.gather(*servers)
    with direct(stores, DATABASE) as cursor:
        cursor.execute("select count(*) from gallery")
        assert cursor.fetchone() == (10,)
        for maker in DIALECT_CALLS:
            redis_client.flushdb()
            cursor.execute("delete from account; alter sequence account_id restart")
            await register_and_log_in(client, maker)
    await change_and_delete(client)


async def register_and_log_in(client: TestClient, maker: str) -> None:
    """Register in one dialect and log in and out in all that can."""
    account = account_of(maker)
    names = await play(client, [register(maker)])
    logins = [(name, calls.logs_in_by[0]) for name, calls in DIALECT_CALLS.items()]
    for name, by in logins:
        if by not in account:
            await play(client, [cannot_log_in(name, by)], names)
            continue
        rows = [
            log_in(name, by, account, again=name in names),
            cannot_log_in(name, by, "wrong"),
            *who(name, account),
            log_out(name, name),
        ]
        await play(client, rows, names)


async def change_and_delete(client: TestClient) -> None:
    """Have what changes an account done: picture, profile, password, all sessions, itself."""

    async def ask(method: str, path: str, token: str = "", **body: Any) -> tuple[int, Any]:
        head = {"Authorization": f"Bearer {token}"} if token else {}
        answer = await client.request(method, path, headers=head | body.pop("headers", {}), **body)
        return answer.status, json.loads(await answer.read() or b"null")

    new = registration("mika")
    _, made = await ask("POST", "/account/register", json=new)
    status, refused = await ask("POST", "/account/register", json=new)
    assert (status, sorted(refused["errors"])) == (400, ["email", "username"])
    own = {"data": encode(paint(), "PNG"), "headers": {"Content-Type": "image/png"}}
    for picture in ({"json": {"id": 6}}, own):
        assert await ask("POST", "/account/set_picture", made["token"], **picture) == (
            200,
            {"success": True},
        )
    _, profile = await ask("GET", "/account/profile", made["token"])
    assert (await client.session.get(profile["data"]["picture"])).status == 200
    login = {"email": new["email"], "password": PASSWORD}
    _, tokens = await ask("POST", "/fardel/api/auth/login", json=login)
    changes = {"first_name": "Mika", "password": "a new password"}
    path, fresh = "/fardel/api/auth/profile", tokens["access_token"]
    status, changed = await ask("PUT", path, fresh, json=changes)
    assert (status, changed["user"]["first_name"]) == (200, "Mika")
    for old in (made["token"], fresh):
        assert (await ask("GET", "/account/profile", old))[0] == 401
    fresh = changed["access_token"]
    assert (await ask("POST", "/wicare/api/auth/logoutall", fresh))[0] == 204
    assert (await ask("GET", "/account/profile", fresh))[0] == 401
    login = {"username": "mika", "password": "a new password"}
    _, again = await ask("POST", "/account/login", json=login)
    assert (await ask("POST", "/account/delete", again["token"]))[0] == 200
    assert (await ask("POST", "/account/login", json=login))[0] == 400


async def test_many_share_few_connections(
    aiohttp_client: MakeClient, settings: Settings, stores: tuple[str, str], bouncer: Bouncer
):
    """Two servers with 16 connections over two, under load; PgBouncer then dies and comes back."""
    clients = [await aiohttp_client(create_app(settings)) for _ in range(2)]
    names: dict[str, str] = {}

    async def one(number: int) -> None:
        """Register, and log in elsewhere."""
        new = registration(f"crowd{number}")
        first, second = clients[number % 2], clients[1 - number % 2]
        made = await first.post("/account/register", json=new)
        assert made.status == 200, await made.text()
        logged_in = await second.post("/account/login", json=new)
        assert await logged_in.json() == {"token": (await made.json())["token"]}
        names[(await made.json())["token"]] = new["username"]

    await asyncio.gather(*map(one, range(8)))
    readers = [Readers(client.port, dict(names)) for client in clients]
    async with readers[0].reading(16), readers[1].reading(16):
        for begin in range(8, 200, 32):
            await asyncio.gather(*map(one, range(begin, begin + 32)))
    for each in readers:
        print(milliseconds(each.seconds))
        assert each.failures == []
    with direct(stores, DATABASE) as cursor:
        cursor.execute("select count(*) from pg_stat_activity where datname = current_database()")
        assert cursor.fetchone()[0] <= BEHIND + 1
    await lose_and_find(bouncer, clients[0], next(iter(names)))


async def lose_and_find(bouncer: Bouncer, client: TestClient, token: str) -> None:
    async def status() -> int:
        head = {"Authorization": f"Token {token}"}
        async with client.get("/account/profile", headers=head) as answer:
            return answer.status

    bouncer.kill()
    assert [await status() for _ in range(10)] == [503] * 10
    bouncer.start()
    assert await status() == 200


def test_the_commands_work_through_pgbouncer(
    clean: None, stores: tuple[str, str], bouncer: Bouncer, tmp_path: Path
):
    """`account` and `gallery`, beside a server or alone."""
    environment = on(stores, DATABASE_URL=bouncer.url)
    file = tmp_path / "own.png"
    file.write_bytes(encode(paint(), "PNG"))

    def run(*arguments: str) -> str:
        with Program(*arguments, **environment) as command:
            assert command.wait() == 0, command.err
            return command.out

    assert run("gallery", "list").count("/pictures/") == 10
    assert "DATABASE_POOL x WORKERS is 2, to a pooler, whose own limits apply" in run("check")
    with Program(**environment) as server:
        server.serve().register("mika")
        assert json.loads(run("account", "show", "mika"))["is_active"] is True
        assert json.loads(run("account", "set", "mika", "is_active=false"))["is_active"] is False
        login = {"username": "mika", "password": PASSWORD}
        assert server.ask("POST", "/account/login", login).status == 400
        run("gallery", "add", str(file), "--group", "male", "--name", "Own")
        run("gallery", "remove", "11")
        assert run("gallery", "list").count("/pictures/") == 10
