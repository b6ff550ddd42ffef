"""The applications of docs/authenticate-in-your-code.md, and what runs them."""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.pages import ROOT, free_port
from tests.program import Client, Response, wait_for

PAGE = ROOT / "docs/authenticate-in-your-code.md"
SOURCE = ROOT / "clients/python/src"

_SETTINGS = """
import os

SECRET_KEY = "of-the-tests"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "urls"
USE_TZ = True
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
INSTALLED_APPS = [
    "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "database"}}
"""
_URLS = "from django.urls import path\nimport views\n\nurlpatterns = [path('me', views.me)]\n"
_RUN_DJANGO = "-m", "django", "runserver", "--noreload", "--skip-checks", "127.0.0.1:{port}"
_RUN_AIOHTTP = (
    "from aiohttp import web; from example import app; web.run_app(app, host='127.0.0.1', port={})"
)


@dataclass(frozen=True)
class Application:
    """An example: its heading, what its environment has, its files, and how to run it."""

    heading: str
    requirements: tuple[str, ...]
    files: tuple[str, ...]
    """The names of the files of the heading's code blocks."""
    command: tuple[str, ...]
    others: Mapping[str, str] = field(default_factory=dict)
    """Other files; what is in one of the example's follows it."""

    def write(self, directory: Path, url: str) -> None:
        """Write the files, for a server at this URL."""
        texts = dict(self.others)
        for name, code in zip(self.files, blocks(self.heading), strict=True):
            texts[name] = texts.get(name, "") + code.replace("http://127.0.0.1:8000", url)
        for name, text in texts.items():
            (directory / name).write_text(text)


_DJANGO = {"settings.py": _SETTINGS, "urls.py": _URLS}
APPLICATIONS = {
    "djangorestframework": Application(
        "Django REST framework",
        ("djangorestframework", "djangorestframework-stubs"),
        ("settings.py", "views.py"),
        _RUN_DJANGO,
        _DJANGO,
    ),
    "django": Application(
        "Django", ("django", "django-stubs"), ("settings.py", "views.py"), _RUN_DJANGO, _DJANGO
    ),
    "flask": Application(
        "Flask", ("flask",), ("example.py",), ("-m", "flask", "--app=example", "run", "-p{port}")
    ),
    "fastapi": Application(
        "FastAPI",
        ("fastapi", "uvicorn"),
        ("example.py",),
        ("-m", "uvicorn", "example:app", "--port={port}"),
    ),
    "aiohttp": Application(
        "aiohttp", ("aiohttp",), ("example.py",), ("-c", _RUN_AIOHTTP.replace("{}", "{port}"))
    ),
}


def blocks(heading: str) -> list[str]:
    """Return the Python code below a heading of the page."""
    [section] = re.findall(rf"^### {heading}\n(.*?)(?=^##|\Z)", PAGE.read_text(), re.M | re.S)
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


class Running:
    """An application that runs."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
        self._process, self._port, self._log = process, port, log

    def get(self, token: str = "", scheme: str = "Token", path: str = "/me") -> Response:
        """Return the response of an endpoint."""
        assert self._process.poll() is None, self.log
        client = Client(self._port)
        try:
            headers = {"Authorization": f"{scheme} {token}"} if token else {}
            client.send("GET", path, **headers)
            return client.receive()
        finally:
            client.close()

    @property
    def log(self) -> str:
        """What it has printed."""
        return self._log.read_text()


@contextmanager
def running(
    python: Path, command: tuple[str, ...], directory: Path, source: Path | None = None
) -> Iterator[Running]:
    """Run an application of a directory, with the client of its environment or this source."""
    port, log = free_port(), directory / "log"
    process = run(python, command, directory, source, port, log)
    try:
        found = Running(process, port, log)
        assert wait_for(lambda: _responds(found)), log.read_text()
        yield found
    finally:
        process.terminate()
        process.wait()


def run(
    python: Path,
    command: tuple[str, ...],
    directory: Path,
    source: Path | None,
    port: int,
    log: Path,
) -> "subprocess.Popen[bytes]":
    """Start a program of an application."""
    inherited = {name: os.environ[name] for name in ("HOME", "LANG", "PATH") if name in os.environ}
    paths = os.pathsep.join(map(str, filter(None, (directory, source))))
    with log.open("wb") as output:
        return subprocess.Popen(
            [python, *(each.replace("{port}", str(port)) for each in command)],
            cwd=directory,
            env={**inherited, "PYTHONPATH": paths, "DJANGO_SETTINGS_MODULE": "settings"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def _responds(application: Running) -> bool:
    try:
        return application.get().status > 0
    except OSError:
        return False
