"""The fields of djoser's requests, the user object, and the checks that endpoints share."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aiohttp import web

from handlers.app_keys import ACCESS, ACCOUNTS, RECOVERY
from handlers.app_links import parse_uid
from handlers.dialects import drf
from handlers.dialects.djoser.options import Options
from handlers.dialects.drf import NON_FIELD, InvalidFields, Text, find_errors
from handlers.dialects.drf_passwords import password_problems
from handlers.proxies import client_of
from store.account import Account, AccountSummary
from store.authentication import Caller
from store.errors import WrongPassword
from store.names import MAX_NAME

MISMATCH = "The two {} fields didn't match."
WRONG_PASSWORD = "Invalid password."  # noqa: S105  # a message
BAD_UID = "Invalid user id or user doesn't exist."

UID, TOKEN = Text("uid"), Text("token")
_NAME = Text("", required=False, may_be_blank=True, max_length=MAX_NAME)
FIRST_NAME, LAST_NAME = replace(_NAME, name="first_name"), replace(_NAME, name="last_name")


def password_field(options: Options, name: str, *, required: bool = True) -> Text:
    """Return a field of a password, which is trimmed unless the option says otherwise."""
    return Text(name, required=required, trim=options.trim_passwords)


def writable_fields(options: Options) -> list[Text]:
    """Return the fields that an account may change of itself, all of them optional."""
    fields = {"first_name": FIRST_NAME, "last_name": LAST_NAME}
    if options.login == "email":
        fields["username"] = replace(drf.USERNAME, required=False)
    extra = [fields[each] for each in options.user_fields if each in fields]
    return extra if options.login == "email" else [drf.OPTIONAL_EMAIL_FIELD, *extra]


def user_shape(options: Options, account: Account | AccountSummary) -> dict[str, Any]:
    """Return the user object of an account, in djoser's order: the name for logins comes last."""
    more: dict[str, Any] = {}
    for name in options.user_fields:
        if name == "date_joined":
            more[name] = drf.timestamp(account.created)
        else:
            value = getattr(account, name)
            more[name] = "" if value is None else value
    if options.login == "email":
        return {**more, "id": account.id, "email": account.email or ""}
    names = {"email": account.email or "", "id": account.id, "username": account.username or ""}
    return {**names, **more}


def check_new_password(
    options: Options,
    field: str,
    data: Mapping[str, Any],
    like: Mapping[str, str | None],
    *,
    retype: bool,
) -> dict[str, list[str]]:
    """Return what is wrong with a new password that has its field, by field.

    With `retype`, it is compared last with the field of the second password. `like` is what the
    password must not be like.
    """
    password = password_field(options, field).text(data)
    problems = password_problems(password, options.password_rules, options.password_length, like)
    if problems:
        return {field: problems}
    again = password_field(options, f"re_{field}")
    if retype and again.text(data) != password:
        return {NON_FIELD: [MISMATCH.format("password")]}
    return {}


async def current_password_errors(
    request: web.Request, caller: Caller, options: Options, data: Mapping[str, Any]
) -> dict[str, list[str]]:
    """Return what is wrong with the field `current_password`, by field.

    Raises BadToken, Busy, RateLimited.
    """
    field = password_field(options, "current_password")
    errors = find_errors(data, field)
    if errors:
        return errors
    try:
        await request.app[ACCESS].verify_password(caller, field.text(data), client_of(request))
    except WrongPassword:
        return {field.name: [WRONG_PASSWORD]}
    return {}


def password_fields(options: Options, field: str, *, retype: bool) -> list[Text]:
    """Return the field of a new password, and with `retype` that of the second one."""
    names = [field, f"re_{field}"] if retype else [field]
    return [password_field(options, name) for name in names]


def name_fields(field: str, *, retype: bool) -> list[Text]:
    """Return the field of a new username or e-mail, and with `retype` that of the second one."""
    kind = drf.EMAIL_FIELD if field == "email" else drf.USERNAME
    named = Text(f"new_{field}", max_length=kind.max_length, checks=kind.checks)
    return [named, Text(f"re_new_{field}")] if retype else [named]


def name_mismatch(field: str, data: Mapping[str, Any], *, retype: bool) -> dict[str, list[str]]:
    """Return what is wrong if a new name and the second one differ, by field."""
    name, *again = [each.text(data) for each in name_fields(field, retype=retype)]
    return {NON_FIELD: [MISMATCH.format(field)]} if again and again != [name] else {}


async def find_owner(request: web.Request, data: Mapping[str, Any]) -> Account:
    """Return the account of a `uid`, whose link has the `token`.

    Raises InvalidFields for an unknown uid, LinkInvalid for the token of another account.
    """
    account_id = parse_uid(UID.text(data))
    account = await request.app[ACCOUNTS].get(account_id) if account_id else None
    if account is None:
        raise InvalidFields({"uid": [BAD_UID]})
    request.app[RECOVERY].require_owner(TOKEN.text(data), account.id)
    return account
