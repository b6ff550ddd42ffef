"""`check`: what it says of settings, stores and this machine, and with which exit status."""

import asyncio
import re
import resource
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
import redis

import commands
import server
from commands.check import startup_warnings
from commands.findings import judge_secrets, judge_settings
from commands.serving import run_loop
from commands.store_findings import judge_database, judge_redis
from handlers import DIALECTS, Conflict
from handlers.internal.service_keys import parse_service_keys
from handlers.mounts import Mount, parse_mounts
from settings import Settings
from store.diagnostics import DatabaseDiagnostics, RedisDiagnostics
from store.errors import Unavailable
from store.postgresql.database import connect_database
from store.redis.client import connect_redis
from store.schema import newest
from tests.program import KEY, Program
from tests.redis_servers import HOST, Nodes, Watched, clustered, watched
from tests.store.databases import FIRST_RELEASE, ask, catalog, own_database, rows
from tests.store.test_schema import prepare_at
from webhooks.settings import parse_webhooks

NEWEST = newest()
LINE = re.compile(r"(ok|note|warning|WRONG) +(\S.*)")
SECRET = "hidden-from-everybody"


@pytest.fixture
def where(stores, clean):
    return {
        "DATABASE_URL": stores[0],
        "REDIS_URL": stores[1],
        "SECRET_KEYS": KEY,
        "RATE_LIMITS": "on",
    }


@pytest.fixture
def check(settings, clean, capsys):
    """Run `check` in this process, with some other settings; return what it says by level."""

    def run(**other):
        where = replace(settings, **{"port": 0, "rate_limits": "on", **other})
        return judged(commands.run(["check"], where), *capsys.readouterr())

    return run


def judged(status, out, err):
    """Look at the exit status; return what was said, by level."""
    found = levels(out)
    wrong, count = len(found.get("WRONG", [])), len(out.splitlines())
    assert err == (f"latchkey: {wrong} of {count} lines are WRONG\n" if wrong else "")
    assert status == (1 if wrong else 0)
    assert KEY not in out
    return found


def levels(out):
    found = {}
    for line in out.splitlines():
        level, what = LINE.fullmatch(line).groups()
        found.setdefault(level, []).append(what)
    return found


def test_all_is_well(where, check, stores, durable):
    asyncio.run(prepare_at(stores[0]))
    with Program("check", **where) as ran:
        found = judged(ran.wait(), ran.out, ran.err)
    assert found.keys() - {"ok", "note", "warning"} == set()
    assert [each for each in found.get("warning", []) if "files" not in each] == []
    said = "\n".join(found["ok"])
    for part in ("PostgreSQL 1", "responds", "SECRET_KEYS: 1", "append-only", "not evict"):
        assert part in said
    assert f"schema version is {NEWEST}, as this release requires" in said
    assert "DATABASE_POOL x WORKERS is 2, of" in said
    assert "the server can listen on 127.0.0.1:0" in said
    kust, mail = found["note"]
    assert "every account can read all accounts" in kust
    assert mail.startswith("no mail is sent")
    sends = {"mail_url": "smtps://mail.example", "public_url": "https://accounts.example"}
    assert "note" not in check(dialects={"lumotist": Mount("/")}, **sends)


def test_verified_addresses_without_mail(check):
    said = "\n".join(check(require_verified_email="on")["warning"])
    assert "REQUIRE_VERIFIED_EMAIL is on, but no mail is sent to verify addresses" in said


@pytest.mark.parametrize(
    "mount",
    [
        "djoser=/?send-activation-email=on&activation-url=https://app.example/{uid}/{token}",
        "dj-rest-auth=/?email-verification=mandatory",
    ],
)
def test_an_activation_without_mail(check, mount):
    dialects = parse_mounts(mount, DIALECTS)
    said = "\n".join(check(dialects=dialects)["warning"])
    assert "accounts are to be activated by e-mail, but none is sent" in said


def test_both_stores_are_away(check):
    found = check(
        database_url=f"postgresql://{SECRET}:{SECRET}@127.0.0.1:1/x",
        redis_url=f"redis://{SECRET}:{SECRET}@127.0.0.1:1",
    )
    postgresql, other = found["WRONG"]
    assert postgresql.startswith("postgresql: ")
    assert other.startswith("redis: ")
    assert SECRET not in str(found)


