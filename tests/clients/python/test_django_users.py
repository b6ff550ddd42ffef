"""LATCHKEY_LOCAL_USERS: the user of a request is a row of Django's user model."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.python.applications import APPLICATIONS, SOURCE, Running, running
from tests.clients.python.conftest import Latchkey
from tests.program import Response

_VIEWS = """
from django.contrib.auth import get_user_model
from django.http import JsonResponse
from latchkey_client.django import identity_of

FIELDS = "id", "username", "email", "is_staff", "is_superuser", "is_active"

def me(request):
    caller = identity_of(request)
    assert (caller is None) == request.user.is_anonymous
    user = request.user if caller else get_user_model()()
    values = {name: getattr(user, name) for name in FIELDS}
    return JsonResponse({**values, "usable": caller is not None and user.has_usable_password()})

def disable(request):
    request.user.is_active = False
    request.user.save()
    return JsonResponse({})

def rows(request):
    return JsonResponse({"count": get_user_model().objects.count()})
"""
_PATHS = "path('me', views.me), path('disable', views.disable), path('rows', views.rows)"


@pytest.fixture(scope="module")
def application(latchkey: Latchkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Django with the middleware, and a database with its user table."""
    directory = tmp_path_factory.mktemp("django")
    django = APPLICATIONS["django"]
    django.write(directory, latchkey.url)
    with (directory / "settings.py").open("a") as settings:
        settings.write("LATCHKEY_LOCAL_USERS = True\n")
    (directory / "views.py").write_text(_VIEWS)
    urls = directory / "urls.py"
    urls.write_text(urls.read_text().replace("path('me', views.me)", _PATHS))
    paths = {"PYTHONPATH": f"{directory}:{SOURCE}", "DJANGO_SETTINGS_MODULE": "settings"}
    migrate = [sys.executable, "-m", "django", "migrate", "-v0"]
    subprocess.run(migrate, cwd=directory, env=paths, check=True)
    with running(Path(sys.executable), django.command, directory, SOURCE) as found:
        yield found


def change(latchkey: Latchkey, token: str, **fields: str) -> None:
    assert latchkey.ask("PATCH", "/latchkey/v1/account", fields, token).status == 200


def shown(response: Response) -> dict[str, object]:
    assert response.status == 200, response
    return response.json


def test_a_row_follows_its_account(latchkey: Latchkey, application: Running, database):
    token, account_id = latchkey.sign_up("local", email="local@example.com")
    row = {
        "id": account_id,
        "username": "local",
        "email": "local@example.com",
        "is_staff": False,
        "is_superuser": False,
        "is_active": True,
        "usable": False,
    }
    assert shown(application.get(token)) == row
    assert shown(application.get(token)) == row
    change(latchkey, token, username="renamed")
    with database.cursor() as cursor:
        flags = "is_staff = true, is_superuser = true"
        cursor.execute(f"update account set {flags} where id = %s", (account_id,))
    flagged = {"is_staff": True, "is_superuser": True}
    assert shown(application.get(token)) == {**row, "username": "renamed", **flagged}


def test_a_name_that_another_account_gave_up(latchkey: Latchkey, application: Running):
    """Django's usernames are unique, and the row of the other account still has the name."""
    (first, first_id), (second, second_id) = latchkey.sign_up("swap"), latchkey.sign_up("other")
    for token in (first, second):
        shown(application.get(token))
    change(latchkey, first, username="gone")
    change(latchkey, second, username="swap")
    assert shown(application.get(second))["username"] == "swap"
    third, third_id = latchkey.sign_up("other")
    assert shown(application.get(third))["id"] == third_id
    assert shown(application.get(first)) == {**shown(application.get(first)), "id": first_id}
    assert shown(application.get(first))["username"] == "gone"
    assert shown(application.get(second))["id"] == second_id


def test_a_disabled_row_is_no_user(latchkey: Latchkey, application: Running):
    token, account_id = latchkey.sign_up("disabled-there")
    assert shown(application.get(token))["id"] == account_id
    shown(application.get(token, path="/disable"))
    assert shown(application.get(token))["id"] is None


def test_without_a_token_there_is_no_row(application: Running):
    before = shown(application.get(path="/rows"))
    assert shown(application.get())["id"] is None
    assert shown(application.get("0123456789abcdef" * 4))["id"] is None
    assert shown(application.get(path="/rows")) == before
