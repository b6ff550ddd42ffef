"""examples/behind-nginx: Django and Express behind nginx, and clients from before the move.

Guide: docs/forward-auth.md, which shows the commands that are run here.
"""

import contextlib
import csv
import http.client
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.tests.balancer import free_port
from deploy.tests.proxies import INSTALLED, replaced
from tests.faults.crowd import on
from tests.handlers.conftest import Outages
from tests.pages import ROOT
from tests.program import PATIENCE, Program, Response, wait_for

EXAMPLE = "examples/behind-nginx"
GUIDE = ROOT / "docs/forward-auth.md"
DJANGO = "gunicorn --bind 127.0.0.1:9000 shop.wsgi"
EXPRESS = "node notes.mjs"
NGINX = "nginx -p . -c nginx.conf -e stderr"
MIGRATE = "python manage.py migrate"
INSTALL = "npm install"
TOKEN_AUTHENTICATION = "rest_framework.authentication.TokenAuthentication"
FORGED = ("X-Account-Id", "x-account-id", "X_Account_Id", "x_account-id", "X-Account_Id")
MAKE_USERS = """
from django.contrib.auth.models import User
from rest_framework.authtoken.models import Token
from shop.models import Order
for name in ("ada", "grace"):
    user = User.objects.create_user(name, f"{name}@example.org", "Analytical-Engine-1843")
    Token.objects.create(user=user)
    Order.objects.create(user=user, article=f"{name}'s first")
"""

pytestmark = pytest.mark.skipif(
    None in (INSTALLED["nginx"], shutil.which("node"), shutil.which("npm")),
    reason="nginx, node or npm is not installed",
)


def ask(port: int, method: str, path: str, data: Any = None, **headers: str) -> Response:
    """Make one request; the names of headers are sent as they are written."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        body = None if data is None else json.dumps(data)
        if data is not None:
            headers["Content-Type"] = "application/json"
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return Response(response.status, response.headers, response.read())


@dataclass
class Place:
    """A copy of the example, with ports of its own, and what runs in it."""

    home: Path
    port: int

    def environment(self, **more: str) -> dict[str, str]:
        paths = [str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin"]
        return {**os.environ, "PATH": os.pathsep.join(paths), "SECRET_KEY": "x" * 50, **more}

    def run(self, *line: str) -> None:
        done = subprocess.run(
            line,
            cwd=self.home,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    @contextlib.contextmanager
    def running(self, command: str, port: int, **environment: str) -> Iterator[None]:
        """Run a command of the guide until the end of the `with`; wait until it listens."""
        with (self.home / "log").open("ab") as log:
            process = subprocess.Popen(
                command.split(),
                cwd=self.home,
                env=self.environment(**environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

        def listens() -> bool:
            with contextlib.suppress(OSError, http.client.HTTPException):
                return ask(port, "GET", "/").status > 0
            return False

        try:
            assert wait_for(lambda: listens() or process.poll() is not None)
            assert process.poll() is None, (self.home / "log").read_text()
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE)

    def table(self, query: str, file: Path) -> None:
        """Write what a query finds in Django's database into a CSV file."""
        with closing(sqlite3.connect(self.home / "shop.sqlite3")) as connection:
            cursor = connection.execute(query)
            with file.open("w", newline="") as target:
                writer = csv.writer(target)
                writer.writerow([each[0] for each in cursor.description])
                writer.writerows(cursor)


@dataclass
class Move:
    """The applications after the move, and the tokens from before it by username."""

    port: int
    tokens: dict[str, str]
    outages: Outages

    def ask(self, method: str, path: str, data: Any = None, token: str = "", **more: str) -> Any:
        headers = {"Authorization": f"Token {token}"} if token else {}
        return ask(self.port, method, path, data, **headers, **more)


