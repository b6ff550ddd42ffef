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
from django.db import connection, transaction  # noqa: E402
from knox.models import AuthToken  # noqa: E402


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
        cursor.execute("drop schema if exists knox cascade; create schema knox")
    call_command("migrate", verbosity=0)
    # knox stores only a digest, so each token has to come from its own `create`.
    with transaction.atomic():
        tokens = [AuthToken.objects.create(account)[1] for account in make_accounts(int(count))]
    Path(file).write_text("".join(f"Token {token}\n" for token in tokens))


if __name__ == "__main__":
    main(*sys.argv[1:])
