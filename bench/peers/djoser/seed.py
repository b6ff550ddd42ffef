"""Make N accounts with one token each: `seed.py N FILE`."""

import os
import sys
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
django.setup()

from django.contrib.auth.hashers import make_password  # noqa: E402 (needs the settings)
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from rest_framework.authtoken.models import Token  # noqa: E402


def make_accounts(count: int) -> list[User]:
    # One hash for all: seeding measures nothing, and hashing is slow on purpose.
    password = make_password("correct horse battery")
    return User.objects.bulk_create(
        [
            User(username=f"user{i}", email=f"user{i}@example.com", password=password)
            for i in range(count)
        ],
        batch_size=1000,
    )


def main(count: str, file: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("drop schema if exists djoser cascade; create schema djoser")
    call_command("migrate", verbosity=0)
    accounts = make_accounts(int(count))
    tokens = Token.objects.bulk_create(
        [Token(user=account, key=Token.generate_key()) for account in accounts], batch_size=1000
    )
    Path(file).write_text("".join(f"Token {token.key}\n" for token in tokens))


if __name__ == "__main__":
    main(*sys.argv[1:])