def test_a_password_that_is_wrong_is_not_shown(check, stores):
    """PostgreSQL takes any here; Redis takes none, and says so."""
    separator = "&" if "?" in stores[1] else "?"
    found = check(redis_url=f"{stores[1]}{separator}username=x&password={SECRET}")
    [wrong] = found["WRONG"]
    assert wrong.startswith("redis: ")
    assert SECRET not in str(found)


def test_a_bad_setting(monkeypatch, capsys):
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setattr(sys, "argv", ["server.py", "check"])
    assert server.main() == 2
    line = "latchkey: PORT must be a whole number from 0 to 65535 (got 'x')\n"
    assert capsys.readouterr() == ("", line)


VERSIONS = {
    "empty": ((), None, "ok", "the database is empty"),
    "older": (
        FIRST_RELEASE,
        None,
        "warning",
        f"version is 1: the next start migrates it to {NEWEST}",
    ),
    "newer": ((), 99, "warning", "version is 99, of a newer release"),
}


@pytest.mark.parametrize(("scripts", "version", "level", "said"), VERSIONS.values(), ids=VERSIONS)
def test_the_schema_is_looked_at_and_left_alone(check, stores, scripts, version, level, said):
    with own_database(stores, *scripts) as url:
        if version:
            asyncio.run(prepare_at(url))
            ask(url, f"update schema_version set version = {version}")
        before = catalog(url), rows(url) if scripts else None
        assert [each for each in check(database_url=url)[level] if said in each]
        assert (catalog(url), rows(url) if scripts else None) == before


def test_a_database_that_can_not_be_written_to(check, stores):
    with own_database(stores, options=["default_transaction_read_only = on"]) as url:
        [wrong] = check(database_url=url)["WRONG"]
    assert wrong == "PostgreSQL is read-only: every login fails"


@pytest.mark.slow
def test_a_table_that_is_somebody_elses(check, stores):
    with own_database(stores) as url:
        asyncio.run(prepare_at(url))
        ask(url, "create role nobodys login")
        try:
            found = check(database_url=url.replace("user=postgres", "user=nobodys"))
        finally:
            ask(url, "drop role nobodys")
    assert found["WRONG"] == ["postgresql: permission denied for table schema_version"]


def test_more_connections_than_there_are(check):
    [said] = check(workers=50, database_pool=4)["WRONG"]
    assert "is 200, and PostgreSQL allows 197" in said


@pytest.fixture(scope="module")
def redis_servers() -> Iterator[Watched]:
    with watched(replicas=1, sentinels=1) as servers:
        yield servers


def test_a_redis_that_forgets(check, settings, redis_servers):
    primary, _ = redis_servers.servers
    url = f"redis://{HOST}:{primary.port}"
    primary.ask("config", "set", "maxmemory-policy", "allkeys-lru")
    found = check(redis_url=url)
    said = "\n".join(found["warning"])
    assert "maxmemory-policy allkeys-lru" in said
    assert "not write an append-only file" in said
    where = replace(settings, redis_url=url)
    logged = "\n".join(asyncio.run(startup_warnings(where, where)))  # as `serve` does
    for part in (
        "maxmemory-policy allkeys-lru",
        "not write an append-only file",
        "has no password",
    ):
        assert part in logged
    primary.ask("config", "set", "maxmemory-policy", "noeviction")
    assert "maxmemory" not in "\n".join(check(redis_url=url)["warning"])


def test_a_redis_that_is_full(check, redis_servers):
    primary, _ = redis_servers.servers
    primary.ask("config", "set", "maxmemory", "1")
    try:
        wrong, _ = check(redis_url=f"redis://{HOST}:{primary.port}")["WRONG"]
    finally:
        primary.ask("config", "set", "maxmemory", "0")
    assert wrong.startswith("Redis cannot count attempts: redis: ")


def test_a_redis_that_may_not_be_asked(check, redis_servers):
    primary, _ = redis_servers.servers
    primary.ask(
        *("acl", "setuser", "mute", "on", f">{SECRET}", "~*"), "+@all", "-@admin", "-@dangerous"
    )
    url = f"redis://mute:{SECRET}@{HOST}:{primary.port}"
    found = check(redis_url=url)
    assert "WRONG" not in found
    assert [each for each in found["warning"] if "does not let this user run INFO" in each]
    assert SECRET not in str(found)
    primary.ask("acl", "setuser", "mute", "resetkeys", "~limit:*", "~LIMIT*")
    [wrong] = check(redis_url=url)["WRONG"]
    assert wrong.startswith("Redis cannot store sessions: ")
    primary.ask("acl", "setuser", "mute", "allkeys", "-eval", "-evalsha")
    [wrong] = check(redis_url=url)["WRONG"]
    assert wrong.startswith("Redis cannot count attempts: ")


