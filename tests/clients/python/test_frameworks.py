"""The examples of docs/authenticate-in-your-code.md, each in an application of its framework."""

import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

from tests.clients.python.applications import (
    APPLICATIONS,
    SOURCE,
    Running,
    blocks,
    running,
)
from tests.clients.python.conftest import PASSWORD, Latchkey
from tests.handlers.internal.keys import KEYS, Scope
from tests.pages import ROOT
from tests.program import Relay

UNKNOWN = "0123456789abcdef" * 4


def check_application(latchkey: Latchkey, relay: Relay, application: Running, name: str) -> None:
    """It knows its users, also after outages, which are a 503, and until the logout."""
    token, account_id = latchkey.sign_up(name)
    mika = {"id": account_id, "username": name}
    for scheme in ("Token", "Bearer", "bearer"):
        response = application.get(token, scheme)
        assert (response.status, response.json) == (200, mika)
    for other in ("", UNKNOWN, token[:-1], "x y", "\xe9", "x" * 5000):
        assert application.get(other).status == 401, other
    assert application.get(token, "Basic").status == 401

    with latchkey.without_redis():
        check_unavailable(application, token)
        assert application.get().status == 401
    assert application.get(token).json == mika
    relay.close()
    check_unavailable(application, token)
    with closing(Relay(("127.0.0.1", latchkey.port), relay.port)):
        assert application.get(token).json == mika
        latchkey.log_out(token)
        assert application.get(token).status == 401
    assert token not in application.log


def check_unavailable(application: Running, token: str) -> None:
    response = application.get(token)
    assert (response.status, response.headers["Retry-After"]) == (503, "1")


@pytest.fixture
def relay(latchkey: Latchkey) -> Iterator[Relay]:
    """A port in front of the server, which can be closed."""
    relay = Relay(("127.0.0.1", latchkey.port))
    yield relay
    relay.close()


@pytest.mark.parametrize("name", APPLICATIONS)
def test_an_example(latchkey: Latchkey, relay: Relay, tmp_path: Path, name: str):
    example = APPLICATIONS[name]
    example.write(tmp_path, f"http://127.0.0.1:{relay.port}")
    with running(Path(sys.executable), example.command, tmp_path, SOURCE) as application:
        check_application(latchkey, relay, application, f"mika-{name}")


@pytest.mark.parametrize("name", APPLICATIONS)
def test_examples_are_short(name: str):
    for code in blocks(APPLICATIONS[name].heading):
        assert len([line for line in code.splitlines() if line.strip()]) <= 12


def test_the_licence_is_a_copy():
    """A link would lead out of the source distribution."""
    licence = ROOT / "clients/python/LICENSE"
    assert not licence.is_symlink()
    assert licence.read_text() == (ROOT / "LICENSE").read_text()


def code_without_framework(latchkey: Latchkey) -> str:
    code = "\n".join(blocks("Other frameworks, and the accounts"))
    return code.replace("http://127.0.0.1:8000", latchkey.url)


def test_the_examples_without_a_framework(latchkey: Latchkey):
    names: dict[str, Any] = {}
    exec(code_without_framework(latchkey), names)  # noqa: S102  # it is our documentation
    with names["latchkey"]:
        token, _ = latchkey.sign_up("plain")
        headers = {"Authorization": f"Bearer {token}"}
        assert names["caller_of"](headers) == "plain"
        assert names["disable_and_list"](KEYS[Scope.WRITE], "Plain") == ["plain"]
        assert names["caller_of"](headers) is None
        assert names["caller_of"]({}) is None


def test_the_readme(latchkey: Latchkey, capsys: pytest.CaptureFixture[str]):
    text = (ROOT / "clients/python/README.md").read_text()
    token, account_id = latchkey.sign_up("reader")
    names: dict[str, Any] = {"token": token, "key": KEYS[Scope.WRITE], "password": PASSWORD}
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(code.replace("http://127.0.0.1:8000", latchkey.url), names)  # noqa: S102
    names["latchkey"].close()
    assert names["identity"].id == account_id
    assert re.search(r"^\d+ mika$", capsys.readouterr().out, re.MULTILINE)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, built as it is published. Skips without a package index."""
    directory = tmp_path_factory.mktemp("wheel")
    probe = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", directory, "httpx"]
    if subprocess.run(probe, check=False, capture_output=True).returncode:
        pytest.skip("no package index can be reached")
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", directory]
    subprocess.run([*build, ROOT / "clients/python"], check=True, capture_output=True)
    [built] = directory.glob("latchkey_client-*.whl")
    return built


Environment = Callable[..., Path]


@pytest.fixture
def environment(wheel: Path, tmp_path: Path) -> Environment:
    """Make an empty environment with the wheel and its extra; return its interpreter."""

    def make(extra: str = "", *requirements: str) -> Path:
        subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
        python = tmp_path / "venv/bin/python"
        package = f"latchkey-client[{extra}] @ {wheel.as_uri()}" if extra else str(wheel)
        install = [python, "-m", "pip", "install", "-q", package, *requirements]
        subprocess.run(install, check=True, capture_output=True)
        return python

    return make


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", APPLICATIONS)
def test_an_example_with_the_wheel(
    latchkey: Latchkey, relay: Relay, environment: Environment, tmp_path: Path, name: str
):
    """In an environment with the wheel's extra alone; mypy finds no error in the example."""
    example = APPLICATIONS[name]
    python = environment(*example.requirements)
    directory = tmp_path / "application"
    directory.mkdir()
    example.write(directory, f"http://127.0.0.1:{relay.port}")
    with running(python, example.command, directory) as application:
        check_application(latchkey, relay, application, f"wheel-{name}")
    check_types(python, directory / example.files[-1])


def check_types(python: Path, file: Path) -> None:
    checked = run_mypy(python, file)
    assert checked.returncode == 0, checked.stdout


def run_mypy(python: Path, file: Path) -> "subprocess.CompletedProcess[str]":
    mypy = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        f"--python-executable={python}",
    ]
    return subprocess.run(
        [*mypy, file.name], cwd=file.parent, check=False, capture_output=True, text=True
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_wheel_needs_httpx_only(
    latchkey: Latchkey, environment: Environment, wheel: Path, tmp_path: Path
):
    """The example without a framework runs, and mypy knows its types."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [each for each in archive.namelist() if each.endswith("/METADATA")]
        metadata = message_from_bytes(archive.read(name))
        files = [each.rpartition("/")[2] for each in archive.namelist()]
    assert {"py.typed", "LICENSE"} <= set(files)
    needed = [each for each in metadata.get_all("Requires-Dist") if "extra ==" not in each]
    assert [each.partition(">")[0] for each in needed] == ["httpx"]
    python = environment()
    code = code_without_framework(latchkey)
    (tmp_path / "example.py").write_text(code)
    check_types(python, tmp_path / "example.py")
    (tmp_path / "wrong.py").write_text(f"{code}\nlatchkey.authenticate(1)\n")
    assert "[arg-type]" in run_mypy(python, tmp_path / "wrong.py").stdout
    token, _ = latchkey.sign_up("wheel")
    calls = f"print(caller_of({{'Authorization': 'Token {token}'}}))"
    ran = subprocess.run([python, "-c", f"{code}\n{calls}"], check=True, capture_output=True)
    assert ran.stdout == b"wheel\n"
