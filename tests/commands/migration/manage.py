"""An application as it is before it moves: Django, with the tokens of four libraries."""

import os
import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from psycopg2.extensions import parse_dsn
from quick import BY_NAME

_OLD = parse_dsn(os.environ["OLD_URL"])

settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": _OLD["dbname"],
            "HOST": _OLD["host"],
            "USER": _OLD["user"],
        }
    },
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "rest_framework",
        "rest_framework.authtoken",
        "knox",
        "allauth",
        "allauth.account",
        "rest_framework_simplejwt.token_blacklist",
    ],
    PASSWORD_HASHERS=[*BY_NAME.values()],
    SECRET_KEY="the secret key of the old application, of 50 characters",
    MIDDLEWARE=["allauth.account.middleware.AccountMiddleware"],
    USE_TZ=True,
)

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
