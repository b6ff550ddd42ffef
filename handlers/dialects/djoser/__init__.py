"""djoser, for apps of back ends with djoser and its token endpoints or JWTs.

Contract: docs/contracts/djoser.md, which lists what differs from djoser on purpose. Checks, bodies
and errors are those of Django REST framework (handlers/dialects/drf.py), and any method that a path
of users does not have requires a token.
"""

from handlers.dialects.djoser import lifecycle, tokens, users
from handlers.dialects.djoser.options import OPTIONS, Options, links
from handlers.dialects.djoser.routes import (
    email_routes,
    jwt_routes,
    open_routes,
    render_error,
    routes,
)
from handlers.routes import Dialect

__all__ = ["DIALECT", "lifecycle", "users"]

DIALECT = Dialect(
    "djoser",
    render_error,
    {**routes.endpoints, **open_routes.endpoints, **jwt_routes.endpoints},
    email_routes.endpoints,
    options=Options(),
    options_key=OPTIONS,
    session_specs=[tokens.SESSION, tokens.JWTS.spec],
    lifetimes=Options.jwt_lifetimes,
    schemes=lambda options: options.schemes | options.jwt_schemes,
    links=links,
    paths=tokens.SWITCHES,
    needs_mail=lambda options: options.send_activation_email,
    by_default=False,
)
