"""Django with django-rest-knox or with `authtoken`, on SQLite: a back end before it moves.

`python token_project.py <directory> <urls> serve <port>`, or a command of manage.py in place of
`serve`. <urls> are "knox", its own views; "customary", the endpoints that projects add to them; or
"authtoken".
"""

import json
import sys
from pathlib import Path
from typing import Any
from wsgiref.simple_server import make_server

import django
from django.conf import settings
from django.core.management import call_command, execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.urls import include, path
from django.utils.module_loading import import_string

DIRECTORY, URLS, COMMAND = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
SCHEME = "rest_framework.authentication.TokenAuthentication"
if URLS != "authtoken":
    SCHEME = "knox.auth.TokenAuthentication"

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="only for this test, on this machine",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DIRECTORY / "db"}},
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "rest_framework",
        "rest_framework.authtoken",
        "knox",
    ],
    PASSWORD_HASHERS=[f"{__name__}.Quick"],
    USE_TZ=True,
    TIME_ZONE="America/Chicago",
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": (
            ["rest_framework.authentication.BasicAuthentication"] if URLS == "knox" else []
        )
        + [SCHEME],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    },
)
django.setup()

from django.contrib.auth import authenticate  # noqa: E402  # after the set-up
from django.contrib.auth.hashers import PBKDF2PasswordHasher  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from knox.models import AuthToken  # noqa: E402
from knox.views import LogoutAllView, LogoutView  # noqa: E402
from rest_framework import serializers  # noqa: E402
from rest_framework.authtoken.models import Token  # noqa: E402
from rest_framework.authtoken.views import obtain_auth_token  # noqa: E402
from rest_framework.permissions import IsAuthenticated  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402

PASSWORD = "Difference-Engine-1822"


class Quick(PBKDF2PasswordHasher):
    """Django's default, at a thousandth of its cost."""

    iterations = 1000


class Guarded(APIView):
    """An endpoint behind the token; Latchkey has it as /<dialect>/verify."""

    authentication_classes = (import_string(SCHEME),)
    permission_classes = (IsAuthenticated,)

    def get(self, request: Any) -> Response:
        return Response()


class UserSerializer(serializers.ModelSerializer):
    class Meta:
        model = User
        fields = ("id", "username", "email")


class NewUser(serializers.ModelSerializer):
    class Meta:
        model = User
        fields = ("username", "email", "password")

    def create(self, data: Any) -> User:
        return User.objects.create_user(**data)


class Credentials(serializers.Serializer):
    username = serializers.CharField()
    password = serializers.CharField()

    def validate(self, data: Any) -> User:
        user = authenticate(**data)
        if user is None:
            raise serializers.ValidationError("Unable to log in with provided credentials.")
        return user


class Register(APIView):
    def post(self, request: Any) -> Response:
        new = NewUser(data=request.data)
        new.is_valid(raise_exception=True)
        return session(new.save())


class Login(APIView):
    def post(self, request: Any) -> Response:
        credentials = Credentials(data=request.data)
        credentials.is_valid(raise_exception=True)
        return session(credentials.validated_data)


class Me(APIView):
    permission_classes = (IsAuthenticated,)

    def get(self, request: Any) -> Response:
        return Response(UserSerializer(request.user).data)


def session(user: User) -> Response:
    return Response({"user": UserSerializer(user).data, "token": AuthToken.objects.create(user)[1]})


urlpatterns = {
    "knox": [path("api/auth/", include("knox.urls")), path("knox/verify", Guarded.as_view())],
    "customary": [
        path("api/auth/register", Register.as_view()),
        path("api/auth/login", Login.as_view()),
        path("api/auth/user", Me.as_view()),
        path("api/auth/logout/", LogoutView.as_view()),
        path("api/auth/logoutall/", LogoutAllView.as_view()),
        path("knox/verify", Guarded.as_view()),
    ],
    "authtoken": [
        path("api/token/", obtain_auth_token),
        path("authtoken/verify", Guarded.as_view()),
    ],
}[URLS]


def make_people() -> None:
    """Make the tables, the people and their tokens, which are in tokens.json as well."""
    call_command("migrate", verbosity=0)
    make = User.objects.create_user
    ada = make("ada", "ada@example.org", PASSWORD, id=7, first_name="Ada", last_name="Lovelace")
    make("bob", None, PASSWORD, is_staff=True)
    carol = make("carol", "carol@example.org", PASSWORD, is_active=False)
    make("dora", "dora@example.org")
    eve = make("eve", "eve@example.org", f"{PASSWORD} ")
    tokens = {user.username: Token.objects.create(user=user).key for user in (ada, carol)}
    if URLS != "authtoken":
        owners = {"ada": ada, "ada 2": ada, "carol": carol, "eve": eve}
        tokens = {name: AuthToken.objects.create(user)[1] for name, user in owners.items()}
    (DIRECTORY / "tokens.json").write_text(json.dumps(tokens))


if __name__ == "__main__":
    if COMMAND[0] == "serve":
        make_people()
        make_server("127.0.0.1", int(COMMAND[1]), get_wsgi_application()).serve_forever()
    execute_from_command_line(["manage.py", *COMMAND])
