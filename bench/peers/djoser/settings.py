"""Django with djoser over DRF's own tokens, as djoser's "Getting started" sets it up."""

import os

from psycopg.conninfo import conninfo_to_dict

# Django wants the pieces of the address; libpq's own parser keeps sockets and options right.
_address = conninfo_to_dict(os.environ["DATABASE_URL"])
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _address.pop("dbname"),
        "OPTIONS": _address,
        "CONN_MAX_AGE": None,
    }
}
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "rest_framework.authtoken",
    "djoser",
]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.TokenAuthentication"]
}
if "CHEAP_HASH" in os.environ:
    PASSWORD_HASHERS = ["hashers.CheapHasher"]
ROOT_URLCONF = "urls"
ALLOWED_HOSTS = ["127.0.0.1"]
SECRET_KEY = "only for the benchmark, on this machine"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
