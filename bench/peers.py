"""The peers of the benchmark: what each needs, and how it is installed, seeded and started.

    peer = install(PEERS["djoser"], cache)
    stores = {"DATABASE_URL": "postgresql://...", "REDIS_URL": "redis://..."}
    seed(peer, stores, 10_000, tokens_file)
    process = start(peer, stores, 8000)
    ...
    process.terminate()

Each peer keeps its tables in a schema named after it, so that all can share one database.
"""

import http.client
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote, urlsplit

SOURCES = Path(__file__).resolve().parent / "peers"
START_SECONDS = 30.0


class ToolMissing(Exception):
    """The peer needs a program that this machine does not have."""

    def __init__(self, peer: str, tool: str) -> None:
        super().__init__(f"{peer} needs {tool}")
        self.peer = peer
        self.tool = tool


class PeerFailed(Exception):
    """The peer's own command failed, or its server never answered."""


@dataclass(frozen=True)
class Ecosystem:
    """How a peer is installed: the tools, the file with its pins, and the commands."""

    tools: tuple[str, ...]
    pins: str
    install: tuple[str, ...]


PYTHON = Ecosystem(
    tools=(),
    pins="requirements.txt",
    install=(
        "{python} -m venv --clear venv",
        "venv/bin/python -m pip install --quiet --requirement requirements.txt",
    ),
)
NODE = Ecosystem(
    tools=("node", "npm"),
    pins="package-lock.json",
    install=("npm ci --ignore-scripts --no-audit --no-fund --loglevel=error",),
)


@dataclass(frozen=True)
class Registration:
    """A request that registers an account: a POST of JSON, with a new name for each NAME in it."""

    path: str
    body: str


@dataclass(frozen=True)
class Peer:
    """One opponent. `home` is where `install` put it; before that it is `None`."""

    name: str
    ecosystem: Ecosystem
    seed: str
    serve: str
    path: str
    registration: Registration | None = None
    """None if the library has no registration: knox and Flask-JWT-Extended only issue tokens."""
    home: Path | None = None


NAMED = '{"username": "NAME", "email": "NAME@example.com", "password": "correct horse battery"}'
BETTER_AUTH = NAMED.replace("username", "name")  # it has no usernames
CHEAP_HASH = {"CHEAP_HASH": "yes"}
"""Has a peer with a registration hash with bcrypt of cost 4, or the least work it allows."""

PYTHON_SEED = "venv/bin/python seed.py {count} {tokens}"
NODE_SEED = "node seed.mjs {count} {tokens}"
GUNICORN = "venv/bin/gunicorn --workers 1 --no-control-socket --bind 127.0.0.1:{port}"
DJANGO = f"{GUNICORN} --env DJANGO_SETTINGS_MODULE=settings django.core.wsgi:get_wsgi_application()"
UVICORN = "venv/bin/uvicorn --workers 1 --loop uvloop --no-access-log --port {port}"

PEERS = {
    peer.name: peer
    for peer in (
        Peer(
            "djoser",
            PYTHON,
            PYTHON_SEED,
            DJANGO,
            "/auth/users/me/",
            Registration("/auth/users/", NAMED),
        ),
        Peer("knox", PYTHON, PYTHON_SEED, DJANGO, "/account/profile"),
        Peer(
            "fastapi_users",
            PYTHON,
            PYTHON_SEED,
            f"{UVICORN} app:app",
            "/users/me",
            Registration("/auth/register", NAMED),
        ),
        Peer("flask_jwt", PYTHON, PYTHON_SEED, f"{GUNICORN} app:app", "/account/profile"),
        Peer(
            "better_auth",
            NODE,
            NODE_SEED,
            "node app.mjs",
            "/api/auth/get-session",
            Registration("/api/auth/sign-up/email", BETTER_AUTH),
        ),
        Peer("fastify", NODE, NODE_SEED, "node app.mjs", "/account/profile"),
        Peer("bare", PYTHON, PYTHON_SEED, "venv/bin/python app.py", "/"),
    )
}


