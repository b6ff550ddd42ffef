"""/internal: the API for the other services of an application, which have service keys.

Contract: docs/contracts/service.md. It exists only if SERVICE_KEYS is set, and with INTERNAL_PORT
only on that port. Errors are RFC 9457 problem details with the codes of docs/errors.md. Web pages
cannot use it: no response has CORS headers.
"""

from handlers.internal import accounts, events, introspection, openapi, sessions
from handlers.internal.routes import routes

__all__ = ["accounts", "events", "introspection", "openapi", "routes", "sessions"]
