"""Registration, and the confirmation of an account's e-mail."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aiohttp import web

from handlers.app_keys import ACCESS, RECOVERY
from handlers.dialects import drf
from handlers.dialects.dj_rest_auth import jwts
from handlers.dialects.dj_rest_auth.fields import EMAIL, NAMES
from handlers.dialects.dj_rest_auth.options import OPTIONS, Options, needs_mail
from handlers.dialects.dj_rest_auth.routes import NAME, TAKEN, open_routes, spec
from handlers.dialects.drf import NON_FIELD, InvalidFields, Text, find_errors, read_data
from handlers.dialects.drf_passwords import attributes, password_problems
from handlers.errors import NotFound
from handlers.http.response import Response, json_response
from handlers.proxies import client_of
from store.account import NewAccount

MISMATCH = "The two password fields didn't match."
"""With another apostrophe than for changes and resets, as in the library."""
SENT = "Verification e-mail sent."
OK = "ok"

_PASSWORD, _AGAIN = Text("password1"), Text("password2")
_KEY = Text("key")


@open_routes.open("/registration")
async def register(request: web.Request) -> Response:
    """POST /registration: create an account; return its token, unless its e-mail comes first."""
    options, data, client = request.app[OPTIONS], await read_data(request), client_of(request)
    access, values = request.app[ACCESS], await _read_values(request, options, data)
    if needs_mail(options):
        request.app[RECOVERY].require_mail()
    new = NewAccount(
        values["username"], values["email"], values.get("first_name"), values.get("last_name")
    )
    account, issued = await access.register(
        new,
        values[_PASSWORD.name],
        [] if needs_mail(options) else [spec(options)],
        client,
        verify=options.email_verification != "none",
        dialect=NAME,
    )
    if not issued:
        return json_response({"detail": SENT}, 201)
    if options.use_jwt:
        return jwts.registered(request, account, issued[0])
    return json_response({"key": issued[0].token}, 201)


@open_routes.open("/registration/verify-email")
async def verify_email(request: web.Request) -> Response:
    """POST /registration/verify-email: verify an e-mail by the key of a link, which works once."""
    [key] = drf.read_fields(await read_data(request), _KEY)
    if not await request.app[RECOVERY].verify_once(key):
        raise NotFound
    return json_response({"detail": OK})


@open_routes.open("/registration/resend-email")
async def resend_email(request: web.Request) -> Response:
    """POST /registration/resend-email: send the link again, if the e-mail is not verified."""
    [email] = drf.read_fields(await read_data(request), EMAIL)
    await request.app[RECOVERY].request_reset(email, client_of(request), "verify", NAME)
    return json_response({"detail": OK})


async def _read_values(
    request: web.Request, options: Options, data: Mapping[str, Any]
) -> dict[str, str]:
    """Return the fields of a registration by name.

    Raises InvalidFields: all fields are checked together, names that are taken included, and the
    two passwords afterwards.
    """
    fields = [
        replace(drf.USERNAME, required=options.username_required),
        replace(EMAIL, required=options.email_required),
        *(NAMES[name] for name in options.register_fields),
        _PASSWORD,
        _AGAIN,
    ]
    found = find_errors(data, *fields)
    values = {each.name: each.text(data) for each in fields}
    if _PASSWORD.name not in found:
        found[_PASSWORD.name] = _problems(options, values[_PASSWORD.name])
    errors = found if any(found.values()) else _check_both(options, values)
    if not errors:
        return values
    names = {name: values[name] for name in TAKEN if name not in found}
    taken = await request.app[ACCESS].find_taken(client_of(request), **names)
    found |= {name: [TAKEN[name]] for name in taken}
    found = {each.name: found[each.name] for each in fields if found.get(each.name)}
    raise InvalidFields(found or errors)


def _check_both(options: Options, values: Mapping[str, str]) -> dict[str, list[str]]:
    """Return what is wrong with two passwords that are right by themselves."""
    password = values[_PASSWORD.name]
    if password != values[_AGAIN.name]:
        return {NON_FIELD: [MISMATCH]}
    problems = _problems(options, password, attributes(values))
    return {NON_FIELD: problems} if problems else {}


def _problems(
    options: Options, password: str, like: Mapping[str, str | None] | None = None
) -> list[str]:
    return password_problems(password, options.password_rules, options.password_length, like)
