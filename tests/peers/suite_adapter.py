"""Runs a library's own test cases against a server: a plugin of pytest, in Django's place.

The cases see Django and its test client. Requests of the client go to the server at ADAPTED_URLS;
accounts are created and changed by the service API; tokens are those of its logins, and the token
that a case makes up stands for one of them. A case that needs what no server can be asked for, or
an option that the dialect lacks, is skipped with the reason. tests/peers/README.md has the counts.

A library's half is `knox_adapter`, `authtoken_adapter`, `simplejwt_adapter` or
`dj_rest_auth_adapter`, as ADAPTED_LIBRARY says. It may `choose` the server of each request, and
take a `note` of the response.
"""

import functools
import importlib
import json
import os
import time
import types
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path
from typing import Any, NoReturn
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import django
import pytest
from django.conf import settings
from django.core.management import call_command
from django.http import HttpResponse
from django.test import TransactionTestCase, utils
from django.test.client import ClientHandler

URLS: dict[str, str] = json.loads(os.environ["ADAPTED_URLS"])
"""The servers by the options of their mounts; "" has none."""
KEY = os.environ["ADAPTED_KEY"]
"""The service key."""
NOT_ASKABLE = "not askable: "
NO_OPTION = "no option: "
UNUSED_PASSWORD = "for an account without one"

passwords: dict[int, str] = {}
"""The password of each account that the case created, by its id on the server."""
aliases: dict[str, str] = {}
"""What a case calls a token, and the token."""


class Now:
    """What holds until the end of a case."""

    variant = ""
    """The key of the server that is asked."""
    ripe = 0.0
    """When the last of the tokens that are to be expired has expired."""


paths: dict[str, str] = {}
"""The server's path of a view of the cases."""


def not_askable(why: str) -> NoReturn:
    """Skip a case that asks what is inside of the library's process."""
    pytest.skip(NOT_ASKABLE + why)


def no_option(name: str) -> NoReturn:
    """Skip a case of a setting of the library that the dialect lacks."""
    pytest.skip(NO_OPTION + name)