def test_a_replica(check, redis_servers):
    [replica] = redis_servers.replicas()
    found = check(redis_url=f"redis://{HOST}:{replica.port}")
    assert "a replica" in found["WRONG"][0]
    assert "cannot count" in found["WRONG"][1]


def test_behind_sentinels(check, redis_servers):
    found = check(redis_url=redis_servers.url)
    assert "WRONG" not in found
    assert "Redis is a primary" in found["ok"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    with clustered(2) as nodes:
        yield nodes


@pytest.mark.slow
def test_on_a_cluster_each_primary_is_looked_at(check, cluster):
    cluster.servers[1].ask("config", "set", "maxmemory-policy", "volatile-lru")
    found = check(redis_url=cluster.url)
    assert Counter(found["ok"])["Redis is a primary"] == 2
    assert len([each for each in found["warning"] if "volatile-lru" in each]) == 1
    assert "WRONG" not in found


@pytest.mark.slow
def test_the_port(check, where):
    with Program(**where) as server:
        port = server.serve().port
        ours = f"the server is listening on 127.0.0.1:{port}"
        assert ours in check(port=port)["ok"]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        [wrong] = check(port=port)["WRONG"]
    assert wrong == f"the server cannot listen on 127.0.0.1:{port}: Address already in use"


@pytest.fixture
def data_dir() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="lk-", ignore_cleanup_errors=True) as directory:
        yield directory


@pytest.mark.slow
def test_with_embedded_stores(data_dir):
    """Before the first start, and beside the server."""
    where = {"DATA_DIR": data_dir, "RATE_LIMITS": "on"}
    with Program("check", **where) as ran:
        assert ran.wait() == 0, ran.out
        found = levels(ran.out)
    assert any("only `serve` creates new stores" in each for each in found["warning"])
    assert not [*Path(data_dir).iterdir()]
    assert "SECRET_KEYS: generated and stored in DATA_DIR" in found["ok"]
    with Program(**where) as server:
        server.serve()
        with Program("check", **where) as ran:
            assert ran.wait() == 0, ran.out
            assert f"the schema version is {NEWEST}, as this release requires" in ran.out


def test_embedded_stores_that_can_not_run(check, tmp_path):
    (tmp_path / "data").write_text("a file")
    [wrong] = check(data_dir=str(tmp_path / "data"), database_url="")["WRONG"]
    assert "data directory" in wrong


def test_few_open_files(check):
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, most))
    try:
        [files] = [each for each in check()["warning"] if "files" in each]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
    assert files.startswith("only 256 open files are allowed")


WELL = DatabaseDiagnostics("18.0", 18, NEWEST, True, True, True, 97, 0.2)

DATABASES = {
    "old": (replace(WELL, version="12.9", major=12), "WRONG", "12.9 is too old"),
    "standby": (replace(WELL, is_primary=False, is_writable=False), "WRONG", "a standby"),
    "forgetful": (replace(WELL, is_durable=False), "warning", "fsync"),
    "few connections": (replace(WELL, connections=7), "WRONG", "allows 7 connections"),
    "isolation": (replace(WELL, isolation="serializable"), "WRONG", "set read committed"),
    "of others": (replace(WELL, problem="it has a table"), "WRONG", "cannot be used: it has a"),
    "fast clock": (replace(WELL, ahead=1.1), "warning", "1.1 s ahead of"),
    "slow clock": (replace(WELL, ahead=-61.0), "warning", "61.0 s behind"),
}


@pytest.mark.parametrize(("diagnostics", "level", "said"), DATABASES.values(), ids=DATABASES)
def test_a_database_that_will_not_do(diagnostics, level, said):
    assert {level for level, _ in judge_database(WELL, Settings())} == {"ok"}
    [found] = [each for each in judge_database(diagnostics, Settings()) if each.level != "ok"]
    assert found.level == level
    assert said in found.what


GOOD = RedisDiagnostics("Redis 6.2.0", "6.2.0", True, "noeviction", True, -0.2)

