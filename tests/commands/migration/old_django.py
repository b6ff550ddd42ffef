"""What happens in the old application: it is made with its people, and later they log in again."""

import json
import sys

import django
import manage  # noqa: F401  # the settings
from people import IN_DJANGO, Person
from quick import BY_NAME

django.setup()

from allauth.account.models import EmailAddress  # noqa: E402  # after the set-up
from django.contrib.auth import authenticate  # noqa: E402
from django.contrib.auth.models import Group, User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.test.utils import override_settings  # noqa: E402
from knox.models import AuthToken  # noqa: E402
from rest_framework.authtoken.models import Token  # noqa: E402
from rest_framework.exceptions import APIException  # noqa: E402
from rest_framework_simplejwt.authentication import JWTAuthentication  # noqa: E402
from rest_framework_simplejwt.tokens import RefreshToken  # noqa: E402

ADDRESSES = [
    (0, "kim@example.com", True, True),
    (0, "other@example.com", False, True),
    (2, "lee@example.com", True, False),
    (3, "another@example.com", True, True),
    (5, "pia@example.com", True, True),
]
"""Those of django-allauth: a user's number, the address, whether it is primary and verified."""


def make() -> list[dict[str, str]]:
    """Make the tables and the people; return the tokens of each: authtoken's, knox's, JWTs."""
    call_command("migrate", verbosity=0)
    users = [join(person) for person in IN_DJANGO]
    users[0].groups.add(Group.objects.create(name="staff"))
    for number, email, primary, verified in ADDRESSES:
        EmailAddress.objects.create(
            user=users[number], email=email, primary=primary, verified=verified
        )
    refresh = {user.username: RefreshToken.for_user(user) for user in users if user.is_active}
    refresh["noor"].blacklist()
    return [
        {user.username: Token.objects.create(user=user).key for user in users},
        {user.username: AuthToken.objects.create(user)[1] for user in users},
        {name: str(token) for name, token in refresh.items()},
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


def owners(tokens: list[str]) -> list[int | None]:
    """Return the ids of the users whose access tokens these are, None for one that is refused."""
    return [owner(token) for token in tokens]


def owner(token: str) -> int | None:
    check = JWTAuthentication()
    try:
        return check.get_user(check.get_validated_token(token)).pk
    except APIException:
        return None


if __name__ == "__main__":
    name, *arguments = sys.argv[1:] or ["make"]
    run = {"make": make, "log_in": log_in, "owners": owners}[name]
    print(json.dumps(run(*map(json.loads, arguments))))
