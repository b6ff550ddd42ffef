"""latchkey, the server's own API: sessions per device, e-mail, and the life of an account.

Contract: docs/contracts/latchkey.md. JSON in and out, errors as RFC 9457 problem details with a
stable code. A field that is null counts as absent, except in PATCH /v1/account; unknown fields are
errors.
"""

from handlers.dialects.latchkey import accounts, email, factors, identities, passkeys, sessions
from handlers.dialects.latchkey.problems import render_error
from handlers.dialects.latchkey.routes import routes
from handlers.routes import Dialect

__all__ = ["DIALECT", "accounts", "email", "factors", "identities", "passkeys"]

DIALECT = Dialect("latchkey", render_error, routes.endpoints, session_specs=[sessions.SPEC])
