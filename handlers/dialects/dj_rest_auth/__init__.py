"""dj-rest-auth, for apps of back ends with dj-rest-auth and django-allauth.

Contract: docs/contracts/dj-rest-auth.md, which lists what differs from the library on purpose.
Checks, bodies and errors are those of Django REST framework (handlers/dialects/drf.py).
"""

from handlers.dialects.dj_rest_auth import accounts, jwts, passwords, registration, sessions
from handlers.dialects.dj_rest_auth.options import OPTIONS, Options, links, needs_mail
from handlers.dialects.dj_rest_auth.routes import (
    NAME,
    SESSION,
    VIEWS,
    jwt_routes,
    open_routes,
    render_error,
    routes,
)
from handlers.routes import Dialect

__all__ = ["DIALECT", "accounts", "jwts", "passwords", "registration", "sessions"]

DIALECT = Dialect(
    NAME,
    render_error,
    {**open_routes.endpoints, **routes.endpoints, **jwt_routes.endpoints},
    options=Options(),
    options_key=OPTIONS,
    session_specs=[SESSION, VIEWS.spec],
    paths=dict.fromkeys(jwt_routes.endpoints, "use_jwt"),
    lifetimes=Options.jwt_lifetimes,
    links=links,
    needs_mail=needs_mail,
    allows_credentials=lambda options: options.cors_allow_credentials,
    schemes=lambda options: options.jwt_schemes if options.use_jwt else frozenset(),
    by_default=False,
)