@pytest.fixture
def move(outages: Outages, clean: None, tmp_path: Path) -> Iterator[Move]:
    """Django alone, then its accounts and tokens in Latchkey, then everything behind nginx."""
    shutil.copytree(ROOT / EXAMPLE, tmp_path / EXAMPLE)
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    with ExitStack() as stack:
        place = Place(tmp_path / EXAMPLE, free_port("127.0.0.1"))
        npm = subprocess.run(
            [*INSTALL.split(), "--no-audit", "--no-fund"],
            cwd=place.home,
            capture_output=True,
            check=False,
        )
        if npm.returncode:
            pytest.skip("npm cannot install express here")
        latchkey, django, express = (free_port("127.0.0.1") for _ in range(3))
        gunicorn = DJANGO.replace("9000", str(django)) + " --no-control-socket"
        place.run(*MIGRATE.split())
        place.run("python", "manage.py", "shell", "-v", "0", "-c", MAKE_USERS)
        place.table("select id, username, email, password from auth_user", tmp_path / "a.csv")
        place.table("select key, user_id from authtoken_token", tmp_path / "t.csv")
        with (tmp_path / "t.csv").open() as file:
            keys = {row["user_id"]: row["key"] for row in csv.DictReader(file)}
        tokens = {"ada": keys["1"], "grace": keys["2"]}
        with place.running(gunicorn, django, AUTHENTICATION=TOKEN_AUTHENTICATION):
            before = ask(django, "GET", "/orders/", Authorization=f"Token {tokens['grace']}")
            assert before.json == {"user": 2, "orders": ["grace's first"]}

        urls = (outages.settings.database_url, outages.settings.redis_url)
        settings = on(urls, IMPORTED_TOKENS="on", TRUSTED_PROXIES="127.0.0.1", STORE_TIMEOUT="2")
        for line in (
            ("account", "import", str(tmp_path / "a.csv")),
            ("sessions", "import", str(tmp_path / "t.csv"), "--dialect", "lumotist"),
        ):
            with Program(*line, **settings) as program:
                assert program.wait() == 0, program.out + program.err
        server = stack.enter_context(Program(**settings, PORT=str(latchkey)))
        server.say(rf"serving on http://127\.0\.0\.1:{latchkey}")
        stack.enter_context(place.running(gunicorn, django))
        stack.enter_context(place.running(EXPRESS, express, PORT=str(express)))
        file = place.home / "nginx.conf"
        changes = {
            "127.0.0.1:8000": f"127.0.0.1:{latchkey}",
            "127.0.0.1:9000": f"127.0.0.1:{django}",
            "127.0.0.1:9001": f"127.0.0.1:{express}",
            "127.0.0.1:8080": f"127.0.0.1:{place.port}",
            "daemon off;": "daemon off;\nuser root;" if os.geteuid() == 0 else "daemon off;",
        }
        file.write_text(replaced(file.read_text(), changes))
        stack.enter_context(place.running(NGINX, place.port))
        yield Move(place.port, tokens, outages)


@pytest.mark.timeout(600)
def test_the_example(move: Move):
    ada, grace = move.tokens["ada"], move.tokens["grace"]

    # The tokens from before the move work everywhere, for the same users.
    assert move.ask("GET", "/orders/", token=ada).json == {"user": 1, "orders": ["ada's first"]}
    assert move.ask("GET", "/account/profile", token=ada).json["data"]["id"] == 1
    account = {"id": 1, "username": "ada"}
    assert move.ask("GET", "/notes/", token=ada).json == {"account": account, "notes": []}
    assert move.ask("POST", "/notes/", {"text": "ring"}, ada).status == 201
    assert move.ask("GET", "/notes/", token=ada).json["notes"] == ["ring"]
    assert move.ask("GET", "/notes/", token=grace).json["notes"] == []
    assert move.ask("POST", "/orders/", {"article": "engine"}, ada).json["orders"][-1] == "engine"

    # An account that registers now is new to Django.
    new = {"username": "joan", "email": "joan@example.org", "password": "Analytical-Engine-1843"}
    joan = move.ask("POST", "/account/register", new).json["token"]
    assert move.ask("GET", "/orders/", token=joan).json == {"user": 3, "orders": []}

    # A forged header never arrives.
    for name in FORGED:
        for path in ("/orders/", "/notes/"):
            assert move.ask("GET", path, **{name: "1"}).status == 401
        assert move.ask("GET", "/orders/", token=grace, **{name: "1"}).json["user"] == 2
        assert move.ask("GET", "/notes/", token=grace, **{name: "1"}).json["account"]["id"] == 2

    # Without Redis: 503 everywhere, and everyone is logged in afterwards.
    move.outages.take_away("redis")
    try:
        for path in ("/orders/", "/notes/", "/account/profile"):
            response = move.ask("GET", path, token=ada)
            assert response.status == 503
            assert int(response.headers["Retry-After"]) >= 1
    finally:
        move.outages.bring_back("redis")
    assert wait_for(lambda: move.ask("GET", "/account/profile", token=ada).status == 200)
    for path in ("/orders/", "/notes/"):
        assert [move.ask("GET", path, token=each).status for each in (ada, grace, joan)] == [
            200
        ] * 3

    # A logout takes effect on the next request to any of them.
    assert move.ask("POST", "/account/logout", token=ada).status == 200
    for path in ("/orders/", "/notes/", "/account/profile"):
        response = move.ask("GET", path, token=ada)
        assert (response.status, response.json) == (401, {"detail": "Invalid token."})
        assert move.ask("GET", path, token=grace).status == 200


def test_the_guide_shows_what_is_run_here():
    text = GUIDE.read_text()
    for command in (DJANGO, EXPRESS, NGINX, MIGRATE, INSTALL):
        assert command in text
    for file in ("shop/identity.py", "notes.mjs"):
        assert (ROOT / EXAMPLE / file).read_text() in text
