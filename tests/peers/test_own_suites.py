"""The libraries' own test cases, from their source distributions, against the dialects."""

import asyncio
import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app import create_app
from handlers import DIALECTS
from handlers.internal.service_keys import Scope, parse_service_keys
from handlers.mounts import parse_mounts
from mail import sender
from store.password_rules import parse_password_rules
from tests.handlers.internal.keys import KEYS, TEXT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

HERE = Path(__file__).parent
README = (HERE / "README.md").read_text()
KNOX = "knox=/api?user-path=/user&user=username&login-fields="
MOUNTS = {
    "": f"{KNOX}expiry,token",
    "user": f"{KNOX}expiry,token,user",
    "short": f"{KNOX}expiry,token&lifetime=2",
}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Return the unpacked source distribution of a package, of the version that is installed."""

    def unpack(package: str) -> Path:
        directory = tmp_path_factory.mktemp(package)
        pinned = f"{package}=={importlib.metadata.version(package)}"
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        download += ["--no-binary=:all:", f"--dest={directory}", pinned]
        subprocess.run(download, check=True, timeout=120)
        [archive] = directory.glob("*.tar.gz")
        with tarfile.open(archive) as file:
            file.extractall(directory, filter="data")
        [unpacked] = (each for each in directory.iterdir() if each.is_dir())
        return unpacked

    return unpack


@pytest.fixture
def run(aiohttp_client, settings, clean, tmp_path):
    """Run cases against servers with these mounts; return how each ended, and why."""

    async def run_cases(
        library: str, directory: Path, cases: list[str], mounts: dict[str, str], **others: Any
    ) -> dict[str, tuple[str, str]]:
        urls = {}
        for name, text in mounts.items():
            own = replace(
                settings,
                dialects=parse_mounts(text, DIALECTS),
                service_keys=parse_service_keys(TEXT),
                password_rules=parse_password_rules("length=1"),
                **others,
            )
            client = await aiohttp_client(create_app(own))
            urls[name] = str(client.make_url("")).rstrip("/")
        environment = {
            "PYTHONPATH": str(HERE),
            "ADAPTED_URLS": json.dumps(urls),
            "ADAPTED_KEY": KEYS[Scope.WRITE],
            "ADAPTED_LIBRARY": library,
            "ADAPTED_MAIL": str(tmp_path / "mail"),
            "ADAPTED_RESULTS": str(tmp_path / "results.json"),
        }
        line = ["-m", "pytest", "-c", os.devnull, "--rootdir", ".", "--noconftest", "-q"]
        line += ["-p", "suite_adapter", "-p", "no:cacheprovider", "-p", "no:schemathesis"]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *line,
            *cases,
            cwd=directory,
            env=os.environ | environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        printed, _ = await process.communicate()
        assert process.returncode in (0, 1), printed.decode()
        return json.loads((tmp_path / "results.json").read_text())

    return run_cases


def check(package: str, results: dict[str, tuple[str, str]], fails: dict[str, str]) -> None:
    """Compare how the cases ended with the table of README.md, and with the failures named here."""
    failed = {name: why for name, (end, why) in results.items() if end == "failed"}
    ends = Counter(
        end if end != "skipped" else why.partition(":")[0] for end, why in results.values()
    )
    asked = ends["passed"] + ends["failed"] + ends["no option"]
    counts = [len(results), asked, ends["passed"], ends["failed"], ends["no option"]]
    row = f"| {package} {importlib.metadata.version(package)} | {' | '.join(map(str, counts))} |"
    assert set(failed) == set(fails), "\n".join(f"{name}: {failed[name]}" for name in failed)
    assert row in README, f"{row}\n{ends}"
    reasons = {why for end, why in results.values() if end == "skipped"}
    assert not sorted(each for each in reasons if f"`{each}`" not in README)


KNOX_FAILS = {
    "CleanupTokenTestCase::test_cleanup_does_not_delete_other_users_expired_tokens": "Redis deletes"
    " a session when it ends, whose account it is does not matter",
    "TokenAuthenticationTestCase::test_expiry_is_present": "the list of sessions has whole seconds,"
    " and the login microseconds",
}


async def test_knox(source, run):
    directory = source("django-rest-knox")
    check("django-rest-knox", await run("knox_adapter", directory, ["tests"], MOUNTS), KNOX_FAILS)


async def test_authtoken(source, run):
    cases = ["tests/authentication/test_authentication.py", "tests/test_authtoken.py"]
    directory, mounts = source("djangorestframework"), {"": "authtoken=/ knox=/k"}
    check("djangorestframework", await run("authtoken_adapter", directory, cases, mounts), {})


SIMPLEJWT_MOUNTS = {
    "": "simplejwt=/ djoser=/djoser?jwt=on",
    "short": "simplejwt=/?access-token-lifetime=1",
}
NO_EXP = "a signed token without `exp` is invalid, and the library says what it lacks"
OTHER_TYPE = (
    "a signed token of another type is invalid, and the library says that its type is wrong"
)
ANY_TYPE = "`verify` accepts this server's tokens, and the library's those of any type"
INVALID = "test_it_should_raise_token_error_if_token_invalid"
WRONG = "test_it_should_raise_token_error_if_token_has_wrong_type"
NOT_WRONG = "test_it_should_not_raise_token_error_if_token_has_wrong_type"
DELETED = "test_it_should_raise_error_for_deleted_users"
SIMPLEJWT_FAILS = {
    f"TestTokenRefreshSerializer::{INVALID}": NO_EXP,
    f"TestTokenVerifySerializer::{INVALID}": NO_EXP,
    f"TestTokenBlacklistSerializer::{INVALID}": NO_EXP,
    f"TestTokenRefreshSerializer::{WRONG}": OTHER_TYPE,
    f"TestTokenBlacklistSerializer::{WRONG}": OTHER_TYPE,
    f"TestTokenVerifySerializer::{NOT_WRONG}": ANY_TYPE,
    "TestTokenVerifyView::test_it_should_ignore_token_type": ANY_TYPE,
    f"TestTokenRefreshSerializer::{DELETED}": "401 for a deleted account, the library's 500",
}


async def test_simplejwt(source, run):
    directory = source("djangorestframework_simplejwt")
    results = await run(
        "simplejwt_adapter",
        directory,
        ["tests"],
        SIMPLEJWT_MOUNTS,
        jwt_signing_keys=("only for this test, on this machine",),
        jwt_moved_at=time.time() + 3600,
    )
    check("djangorestframework_simplejwt", results, SIMPLEJWT_FAILS)


REST = "password-rules=none"
WITH_403 = "unauthenticated-status=403"
JWTS = "auth-header-types=JWT,Bearer"
BLACKLIST = "token-blacklist=on"
ROTATING = "rotate-refresh-tokens=on"
VISIBLE, HIDDEN = "jwt-auth-httponly=off", "jwt-auth-httponly=on"
ACCESS, BOTH = "jwt-auth-cookie=xxx", "jwt-auth-refresh-cookie=refresh-xxx"
EXPIRATION = "jwt-auth-return-expiration=on"
OF_JWTS = [
    [REST],
    [REST, BLACKLIST],
    [VISIBLE, REST, BLACKLIST],
    [VISIBLE, REST, ROTATING, BLACKLIST],
    [EXPIRATION, REST, BLACKLIST],
    ["jwt-auth-cookie=jwt-auth", REST, BLACKLIST],
    [
        "jwt-auth-cookie=jwt-auth",
        "jwt-auth-refresh-cookie=jwt-auth-refresh",
        REST,
        BLACKLIST,
    ],
    [ACCESS, VISIBLE, BOTH, EXPIRATION, REST, BLACKLIST],
    [ACCESS, HIDDEN, BOTH, EXPIRATION, REST, ROTATING, BLACKLIST],
    [ACCESS, BOTH, "jwt-auth-refresh-cookie-path=/foo/bar", EXPIRATION, REST, BLACKLIST],
]
OF_DJ_REST_AUTH = [
    [REST, WITH_403],
    ["password-rules=numeric", WITH_403],
    ["password-rules=length", WITH_403],
    ["logout-requires-token=on", REST, WITH_403],
    ["email-required=on", "login=email", REST, WITH_403],
    ["login=either", REST, WITH_403],
    ["login=either", REST, "uid-encoding=base64", WITH_403],
    ["email-verification=mandatory", REST, WITH_403],
    ["old-password-field-enabled=on", REST, WITH_403],
    *[[JWTS, *each, WITH_403, "use-jwt=on"] for each in OF_JWTS],
    [JWTS, "jwt-auth-cookie=jwt-auth", REST, BLACKLIST, "use-jwt=on"],
]
"""The options of the servers, in the order of their names."""
DJ_REST_AUTH_FAILS = {
    "APIBasicTests::test_allauth_login_with_username": "a login with a bad token in its header",
    "APIBasicTests::test_login_by_email": "the same",
    "APIBasicTests::test_blacklisting": "a logout whose body is not an object is a 400, not a 500",
}


async def test_dj_rest_auth(run, tmp_path, monkeypatch):
    """Its wheel has its cases."""
    monkeypatch.setattr(sender, "WAKE_SECONDS", (0.0, 0.01))
    directory = tmp_path / "cases"
    installed = importlib.util.find_spec("dj_rest_auth").submodule_search_locations[0]
    shutil.copytree(Path(installed) / "tests", directory / "tests")
    mounts = {"&".join(each): f"dj-rest-auth=/?{'&'.join(each)}" for each in OF_DJ_REST_AUTH}
    mounts[""] = "dj-rest-auth=/"
    results = await run(
        "dj_rest_auth_adapter",
        directory,
        ["tests"],
        mounts,
        mail_url=f"file:{tmp_path}/mail",
        public_url="https://accounts.example",
    )
    check("dj-rest-auth", results, DJ_REST_AUTH_FAILS)