REDISES = {
    "old": (replace(GOOD, version="6.0.20"), "WRONG", "6.0.20 is too old"),
    "replica": (replace(GOOD, is_primary=False), "WRONG", "a replica"),
    "cluster": (replace(GOOD, mode="cluster"), "WRONG", "in cluster mode"),
    "Sentinel": (replace(GOOD, mode="sentinel"), "WRONG", "in sentinel mode"),
    "mute": (None, "warning", "does not let this user run INFO"),
    "evicts": (replace(GOOD, policy="volatile-ttl"), "warning", "volatile-ttl"),
    "forgets": (replace(GOOD, keeps=False), "warning", "appendonly"),
    "fast clock": (replace(GOOD, ahead=2.0), "warning", "2.0 s ahead of"),
}


@pytest.mark.parametrize(("diagnostics", "level", "said"), REDISES.values(), ids=REDISES)
def test_a_redis_that_will_not_do(diagnostics, level, said):
    for fine in (GOOD, replace(GOOD, version="10.0.1"), replace(GOOD, ahead=None)):
        assert {level for level, _ in judge_redis(fine)} == {"ok"}
    [found] = [each for each in judge_redis(diagnostics) if each.level != "ok"]
    assert found.level == level
    assert said in found.what


SETTINGS = {
    "proxies": (Settings(host="0.0.0.0"), "TRUSTED_PROXIES is empty and HOST is 0.0.0.0"),  # noqa: S104
    "by a name": (Settings(host="example.com"), "TRUSTED_PROXIES"),
    "limits": (Settings(rate_limits="off"), "RATE_LIMITS is off"),
}


@pytest.mark.parametrize(("settings", "said"), SETTINGS.values(), ids=SETTINGS)
def test_settings_to_be_warned_of(settings, said):
    def warnings(settings):
        found = judge_settings(settings)
        return [each.what for each in found if each.level == "warning" and "files" not in each.what]

    for fine in (Settings(), Settings(host="::1"), Settings(host="localhost")):
        assert warnings(fine) == []
    [warning] = warnings(settings)
    assert said in warning


def test_services_without_an_internal_port_are_noted():
    """The proxy must refuse /internal then; nothing is noted where no service has a key."""
    keys = parse_service_keys(f"gateway:introspect:{'0123456789abcdef' * 2}")

    def found(**changes):
        settings = Settings(**changes)
        return [each for each in judge_settings(settings) if "INTERNAL_PORT" in each.what]

    [note] = found(service_keys=keys)
    assert note.level == "note"
    assert found(service_keys=keys, internal_port=9000) == found() == []


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("https://shop.example/hook", []),
        ("http://127.0.0.1:9000/hook", []),
        (
            "http://shop.example/hook",
            ["WEBHOOKS: events are sent to shop without encryption: use https://"],
        ),
    ],
)
def test_receivers_of_events_are_listed(url, warned):
    webhooks = parse_webhooks(f"shop {url} whsec_{'a' * 32}")
    found = list(judge_settings(Settings(events="on", webhooks=webhooks)))
    assert ("ok", "WEBHOOKS: events are sent to shop") in found
    assert [each.what for each in found if "encryption" in each.what] == warned


def test_dialects_that_collide(where, settings, monkeypatch, capsys):
    def collide(_):
        raise Conflict("one and two both answer at /both")

    monkeypatch.setattr("commands.findings.create_app", collide)
    assert commands.run(["check"], replace(settings, port=0)) == 1
    [wrong] = levels(capsys.readouterr().out)["WRONG"]
    assert wrong == "DIALECTS: one and two both answer at /both"


ROLE = "create role few login; grant usage on schema public to few; "
UNUSABLE = {
    "another's account table": ("", "create table account (id integer)", "has a table account"),
    "another's schema_version": (
        "",
        "create table schema_version (version text); insert into schema_version values ('a')",
        "schema_version is not one of this server",
    ),
    "a column is missing": (
        "made",
        "alter table account drop wants",
        "account has no column wants",
    ),
    "no CREATE": ("few", f"{ROLE} revoke create on schema public from public", "not create tables"),
    "read-only role": (
        "few made",
        f"{ROLE} grant select on all tables in schema public to few",
        "no delete privilege on the table account",
    ),
    "no sequence": (
        "few made",
        f"{ROLE} grant all on all tables in schema public to few",
        "may not use the sequence account_id",
    ),
    "not the owner": (
        "few made",
        f"{ROLE} grant all on all tables in schema public to few;"
        "update schema_version set version = 1",
        "does not own the table",
    ),
    "no schema": ("few", f"{ROLE} alter role few set search_path = nowhere", "search_path"),
    "LATIN1": ("latin1", "", "encoding is LATIN1: it must be UTF8"),
}


