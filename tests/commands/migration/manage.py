"""An application as it is before it moves: Django, with tokens of authtoken and of knox."""

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
    ],
    PASSWORD_HASHERS=[*BY_NAME.values()],
    USE_TZ=True,
)

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
