"""What a client raises. No error contains a token, a service key or a password."""

from typing import NamedTuple


class LatchkeyError(Exception):
    """The base class of all errors of this package."""


class Unavailable(LatchkeyError):
    """Latchkey did not say whether a token is valid. The user stays logged in.

    Respond with a 503 whose Retry-After is `retry_after`, in seconds. The integrations do.
    """

    def __init__(self, reason: str, retry_after: int = 1) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class FieldError(NamedTuple):
    """What is wrong with one field of a request (docs/errors.md#codes-of-fields)."""

    field: str
    code: str
    message: str


class ApiError(LatchkeyError):
    """Latchkey rejected a request to `/internal` with a code of docs/errors.md.

    `code` is empty if the response is not one of Latchkey, for example that of a proxy.
    """

    def __init__(self, status: int, code: str, title: str, errors: list[FieldError]) -> None:
        fields = "".join(f"; {each.field}: {each.message}" for each in errors)
        super().__init__(f"{status} {code}: {title}{fields}")
        self.status = status
        self.code = code
        self.errors = errors
