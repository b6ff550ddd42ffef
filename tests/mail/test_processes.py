"""Several processes send what is in one queue, and are killed meanwhile: none twice, none lost."""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest

from mail.sender import LEASE_SECONDS
from tests.program import KEY, ROOT, Program, wait_for_async

MESSAGES = 40
MANY = 500


@contextlib.contextmanager
def sender_processes(settings, count):
    given = {
        name: getattr(settings, name)
        for name in ("database_url", "redis_url", "secret_keys", "mail_url", "mail_from")
    }
    given |= {"public_url": settings.public_url, "store_timeout": 20, "bcrypt_rounds": 4}
    command = [sys.executable, "-m", "tests.mail.sender_process", json.dumps(given)]
    processes = [subprocess.Popen(command, cwd=ROOT) for _ in range(count)]
    try:
        yield processes
    finally:
        for each in processes:
            each.kill()
            each.wait()


def fill(database, account, count):
    with database.cursor() as cursor:
        cursor.execute(
            """insert into mail (kind, account_id, address, expires)
               select 'verify', %s, %s, now() + interval '1 hour' from generate_series(1, %s)""",
            (account.id, account.email, count),
        )


async def test_two_processes_send_none_twice(
    mail_settings, account, inbox, database, emptied, core
):
    fill(database, await account(), MESSAGES)
    settings = replace(mail_settings, mail_url=f"smtp://127.0.0.1:{inbox.port}")
    inbox.delay = 0.01
    with sender_processes(settings, 2):
        assert await emptied()
    assert len(inbox.ids) == len(set(inbox.ids)) == MESSAGES
    assert inbox.connections >= 2


async def test_a_process_that_is_killed_loses_none(
    mail_settings, account, inbox, database, emptied
):
    """Only what it was about to record may come twice, under one Message-ID."""
    fill(database, await account(), MESSAGES)
    settings = replace(mail_settings, mail_url=f"smtp://127.0.0.1:{inbox.port}")
    inbox.delay = 0.02
    with sender_processes(settings, 2) as [first, _]:
        assert await wait_for_async(lambda: len(inbox.ids) >= MESSAGES // 4)
        first.kill()
        assert await emptied()
    assert len(set(inbox.ids)) == MESSAGES
    assert len(inbox.ids) <= MESSAGES + 1


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_servers_that_are_killed_lose_none_of_many(
    mail_settings, account, inbox, database, emptied
):
    """The program itself, with its real lease."""
    fill(database, await account(), MANY)
    inbox.delay = 0.02
    environment = {
        "DATABASE_URL": mail_settings.database_url,
        "REDIS_URL": mail_settings.redis_url,
        "SECRET_KEYS": KEY,
        "MAIL_URL": f"smtp://127.0.0.1:{inbox.port}",
        "MAIL_FROM": mail_settings.mail_from,
        "PUBLIC_URL": mail_settings.public_url,
    }
    killed = 0
    with Program(**environment) as first, Program(**environment) as second:
        for count, program in ((MANY // 4, first), (MANY // 2, second)):
            assert await wait_for_async(lambda count=count: len(inbox.ids) >= count)
            program.process.send_signal(signal.SIGKILL)
            killed += 1
        await asyncio.to_thread(second.process.wait)
    with Program(**environment):
        assert await emptied(2 * LEASE_SECONDS)
    counts = Counter(inbox.ids)
    assert len(counts) == MANY
    assert sum(counts.values()) <= MANY + killed
