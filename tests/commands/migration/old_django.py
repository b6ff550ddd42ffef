"""What happens in the old application: it is made with its people, and later they log in again."""

import json
import sys

import django
import manage  # noqa: F401  # the settings
from people import IN_DJANGO, Person
from quick import BY_NAME

django.setup()

from django.contrib.auth import authenticate  # noqa: E402  # after the set-up
from django.contrib.auth.models import Group, User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.test.utils import override_settings  # noqa: E402
from knox.models import AuthToken  # noqa: E402
from rest_framework.authtoken.models import Token  # noqa: E402


def make() -> list[dict[str, str]]:
    """Make the tables and the people; return the token of each, and that of knox."""
    call_command("migrate", verbosity=0)
    users = [join(person) for person in IN_DJANGO]
    users[0].groups.add(Group.objects.create(name="staff"))
    return [
        {user.username: Token.objects.create(user=user).key for user in users},
        {user.username: AuthToken.objects.create(user)[1] for user in users},
    ]


def join(person: Person) -> User:
    if person.method == "unusable":
        return User.objects.create_user(person.username, person.email)
    others = {
        name: getattr(person, name)
        for name in ("id", "first_name", "last_name", "is_active")
        if getattr(person, name) is not None
    }
    make = User.objects.create_superuser if person.is_superuser else User.objects.create_user
    with override_settings(PASSWORD_HASHERS=[BY_NAME[person.method]]):
        return make(person.username, person.email, person.password, **others)


def log_in(logins: list[list[str]]) -> list[int | None]:
    """Return the id of who logs in with each name and password, None where they can't."""
    users = [authenticate(username=name, password=password) for name, password in logins]
    return [user.pk if user else None for user in users]


if __name__ == "__main__":
    answer = log_in(json.loads(sys.argv[1])) if len(sys.argv) > 1 else make()
    print(json.dumps(answer))
