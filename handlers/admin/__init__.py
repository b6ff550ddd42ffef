"""/ui/admin/api: what the admin page does (docs/admin.md). It exists only with ADMIN=on.

It is the service API for a person: the same operations, by a superuser's session instead of a
service key. It is private to the page of the same version. Errors are problem details.
"""

from handlers.admin import accounts, events, factors, gallery, live
from handlers.admin.routes import PREFIX, routes

__all__ = ["PREFIX", "accounts", "events", "factors", "gallery", "live", "routes"]
