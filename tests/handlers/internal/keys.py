"""A service key of each scope."""

from handlers.internal.service_keys import Scope

KEYS = {
    Scope.INTROSPECT: "gateway-key-of-the-tests-0123456789abcdef",
    Scope.READ: "reader-key-of-the-tests-0123456789abcdef",
    Scope.WRITE: "writer-key-of-the-tests-0123456789abcdef",
}
NAMES = {Scope.INTROSPECT: "gateway", Scope.READ: "reader", Scope.WRITE: "billing"}
TEXT = " ".join(f"{NAMES[scope]}:{scope.name.lower()}:{KEYS[scope]}" for scope in Scope)
"""The value of SERVICE_KEYS."""


def bearer(key: str) -> dict[str, str]:
    """Return the header with a key."""
    return {"Authorization": f"Bearer {key}"}
