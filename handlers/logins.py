"""Logins of the dialects whose contracts know no second factor.

An account that has one logs in with the extra field `otp`. Without it, or with a wrong code, the
response is the dialect's ordinary refusal of a login, in the same time. The option `second-factor`
of a mount exempts the dialect, or refuses these accounts. See docs/contracts/options.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from aiohttp import web

from handlers.app_keys import ACCESS
from handlers.proxies import client_of
from store.account import Account, FactorRule, Login
from store.session_record import IssuedToken, SessionSpec

FACTOR_RULES: web.AppKey[Mapping[str, FactorRule]] = web.AppKey("factor_rules")
"""What logins of accounts with a second factor need, by dialect."""
FIELD = "otp"


async def log_in(
    request: web.Request,
    login: Login,
    password: str,
    specs: Sequence[SessionSpec],
    data: Mapping[str, Any],
    *,
    require_verified: bool = False,
) -> tuple[Account, list[IssuedToken]]:
    """Log in as `Access.log_in` does; `data` are the fields of the body, which may have the code.

    Raises BadCredentials, Inactive, EmailNotVerified, Unstorable, Busy, RateLimited, Unavailable.
    """
    rule = request.app[FACTOR_RULES][specs[0].dialect]
    return await request.app[ACCESS].log_in(
        replace(login, code=_code(data.get(FIELD)), factor=rule),
        password,
        specs,
        client_of(request),
        require_verified=require_verified,
    )


def _code(value: object) -> str | None:
    """Return the code of a field; a number has lost its leading zeros."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:06d}"
    return value if isinstance(value, str) and value else None
