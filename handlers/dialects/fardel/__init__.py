"""fardel, a dialect that corresponds to Flask-JWT-Extended. Contract: docs/contracts/fardel.md.

Decisions where the original contract is silent or contradicts itself: its misspelt messages are
kept (sic: "Successfully logined", "Unvalid form submitted"); an update without changes is a 204
without the body that the original prints; empty and null fields count as absent, in registrations
only for optional fields; names have at most 254 characters; a header of another scheme is
malformed. A login trims its e-mail and does not validate it. The contract's section is
docs/contracts/fardel.md#decisions.
"""

from handlers.dialects.fardel import profile, tokens
from handlers.dialects.fardel.options import (
    ACCESS_SESSION,
    FRESH_SESSION,
    OPTIONS,
    REFRESH_SESSION,
    Options,
)
from handlers.dialects.fardel.routes import BadForm, NotFresh, render_error, routes
from handlers.routes import Dialect

__all__ = ["DIALECT", "BadForm", "NotFresh", "Options", "profile", "render_error", "tokens"]

DIALECT = Dialect(
    "fardel",
    render_error,
    routes.endpoints,
    options=Options(),
    options_key=OPTIONS,
    session_specs=[FRESH_SESSION, REFRESH_SESSION, ACCESS_SESSION],
)
