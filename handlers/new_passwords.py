"""New passwords: the rules of PASSWORD_RULES, and the API of BREACHED_PASSWORDS if there is one.

The dialects of existing back ends keep the rules of their contracts.
"""

from collections.abc import Iterable

from aiohttp import web

from handlers.app_keys import LIMITS
from handlers.breached_passwords import BreachedPasswords
from handlers.proxies import client_of
from store.password_rules import PasswordProblem, PasswordRules

PASSWORD_RULES = web.AppKey("password_rules", PasswordRules)
BREACHED_PASSWORDS = web.AppKey("breached_passwords", BreachedPasswords)
"""Present if BREACHED_PASSWORDS is set."""


async def find_password_problems(
    request: web.Request, password: str, names: Iterable[str], *, is_limited: bool = True
) -> list[PasswordProblem]:
    """Return what is wrong with a new password of an account with these names.

    The API is asked only about a password that fulfils the rules. If `is_limited`, this counts
    against the client's limit. Raises RateLimited.
    """
    problems = request.app[PASSWORD_RULES].problems(password, names)
    breached = request.app.get(BREACHED_PASSWORDS)
    if problems or breached is None:
        return problems
    if is_limited and (limits := request.app.get(LIMITS)):
        await limits.check_password(client_of(request))
    return [PasswordProblem.BREACHED] if await breached.includes(password) else []