def send(
    method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, Message, bytes]:
    """Send a request to the server; return the status, the headers and the body."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"Content-Type": "application/json"} if data is not body else {}
    request = Request(URLS[Now.variant] + path, data, {**sent, **(headers or {})}, method=method)  # noqa: S310
    try:
        with urlopen(request, timeout=20) as response:  # noqa: S310
            return response.status, response.headers, response.read()
    except HTTPError as error:
        return error.code, error.headers, error.read()


def wait() -> None:
    """Wait until the tokens that are to be expired have expired."""
    time.sleep(max(0.0, Now.ripe - time.time()))


def service(method: str, path: str, body: Any = None) -> Any:
    """Send a request to the service API; return what it responds."""
    status, _, content = send(method, path, body, {"Authorization": f"Bearer {KEY}"})
    assert status < 300, f"{method} {path}: {status} {content!r}"
    return json.loads(content) if content else None


def sessions(account: int, dialect: str) -> list[Any]:
    """Return the sessions of an account in a dialect."""
    found = service("GET", f"/internal/accounts/{account}/sessions")["sessions"]
    return [each for each in found if each["dialect"] == dialect]


def session_id(token: str) -> str:
    """Return the public id of a token's session."""
    status, headers, _ = send("GET", "/verify", headers={"Authorization": f"Token {token}"})
    assert status == 200
    return headers["X-Session-Id"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what calls the library in its process, or is not about it."""
    library = importlib.import_module(os.environ["ADAPTED_LIBRARY"])
    for item in items:
        names = (item.name, item.cls.__name__, item.path.stem)
        why = next((library.NOT_ASKED[each] for each in names if each in library.NOT_ASKED), "")
        if why:
            item.add_marker(pytest.mark.skip(NOT_ASKABLE + why))


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Set Django up, with a database for what the cases keep beside the accounts."""
    library = importlib.import_module(os.environ["ADAPTED_LIBRARY"])
    settings.configure(
        SECRET_KEY="only for this test, on this machine",
        ROOT_URLCONF=library.__name__,
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", *library.APPS],
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        USE_TZ=True,
        TIME_ZONE="UTC",
        **library.SETTINGS,
    )
    django.setup()
    from django.contrib.auth.models import AbstractUser, UserManager  # noqa: PLC0415

    utils.setup_test_environment()
    call_command("migrate", run_syncdb=True, verbosity=0)
    ClientHandler.__call__ = ask
    UserManager.create_user = create_user
    AbstractUser.save = functools.partialmethod(save_user, AbstractUser.save)
    TransactionTestCase.assertNumQueries = lambda *_, **__: not_askable(
        "statements of the database"
    )
    library.adapt()


def ask(handler: ClientHandler, environ: dict[str, Any]) -> HttpResponse:
    """Send a request of the test client to the server, in place of a view."""
    headers = {
        name.removeprefix("HTTP_").replace("_", "-"): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    if "HTTP_AUTHORIZATION" in environ:
        scheme, space, token = environ["HTTP_AUTHORIZATION"].partition(" ")
        for alias in sorted(aliases, key=len, reverse=True):
            if token.startswith(alias):
                token = aliases[alias] + token.removeprefix(alias)
                break
        headers["AUTHORIZATION"] = scheme + space + token
    headers["CONTENT-TYPE"] = environ.get("CONTENT_TYPE", "")
    body = environ["wsgi.input"].read() or None
    path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
    wait()
    library = importlib.import_module(os.environ["ADAPTED_LIBRARY"])
    if hasattr(library, "choose"):
        method = library.choose(method, path)
    path = paths.get(path, path)
    status, returned, content = send(method, path, body, headers)
    names = {token: alias for alias, token in aliases.items()}
    response = HttpResponse(content, status=status, headers=dict(returned))
    del response.headers["Set-Cookie"]
    for line in returned.get_all("Set-Cookie", []):
        response.cookies.load(line)
    if content:
        data = json.loads(content)
        token = data.get("token")
        if isinstance(token, str) and token in names:
            data["token"] = names[token]
        response.data = data
    if hasattr(library, "note"):
        library.note(method, path, body, response)
    response.wsgi_request = types.SimpleNamespace(urlconf=None)
    return response


def create_user(
    manager: Any, username: str, email: str | None = None, password: str | None = None
) -> Any:
    """Create the account on the server, and the user that the case holds."""
    user = manager.model(username=username, email=email or "")
    user.set_password(password)
    fields = {"username": username, "password": password or UNUSED_PASSWORD}
    if email and "@" in email:
        fields["email"] = email
    user.account = user.pk = service("POST", "/internal/accounts", fields)["id"]
    passwords[user.account] = fields["password"]
    user.save()
    return user


def save_user(user: Any, save: Callable[..., None], *arguments: Any, **named: Any) -> None:
    """Take over to the server what a case changes of a user."""
    raw = user._password
    save(user, *arguments, **named)
    if not user.is_active:
        service("PATCH", f"/internal/accounts/{user.account}", {"is_active": False})
    if raw is not None and raw != passwords[user.account]:
        service("PUT", f"/internal/accounts/{user.account}/password", {"password": raw})
        passwords[user.account] = raw


@pytest.fixture(autouse=True)
def clean_server() -> Iterator[None]:
    """Delete the accounts of a case in the end."""
    yield
    for account in passwords:
        service("DELETE", f"/internal/accounts/{account}")
    passwords.clear()
    aliases.clear()
    Now.variant, Now.ripe = "", 0.0


_results: dict[str, tuple[str, str]] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep how a case ended, and why."""
    name = "::".join(report.nodeid.split("::")[1:])
    if report.outcome == "failed":
        _results[name] = "failed", str(report.longrepr)[-300:]
    elif report.outcome == "skipped":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        _results[name] = "skipped", reason.removeprefix("Skipped: ")
    elif report.when == "call":
        _results.setdefault(name, ("passed", ""))


def pytest_sessionfinish() -> None:
    """Write the results where the caller reads them."""
    Path(os.environ["ADAPTED_RESULTS"]).write_text(json.dumps(_results))