@pytest.mark.parametrize(("how", "script", "reason"), UNUSABLE.values(), ids=UNUSABLE)
def test_what_serve_refuses_is_wrong_for_check(check, stores, how, script, reason):
    """`check` says what a start would, and leaves the database as it is."""
    with own_database(stores, encoding="LATIN1" if how == "latin1" else "") as url:
        try:
            if "made" in how:
                asyncio.run(prepare_at(url))
            ask(url, script or "select")
            own = url.replace("user=postgres", "user=few") if "few" in how else url
            before = catalog(url)
            [wrong] = check(database_url=own)["WRONG"]
            assert reason in wrong
            assert catalog(url) == before
            with pytest.raises(Unavailable, match=reason):
                asyncio.run(prepare_at(own))
            assert catalog(url) == before
        finally:
            if "few" in how:
                ask(url, "drop owned by few; drop role few")


def test_a_pooler_has_its_own_limits():
    """PgBouncer names a process of its own, which is how a pooler is told from PostgreSQL."""
    diagnostics = replace(WELL, is_pooled=True, connections=7)
    assert {level for level, _ in judge_database(diagnostics, Settings())} == {"ok"}


SECRETS_AND_NETWORKS = {
    "no password": ({"redis_url": "redis://10.0.0.1"}, "WRONG", "REDIS_URL has no password"),
    "no password here": (
        {"redis_url": "redis://localhost"},
        "warning",
        "REDIS_URL has no password",
    ),
    "cluster": ({"redis_url": "redis+cluster://a:1,b:2"}, "WRONG", "REDIS_URL has no password"),
    "password": ({"redis_url": "redis://:p@10.0.0.1"}, "", ""),
    "certificate": ({"redis_url": "rediss://10.0.0.1?ssl_certfile=/x"}, "", ""),
    "socket": ({"redis_url": "unix:///run/redis.sock"}, "", ""),
    "half of it": ({"redis_url": "", "database_url": "host=a"}, "warning", "embedded Redis"),
    "all proxies": (
        {"trusted_proxies": (ip_network("0.0.0.0/1"),), "metrics_allow": ()},
        "WRONG",
        "any address",
    ),
    "all scrapers": ({"metrics_allow": (ip_network("::/0"),)}, "warning", "nearly public"),
    "scraper or proxy": (
        {"trusted_proxies": (ip_network("127.0.0.1"),)},
        "note",
        "without X-Forwarded-For from it",
    ),
    "private": ({"trusted_proxies": (ip_network("fc00::/7"),)}, "", ""),
}


@pytest.mark.parametrize(
    ("given", "level", "said"), SECRETS_AND_NETWORKS.values(), ids=SECRETS_AND_NETWORKS
)
def test_stores_without_a_password_and_networks_too_wide(given, level, said):
    settings = replace(
        Settings(dialects={}), **{"database_url": "host=b", "redis_url": "", **given}
    )
    if "database_url" not in given and "redis_url" not in given:
        settings = replace(settings, redis_url="unix:///run/redis.sock")
    found = [
        each for each in judge_settings(settings) if each.level != "ok" and "files" not in each.what
    ]
    assert [each.level for each in found] == ([level] if level else [])
    assert all(said in each.what for each in found)


def test_secrets_that_others_may_read(tmp_path):
    """In a file that is named, or in the data directory. A directory that is closed protects it."""
    named = tmp_path / "keys"
    named.write_text(KEY)
    kept = tmp_path / "secret_key"
    kept.write_text(KEY)
    settings = Settings(secret_files=(named,), data_dir=str(tmp_path))
    levels = []
    for directory, file in ((0o755, 0o644), (0o755, 0o640), (0o700, 0o644)):
        named.chmod(file)
        kept.chmod(file)
        for each in [tmp_path, *tmp_path.parents[:-2]]:
            each.chmod(directory)
        levels.append([level for level, _ in judge_secrets(settings)])
    assert levels == [["WRONG", "WRONG"], [], []]


