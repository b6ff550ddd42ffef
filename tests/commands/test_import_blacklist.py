"""`sessions blacklist`: refresh tokens that another application had ended are refused."""

import asyncio
import datetime
import json
import time
from dataclasses import replace

import jwt
import pytest

import commands
from app import CORE, create_app
from handlers import DIALECTS
from handlers.mounts import parse_mounts
from store.account import NewAccount
from tests.secrecy import WATCH

KEY = "the signing key of the old back end, of 50 characters"
BLACKLISTED = {"detail": "Token is blacklisted", "code": "token_not_valid"}
LATER = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)


def old_refresh(jti: str) -> str:
    """Return a refresh token of account 1, as the old back end has issued it."""
    now = int(time.time())
    claims = {"token_type": "refresh", "exp": now + 3600, "iat": now - 900, "user_id": 1}
    token = jwt.encode({**claims, "jti": jti}, KEY, "HS256")
    WATCH.tokens.add(token)
    return token


@pytest.fixture
async def client(aiohttp_client, settings, clean):
    """A client of a server that accepts refresh tokens of the old back end."""
    moved = replace(
        settings,
        dialects=parse_mounts("simplejwt=/", DIALECTS),
        jwt_signing_keys=(KEY,),
        jwt_moved_at=time.time() + 60,
    )
    client = await aiohttp_client(create_app(moved))
    await client.app[CORE].admin.register(NewAccount("kim"), "a password")
    return client


@pytest.fixture
def blacklist(settings, capsys, tmp_path):
    """Run the command on what a file holds; return exit status and stdout."""

    async def run(text: str) -> tuple[int, str]:
        file = tmp_path / "blacklist"
        file.write_text(text)
        words = ["sessions", "blacklist", str(file)]
        status = await asyncio.to_thread(commands.run, words, settings)
        out, err = capsys.readouterr()
        assert err == ""
        return status, out

    return run


async def refresh(client, token: str) -> tuple[int, dict]:
    response = await client.post("/api/token/refresh", json={"refresh": token})
    return response.status, await response.json()


FORMS = {
    "csv": "jti,expires_at\n{jti},{later}\n",
    "with more columns": "id,jti,token,expires_at\n1,{jti},x.y.z,{later}\n",
    "lines": '{{"jti": "{jti}", "expires_at": "{later}"}}\n',
}


@pytest.mark.parametrize("form", FORMS)
async def test_a_blacklisted_token_is_refused_and_no_other(client, blacklist, form):
    jti = "0123456789abcdef" * 2
    text = FORMS[form].format(jti=jti, later=LATER)
    assert await blacklist(text) == (0, "1 token refused, 0 lines with problems\n")
    assert await refresh(client, old_refresh(jti)) == (401, BLACKLISTED)
    assert (await refresh(client, old_refresh("f" * 32)))[0] == 200


async def test_a_token_that_was_accepted_before_ends(client, blacklist):
    """With its access tokens."""
    status, found = await refresh(client, old_refresh("f" * 32))
    assert status == 200
    await blacklist(f"jti,expires_at\n{'f' * 32},{LATER}\n")
    assert await refresh(client, old_refresh("f" * 32)) == (401, BLACKLISTED)
    headers = {"Authorization": f"Bearer {found['access']}"}
    assert (await client.get("/verify", headers=headers)).status == 401


async def test_it_is_remembered_until_the_token_ends(client, blacklist, redis_client):
    ended = LATER - datetime.timedelta(hours=2)
    assert (await blacklist(f"jti,expires_at\na,{LATER}\nb,{ended}\n"))[0] == 0
    [key] = redis_client.keys("session:*")
    assert redis_client.get(key) == b"revoked"
    assert 3500 < redis_client.ttl(key) <= 3601


PROBLEMS = {
    f",{LATER}": "it has no jti",
    "x,": "its expires_at is not a time",
    "x,soon": "its expires_at is not a time",
    "x": "it cannot be read (1 fields, where the header has 2); correct it",
}


async def test_every_problem_is_reported_with_its_line(client, blacklist):
    lines = ["jti,expires_at", *PROBLEMS, f"y,{LATER}"]
    status, out = await blacklist("\n".join(lines) + "\n")
    assert status == 1
    assert out.splitlines() == [
        *(f"line {number}: {reason}" for number, reason in enumerate(PROBLEMS.values(), 2)),
        f"1 token refused, {len(PROBLEMS)} lines with problems",
    ]


async def test_a_jti_that_is_no_text_is_a_problem(client, blacklist):
    line = json.dumps({"jti": 7, "expires_at": str(LATER)})
    assert "line 1: it has no jti" in (await blacklist(line))[1]
