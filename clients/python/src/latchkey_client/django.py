"""Django: a middleware, and the user of a request.

Settings: `LATCHKEY_URL`; `LATCHKEY_TIMEOUT` in seconds; `LATCHKEY_LOCAL_USERS`. If the latter is
True, the user of a request is a row of the application's user model, and the account's id is its
primary key. It is made at the account's first request. Its name, e-mail, `is_staff` and
`is_superuser` are kept as Latchkey has them. Use it only with a table that was imported into
Latchkey, or an empty one: every row must be that of the account with its id. Otherwise the user is
an `AccountUser`, and no database is needed.
"""

import functools
import uuid
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from latchkey_client.calls import TIMEOUT
from latchkey_client.errors import Unavailable
from latchkey_client.identity import Identity, token_of
from latchkey_client.sync import LatchkeyClient


class AccountUser:
    """The user of a request, without a row in the application's database."""

    is_authenticated = True
    is_anonymous = False
    is_active = True

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.id = self.pk = identity.id
        self.username = identity.username or ""
        self.email = identity.email or ""
        self.is_staff = identity.is_staff
        self.is_superuser = identity.is_superuser

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AccountUser) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __str__(self) -> str:
        return self.username or self.email

    def get_username(self) -> str:
        """Return the username, as Django's users do."""
        return self.username

    def has_perm(self, perm: str, obj: object = None) -> bool:
        """Return whether the account is a superuser: it has no other permissions."""
        return self.is_superuser

    def has_module_perms(self, app_label: str) -> bool:
        """Return whether the account is a superuser."""
        return self.is_superuser


def latchkey_middleware(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Set `request.user` for a request that has a token, and what `identity_of` returns.

    It belongs behind Django's AuthenticationMiddleware. A token that is not valid gives an
    `AnonymousUser`. A request without a token keeps its user, for example the admin's. An
    outage is a 503.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        token = token_of(request.headers.get("Authorization"))
        identity = None
        if token is not None:
            try:
                identity = client().authenticate(token)
            except Unavailable as error:
                return HttpResponse(status=503, headers={"Retry-After": str(error.retry_after)})
            user = user_of(identity) if identity else None
            request.user = user or AnonymousUser()
            identity = identity if user else None
        request.latchkey = identity  # type: ignore[attr-defined]  # Django's way to add a value
        return get_response(request)

    return middleware


def identity_of(request: HttpRequest) -> Identity | None:
    """Return the caller of a request that the middleware has seen, None without a valid token."""
    identity: Identity | None = request.latchkey  # type: ignore[attr-defined]
    return identity


@functools.cache
def client() -> LatchkeyClient:
    """Return the client of this process."""
    return LatchkeyClient(
        settings.LATCHKEY_URL, timeout=getattr(settings, "LATCHKEY_TIMEOUT", TIMEOUT)
    )


def user_of(identity: Identity) -> Any:
    """Return the user of a request; None if the application has disabled its own row of it."""
    if not getattr(settings, "LATCHKEY_LOCAL_USERS", False):
        return AccountUser(identity)
    user = local_user(identity)
    return user if user.is_active else None


def local_user(identity: Identity) -> AbstractBaseUser:
    """Return the row of the user model that belongs to an account, made or updated if needed."""
    model: type[AbstractBaseUser] = get_user_model()
    rows, values = model._default_manager, _values(model, identity)
    try:
        return _save(rows, identity.id, values)
    except IntegrityError:
        # A name is in the row of another account, which has changed it since its last request.
        for name in {field.name for field in model._meta.fields if field.unique} & values.keys():
            stale = rows.filter(**{name: values[name]}).exclude(pk=identity.id)
            stale.update(**{name: f"renamed-{uuid.uuid4().hex}"})
        return _save(rows, identity.id, values)


def _save(rows: Any, account_id: int, values: dict[str, object]) -> AbstractBaseUser:
    new = {**values, "password": functools.partial(make_password, None)}
    user: AbstractBaseUser = rows.get_or_create(pk=account_id, defaults=new)[0]
    changed = [name for name, value in values.items() if getattr(user, name) != value]
    if changed:
        for name in changed:
            setattr(user, name, values[name])
        with transaction.atomic():
            user.save(update_fields=changed)
    return user


def _values(model: type[AbstractBaseUser], identity: Identity) -> dict[str, object]:
    """Return the values of the columns that the model has."""
    columns = {field.name: field for field in model._meta.fields}
    no_email = None if "email" in columns and columns["email"].null else ""
    account = {
        "username": identity.username or f"account-{identity.id}",
        "email": identity.email or no_email,
        "is_staff": identity.is_staff,
        "is_superuser": identity.is_superuser,
    }
    return {name: value for name, value in account.items() if name in columns}
