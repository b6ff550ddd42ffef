"""The fields of dj-rest-auth's requests, and the user object."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from handlers.dialects import drf
from handlers.dialects.dj_rest_auth.options import Options
from handlers.dialects.drf import InvalidFields, Text
from handlers.dialects.drf_passwords import attributes, password_problems
from store.account import Account

MISMATCH = "The two password fields didn\N{RIGHT SINGLE QUOTATION MARK}t match."
_MAX_PASSWORD = 128

EMAIL = drf.EMAIL_FIELD
OLD_PASSWORD = Text("old_password", max_length=_MAX_PASSWORD)
NEW_PASSWORDS = tuple(Text(f"new_password{each}", max_length=_MAX_PASSWORD) for each in (1, 2))
_NAME = Text("", required=False, may_be_blank=True, max_length=150)
NAMES = {name: replace(_NAME, name=name) for name in ("first_name", "last_name")}


def user_shape(options: Options, account: Account) -> dict[str, Any]:
    """Return the user object of an account."""
    return {name: _value(account, name) for name in options.user_fields}


def _value(account: Account, name: str) -> Any:
    if name == "date_joined":
        return drf.timestamp(account.created)
    value = getattr(account, "id" if name == "pk" else name)
    return "" if value is None else value


def check_new_passwords(options: Options, data: Mapping[str, Any], account: Account) -> str:
    """Return the new password of two fields that are right by themselves.

    Raises InvalidFields if they differ, or if the password does not fulfil the rules.
    """
    password, again = (each.text(data) for each in NEW_PASSWORDS)
    problems = [MISMATCH]
    if password == again:
        rules, like = options.password_rules, attributes(account)
        problems = password_problems(password, rules, options.password_length, like)
    if problems:
        raise InvalidFields({"new_password2": problems})
    return password
