"""Django with Simple JWT and djoser's JWTs, on SQLite: a back end before it moves.

`python jwt_project.py <directory> <settings> serve <port>`, or a command of manage.py in place of
`serve`. <settings> is JSON: {"SIMPLE_JWT": {…}, "DJOSER": {…}}, lifetimes in seconds. Run by the
Python that has both libraries.
"""

import datetime
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

DIRECTORY, OPTIONS, COMMAND = Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:]
SIMPLE_JWT: dict[str, Any] = {
    name: datetime.timedelta(seconds=value) if name.endswith("_LIFETIME") else value
    for name, value in OPTIONS.get("SIMPLE_JWT", {}).items()
}
CLAIMS = SIMPLE_JWT.pop("CLAIMS", ())
if CLAIMS:
    SIMPLE_JWT["TOKEN_OBTAIN_SERIALIZER"] = "__main__.PairWithClaims"

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="only-for-this-test-and-on-this-machine",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DIRECTORY / "db"}},
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sites",
        "rest_framework",
        "rest_framework_simplejwt.token_blacklist",
        "djoser",
    ],
    SITE_ID=1,
    USE_TZ=True,
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.PBKDF2PasswordHasher"],
    AUTH_PASSWORD_VALIDATORS=[],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [
            "rest_framework_simplejwt.authentication.JWTAuthentication"
        ],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    },
    EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend",
    DJOSER={
        "TOKEN_MODEL": None,
        "ACTIVATION_URL": "activate/{uid}/{token}",
        **OPTIONS.get("DJOSER", {}),
    },
    SIMPLE_JWT=SIMPLE_JWT,
)
django.setup()

from rest_framework.permissions import IsAuthenticated  # noqa: E402  # after the set-up
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402
from rest_framework_simplejwt import views  # noqa: E402
from rest_framework_simplejwt.serializers import TokenObtainPairSerializer  # noqa: E402


class PairWithClaims(TokenObtainPairSerializer):
    """As projects add their own claims."""

    @classmethod
    def get_token(cls, user: Any) -> Any:
        token = super().get_token(user)
        for name in CLAIMS:
            token[name] = getattr(user, name)
        return token


class Other(APIView):
    """An endpoint that stays in Django when the accounts have moved."""

    permission_classes = (IsAuthenticated,)

    def get(self, request: Any) -> Response:
        return Response({"id": request.user.id, "username": request.user.username})


urlpatterns = [
    path("auth/", include("djoser.urls")),
    path("auth/", include("djoser.urls.jwt")),
    path("api/token/", views.TokenObtainPairView.as_view()),
    path("api/token/refresh/", views.TokenRefreshView.as_view()),
    path("api/token/verify/", views.TokenVerifyView.as_view()),
    path("api/token/blacklist/", views.TokenBlacklistView.as_view()),
    path("other/", Other.as_view()),
]

if __name__ == "__main__":
    if COMMAND[0] == "serve":
        call_command("migrate", verbosity=0)
        make_server("127.0.0.1", int(COMMAND[1]), get_wsgi_application()).serve_forever()
    else:
        execute_from_command_line(["manage.py", *COMMAND])