def install(peer: Peer, cache: Path) -> Peer:
    """Copy the peer under `cache` and fetch what it pins; return it with its `home`.

    Raises `ToolMissing`. A second call fetches only if the pins, or for a Python peer the Python
    that runs the benchmark, have changed.
    """
    for tool in peer.ecosystem.tools:
        if shutil.which(tool) is None:
            raise ToolMissing(peer.name, tool)
    # Node looks for libraries beside the program, so the program moves to the cache.
    home = Path(cache).resolve() / peer.name
    shutil.copytree(SOURCES / peer.name, home, dirs_exist_ok=True)
    peer = replace(peer, home=home)
    # Bare aiohttp on another Python than the server's would falsify the ratio.
    python = sys.version if peer.ecosystem is PYTHON else ""
    wanted = f"{python}\n{(home / peer.ecosystem.pins).read_text()}"
    installed = home / ".installed"
    if not installed.exists() or installed.read_text() != wanted:
        installed.unlink(missing_ok=True)  # or a failure would leave it beside half a venv
        for command in peer.ecosystem.install:
            _run(peer, command, os.environ, python=sys.executable)
        installed.write_text(wanted)
    return peer


def seed(peer: Peer, env: Mapping[str, str], n: int, tokens_file: Path) -> None:
    """Replace the peer's accounts by `n` new ones, their Authorization headers in the file."""
    tokens = Path(tokens_file).resolve()
    _run(peer, peer.seed, _environment(peer, env), count=n, tokens=tokens)


def start(peer: Peer, env: Mapping[str, str], port: int) -> subprocess.Popen[bytes]:
    """Start the peer on 127.0.0.1 and return when it answers; the caller terminates it.

    What it prints is in `server.log` in its home. Raises `PeerFailed` when no answer comes.
    """
    home = _home(peer)
    if _answers(port, peer.path):
        raise PeerFailed(f"port {port} is taken")
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            _words(peer.serve, port=port),
            cwd=home,
            env={**_environment(peer, env), "PORT": str(port)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    deadline = time.monotonic() + START_SECONDS
    while not _answers(port, peer.path):
        if process.poll() is not None or time.monotonic() > deadline:
            process.terminate()
            process.wait()
            raise PeerFailed(f"{peer.name} did not start; see its server.log")
        time.sleep(0.01)
    return process


def pinned(peer: Peer) -> list[str]:
    """Return the libraries that the peer asks for itself, with their versions."""
    source = SOURCES / peer.name
    if peer.ecosystem is NODE:
        packages = json.loads((source / "package.json").read_text())["dependencies"]
        return [f"{name} {version}" for name, version in packages.items()]
    own, _, _ = (source / peer.ecosystem.pins).read_text().partition("\n\n")
    return [line.replace("==", " ") for line in own.splitlines()]


def _home(peer: Peer) -> Path:
    if peer.home is None:
        raise ValueError(f"install {peer.name} first")
    return peer.home


def _words(command: str, **values: object) -> list[str]:
    # Filled in after the split, so that a path with a space stays one word.
    return [word.format(**values) for word in shlex.split(command)]


def _run(peer: Peer, command: str, env: Mapping[str, str], **values: object) -> None:
    words = _words(command, **values)
    done = subprocess.run(
        words,
        cwd=_home(peer),
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise PeerFailed(f"{peer.name}: {shlex.join(words)}\n{done.stdout}")


def _environment(peer: Peer, env: Mapping[str, str]) -> dict[str, str]:
    address = env["DATABASE_URL"]
    joint = "&" if urlsplit(address).query else "?"
    schema = quote(f"-csearch_path={peer.name}", safe="")
    return {
        **os.environ,
        **env,
        "DATABASE_URL": f"{address}{joint}options={schema}",
        "NODE_ENV": "production",
    }


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        # A refusal will do: it has come through the application.
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
