"""`factors`: second factors are shown, reset, imported from other applications and exported."""

import asyncio
import base64
import json
import shutil
import subprocess
import time
from dataclasses import replace
from typing import Any

import pyotp
import pytest

import commands
from tests.program import KEY

OWN = {"username": "kim", "email": "kim@example.com", "password": "Analytical-Engine-1843"}
LOGIN = {"login": "kim", "password": OWN["password"]}
SECRET = base64.b32decode("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
BASE32, HEX = base64.b32encode(SECRET).decode(), SECRET.hex()
NONE = {"totp": False, "recovery_codes_left": 0, "passkeys": []}
OATHTOOL = shutil.which("oathtool")


@pytest.fixture
async def token(client) -> str:
    """The token of kim, who has the id 1."""
    return (await (await client.post("/v1/accounts", json=OWN)).json())["token"]


@pytest.fixture
def run(settings, capsys, tmp_path):
    """Run `factors …`, with a file if there is content; return exit status, stdout and stderr."""

    async def run(*words: str, content: Any = None, **other: Any) -> tuple[int, str, str]:
        if content is not None:
            file = tmp_path / "secrets"
            file.write_text(content)
            words = ("import", str(file), *words)
        where = replace(settings, **other)
        status = await asyncio.to_thread(commands.run, ["factors", *words], where)
        out, err = capsys.readouterr()
        if words[0] == "import":
            assert BASE32 not in out + err
            assert HEX not in out + err
        return status, out, err

    return run


async def log_in(client, **more: Any) -> int:
    return (await client.post("/v1/sessions", json={**LOGIN, **more})).status


def code(steps: int = 0) -> str:
    return pyotp.TOTP(BASE32).at(time.time() + 30 * steps)


async def test_second_factors_are_shown_and_reset(client, token, run):
    assert json.loads((await run("show", "kim"))[1]) == NONE
    status, _, err = await run("reset", "kim")
    assert (status, "no second factor and no passkey" in err) == (1, True)
    assert (await run(content=f"username,totp\nkim,{BASE32}\n"))[0] == 0
    assert json.loads((await run("show", "kim"))[1]) == {**NONE, "totp": True}
    assert await log_in(client) == 401
    reset = await run("reset", "kim", "--json")
    assert json.loads(reset[1]) == {"id": 1, "factors": "removed"}
    assert json.loads((await run("show", "kim"))[1]) == NONE
    assert await log_in(client) == 201


FILES = {
    "django-otp": f"id,user_id,key,confirmed,digits,step,t0,name\n7,1,{HEX},t,6,30,0,default\n",
    "django-allauth": json.dumps({"user_id": 1, "type": "totp", "data": {"secret": BASE32}}),
    "django-allauth in CSV": f'user_id,type,data\n1,totp,"{{""secret"": ""{BASE32}""}}"\n',
    "django-trench": f"user_id,name,secret,is_active\n1,app,{BASE32.lower()},true\n",
    "ours": json.dumps({"id": 1, "username": "kim", "email": None, "totp": BASE32}),
    "by e-mail": f"email,totp\nKim@Example.com,{BASE32[:16]} {BASE32[16:]}\n",
}


@pytest.mark.parametrize("name", FILES)
async def test_secrets_of_other_applications(client, token, run, name):
    assert await run("--check", content=FILES[name]) == (
        0,
        "1 secret can be imported, 0 lines with problems\n",
        "",
    )
    assert await log_in(client) == 201
    assert await run(content=FILES[name]) == (0, "1 secret imported, 0 lines with problems\n", "")
    assert await log_in(client) == 401
    assert await log_in(client, code=code()) == 201


PROBLEMS = {
    f"user_id,key,confirmed\n1,{HEX},f\n": "its device is not in use (confirmed)",
    f"user_id,key,digits\n1,{HEX},8\n": "its digits is not 6",
    f"user_id,key,step\n1,{HEX},60\n": "its step is not 30",
    "user_id,key\n1,0123\n": "no secret in base32 or hex",
    f"user_id,key\n1,{'0' * 200}\n": "no secret in base32 or hex",
    "user_id,type,data\n1,totp,{broken\n": "no secret in base32 or hex",
    'user_id,type,data\n1,recovery_codes,"{""seed"": ""x""}"\n': "its type is not that of an",
    f"user_id,name,secret\n1,email,{BASE32}\n": "its name is not that of an authenticator app",
    f"username,totp\nnobody,{BASE32}\n": "no account has username 'nobody'",
    f"user_id,totp\nx,{BASE32}\n": "its user_id is not an account's id",
    f"totp\n{BASE32}\n": "it does not name an account",
}


@pytest.mark.parametrize("content", PROBLEMS)
async def test_what_cannot_be_imported_is_told(client, token, run, content):
    status, out, err = await run(content=content)
    assert (status, err) == (1, "")
    [line, summary] = out.splitlines()
    assert line.startswith("line 2: ")
    assert PROBLEMS[content] in line
    assert summary == "0 secrets imported, 1 line with problems"
    assert await log_in(client) == 201


async def test_an_account_keeps_the_second_factor_that_it_has(client, token, run):
    assert (await run(content=f"user_id,totp\n1,{BASE32}\n1,{'A' * 32}\n"))[0] == 1
    status, out, _ = await run(content=f"user_id,totp\n1,{'B' * 32}\n")
    assert (status, "it has a second factor" in out) == (1, True)
    assert await log_in(client, code=code()) == 201


async def test_an_export_is_what_an_import_takes(client, token, run):
    await run(content=FILES["ours"])
    status, exported, err = await run("export")
    assert (status, err) == (0, "")
    shown = {"id": 1, "username": "kim", "email": OWN["email"], "totp": BASE32}
    assert json.loads(exported) == shown
    await run("reset", "kim")
    assert (await run(content=exported))[0] == 0
    assert await log_in(client, code=code()) == 201


async def test_a_secret_under_another_key_is_not_exported(client, token, run):
    await run(content=FILES["ours"])
    status, out, err = await run("export", secret_keys=(KEY[::-1],))
    assert (status, out) == (1, "")
    assert "1 secret under a key that is not in SECRET_KEYS" in err


@pytest.mark.skipif(not OATHTOOL, reason="oathtool is not installed")
async def test_codes_are_those_of_oathtool(client, token, run):
    await run(content=FILES["ours"])
    command = [str(OATHTOOL), "--totp", "--base32", BASE32]
    made = await asyncio.to_thread(subprocess.check_output, command, text=True)
    assert await log_in(client, code=made.strip()) == 201
