"""Django with djoser and its defaults, on SQLite, which writes its mail to a directory.

Run by the Python that has djoser: `python djoser_project.py <port> <directory> [setting=value]`.
"""

import json
import sys
from pathlib import Path
from wsgiref.simple_server import make_server

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import include, path

PORT, DIRECTORY, OPTIONS = int(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
BY_EMAIL = OPTIONS.get("LOGIN") == "email"
"""Whether accounts have no username, as the option `login` of the dialect says."""
_VALIDATORS = (
    "UserAttributeSimilarityValidator",
    "MinimumLengthValidator",
    "CommonPasswordValidator",
    "NumericPasswordValidator",
)

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="only for this test, on this machine",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DIRECTORY / "db"}},
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sites",
        "rest_framework",
        "rest_framework.authtoken",
        "djoser",
        "email_user",
    ],
    AUTH_USER_MODEL="email_user.Person" if BY_EMAIL else "auth.User",
    SITE_ID=1,
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    AUTH_PASSWORD_VALIDATORS=[
        {"NAME": f"django.contrib.auth.password_validation.{name}"} for name in _VALIDATORS
    ],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.TokenAuthentication"],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    },
    EMAIL_BACKEND="django.core.mail.backends.filebased.EmailBackend",
    EMAIL_FILE_PATH=str(DIRECTORY / "mail"),
    DJOSER={
        "ACTIVATION_URL": "activate/{uid}/{token}",
        "PASSWORD_RESET_CONFIRM_URL": "reset/{uid}/{token}",
        "USERNAME_RESET_CONFIRM_URL": "username/{uid}/{token}",
        **OPTIONS,
    },
)
django.setup()
urlpatterns = [
    path("auth/", include("djoser.urls")),
    path("auth/", include("djoser.urls.authtoken")),
]

if __name__ == "__main__":
    call_command("migrate", verbosity=0, run_syncdb=True)
    make_server("127.0.0.1", PORT, get_wsgi_application()).serve_forever()
