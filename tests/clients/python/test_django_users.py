"""LATCHKEY_LOCAL_USERS: the user of a request is a row of Django's user model."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.clients.python.applications import APPLICATIONS, SOURCE, Running, running
from tests.clients.python.conftest import Latchkey
from tests.program import Response

_VIEWS = """
from django.contrib.auth import get_user_model
from django.http import JsonResponse
from latchkey_client.django import identity_of
from rest_framework.decorators import api_view
from rest_framework.response import Response

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

@api_view(["GET"])
def api(request):
    return Response({"id": request.user.pk, "username": request.user.get_username()})

def rows(request):
    return JsonResponse({"count": get_user_model().objects.count()})
"""
_WITHOUT_A_ROW = """
import django
from django.conf import settings

apps = ["django.contrib.auth", "django.contrib.contenttypes"]
settings.configure(INSTALLED_APPS=apps, LATCHKEY_URL="http://127.0.0.1:1")
django.setup()

from latchkey_client import Identity
from latchkey_client.django import user_of

mika = Identity(7, "mika", None, False, True, False, "0" * 16, "kust", "token")
user = user_of(mika)
root = user_of(Identity(8, None, "r@example.com", True, True, True, "", "", ""))
assert (user.id, user.pk, user.get_username(), user.email) == (7, 7, "mika", "")
assert user.is_authenticated and user.is_active and user.is_staff and not user.is_anonymous
assert (str(user), str(root)) == ("mika", "r@example.com")
assert user == user_of(mika) and user != root and len({user, user_of(mika), root}) == 2
assert not user.has_perm("x.y") and not user.has_module_perms("x")
assert root.has_perm("x.y") and root.has_module_perms("x")
assert user.identity is mika
"""
_MORE_SETTINGS = """
LATCHKEY_LOCAL_USERS = True
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["latchkey_client.rest_framework.LatchkeyAuthentication"],
}
DATABASES["default"]["ATOMIC_REQUESTS"] = True
"""
_PATHS = ", ".join(f"path('{name}', views.{name})" for name in ("me", "disable", "rows", "api"))


@pytest.fixture(scope="module")
def application(latchkey: Latchkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Django with the middleware, and a database with its user table."""
    directory = tmp_path_factory.mktemp("django")
    django = APPLICATIONS["django"]
    django.write(directory, latchkey.url)
    with (directory / "settings.py").open("a") as settings:
        settings.write(_MORE_SETTINGS)
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


def test_rest_framework_in_a_transaction(latchkey: Latchkey, application: Running):
    """A name that is taken does not break the transaction of the view."""
    (first, _), (second, second_id) = latchkey.sign_up("atomic"), latchkey.sign_up("second")
    for token in (first, second):
        shown(application.get(token, path="/api"))
    change(latchkey, first, username="gone-too")
    change(latchkey, second, username="atomic")
    assert shown(application.get(second, path="/api")) == {"id": second_id, "username": "atomic"}


def test_a_new_account_that_sends_many_requests_at_once(latchkey: Latchkey, application: Running):
    """They share one row, whichever of them makes it."""
    token, account_id = latchkey.sign_up("many")
    with ThreadPoolExecutor(8) as threads:
        responses = list(threads.map(lambda _: application.get(token), range(24)))
    assert {shown(each)["id"] for each in responses} == {account_id}


def test_a_user_without_a_row(tmp_path: Path):
    """In a Django whose database does not exist."""
    script = tmp_path / "script.py"
    script.write_text(_WITHOUT_A_ROW)
    paths = {"PYTHONPATH": str(SOURCE)}
    subprocess.run([sys.executable, script], env=paths, check=True)
