"""The libraries' own test cases, from their source distributions, against the dialects."""

import asyncio
import importlib.metadata
import json
import os
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