def test_a_redis_that_lets_nobody_in(check, settings, clean, redis_servers, capsys):
    """Why is said in the same words by `check` and `serve`, and without the password."""
    primary, _ = redis_servers.servers
    place = f"{HOST}:{primary.port}"
    cases = {
        f"redis://{place}/99": "the server has no database 99",
        f"redis://{place}/999999999": "the server has no database 999999999",
        f"redis://nobody:{SECRET}@{place}": "the server refuses the user name or the password",
    }
    with redis.Redis(HOST, primary.port) as operator:
        for url, reason in cases.items():
            assert check(redis_url=url)["WRONG"] == [f"redis: {reason}"]
        operator.config_set("requirepass", f"other-{SECRET}")
        cases = {
            f"redis://{place}": "the server requires a password, and the URL gives none",
            f"redis://:{SECRET}@{place}/3": "the server refuses the user name or the password",
        }
        try:
            for url, reason in cases.items():
                assert f"redis: {reason}" in check(redis_url=url)["WRONG"]
                own = replace(settings, redis_url=url, start_timeout=0.0)
                assert commands.run([], own) == 1
                assert capsys.readouterr().err == f"latchkey: redis: {reason}\n"
        finally:
            operator.config_set("requirepass", "")


async def test_a_server_that_repeats_the_password_is_not_quoted():
    """Redis repeats the arguments of a command that it does not know."""

    async def answer(reader, writer):
        await reader.read(4096)
        writer.write(f"-ERR unknown command 'HELLO', with args: 'AUTH' '{SECRET}'\r\n".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, HOST, 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable, match="unknown command") as refusal:
            await connect_redis(f"redis://x:{SECRET}@{HOST}:{port}", 1, 5.0)
    assert SECRET not in str(refusal.value)
    assert refusal.value.__cause__ is not None
    assert SECRET not in str(refusal.value.__cause__)


def test_hashes_that_take_longer_to_refuse_are_counted(check, kept_hashes):
    """By their cost, and by who made them; those of no password cost what an unknown name does."""
    found = check(bcrypt_rounds=5)
    [warning] = [each for each in found["warning"] if "higher cost" in each]
    [note] = [each for each in found["note"] if "another application's" in each]
    assert ": 2; " in warning
    assert ": 3; " in note


@pytest.fixture
def kept_hashes(stores, clean, database):
    """Accounts with hashes of many kinds."""
    asyncio.run(prepare_at(stores[0]))
    made = "." * 53
    hashes = [
        *(f"bcrypt_sha256$$2b${cost}${made}" for cost in ("04", "05", "06")),
        *(f"bcrypt$$2b${cost}${made}" for cost in ("05", "12")),
        f"$2y$04${made}",
        "pbkdf2_sha256$1$salt$x",
        "argon2$argon2id$v=19$m=8,t=1,p=1$c2FsdA$x",
        "scrypt:32768:8:1$salt$x",
        "!" + made,
    ]
    with database.cursor() as cursor:
        for number, kept in enumerate(hashes, 1):
            cursor.execute(
                "insert into account (id, session_epoch, password) values (%s, 1, %s)",
                (number, kept),
            )


def test_what_only_a_connection_shows_is_one_line(check, stores, redis_servers):
    """Values that have the right form, and can't be connected with."""
    place = f"{HOST}:{redis_servers.servers[0].port}"
    sentinels = redis_servers.url.partition("//")[2].partition("/")[0]
    separator = "&" if "?" in stores[0] else "?"
    bad = {
        "database_url": [
            f"{stores[0]}{separator}options=-c%20nonsense%3D1",
            f"{stores[0]}{separator}service=nobody",
            stores[0].replace("/postgres?", "/nobody?"),
            f"postgresql://me:{SECRET}@{place}/x?sslmode=require",
            f"postgresql://me:{SECRET}@{place}/x?sslmode=verify-full&sslrootcert=/nowhere",
            f"host=/nowhere password={SECRET}",
        ],
        "redis_url": [
            f"redis://:{SECRET}@nobody.invalid",
            f"rediss://:{SECRET}@{place}",
            f"rediss://:{SECRET}@{place}?ssl_ca_certs=/nowhere",
            f"rediss://:{SECRET}@{place}?ssl_min_version=5",
            f"rediss://:{SECRET}@{place}?ssl_ciphers=nonsense",
            f"unix:///nowhere/s?password={SECRET}",
            f"redis+cluster://:{SECRET}@{place}",
            f"redis+sentinel://{sentinels}/nobody",
            f"redis+sentinel://{place}/accounts",
        ],
    }
    connects = {"database_url": connect_database, "redis_url": connect_redis}
    for name, urls in bad.items():
        for url in urls:
            with pytest.raises(Unavailable) as refusal:
                run_loop(connects[name](url, 1, 0.4))
            assert SECRET not in str(refusal.value), url
            assert SECRET not in str(refusal.value.__cause__), url
    [wrong] = check(redis_url=f"redis://{sentinels}")["WRONG"][:1]
    assert "names a server in sentinel mode" in wrong
