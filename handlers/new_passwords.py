"""New passwords: the rules of PASSWORD_RULES, and the API of BREACHED_PASSWORDS if there is one.

The five dialects of existing back ends keep the rules of their contracts.
"""

from collections.abc import Iterable

from aiohttp import web

from handlers.breached_passwords import BreachedPasswords
from store.password_rules import PasswordProblem, PasswordRules

PASSWORD_RULES = web.AppKey("password_rules", PasswordRules)
BREACHED_PASSWORDS = web.AppKey("breached_passwords", BreachedPasswords)
"""Present if BREACHED_PASSWORDS is set."""


async def find_password_problems(
    request: web.Request, password: str, names: Iterable[str]
) -> list[PasswordProblem]:
    """Return what is wrong with a new password of an account with these names.

    The API is asked only about a password that fulfils the rules.
    """
    problems = request.app[PASSWORD_RULES].problems(password, names)
    breached = request.app.get(BREACHED_PASSWORDS)
    if not problems and breached and await breached.includes(password):
        return [PasswordProblem.BREACHED]
    return problems
