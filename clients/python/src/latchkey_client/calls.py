"""Calls as values: the request that each makes and how its response is read, without any I/O.

`LatchkeyClient` and `AsyncLatchkeyClient` carry them out.
"""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import httpx

from latchkey_client.errors import ApiError, FieldError, Unavailable

T = TypeVar("T")

TIMEOUT = 3.0
"""Seconds for connecting, and for each read and write. Latchkey itself gives up after 0.8."""
LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=100, keepalive_expiry=30)
"""Idle connections are closed before Latchkey closes them, after KEEPALIVE_TIMEOUT (75 s)."""

_KEY = re.compile(r"[A-Za-z0-9._~+/-]{32,}=*")
_log = logging.getLogger("latchkey_client")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request and how its response is read. With a token it has that instead of the key."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    token: str = ""
    query: Mapping[str, str] | None = None
    form: Mapping[str, str] | None = None
    json: Mapping[str, object] | None = None
    idempotency_key: str = ""
    repeatable: bool = False
    """Whether it may be sent twice, because it changes nothing or has an Idempotency-Key."""


class Target:
    """A server's address and the service key: makes the requests of calls."""

    def __init__(self, url: str, service_key: str | None) -> None:
        """Check both. Raises ValueError, whose text does not contain the key."""
        if not re.match("https?://[^/]", url):
            raise ValueError(f"the URL of Latchkey begins with http:// or https:// (got {url!r})")
        if service_key is not None and not _KEY.fullmatch(service_key):
            raise ValueError("the service key is not one of SERVICE_KEYS: 32 characters or more")
        self._url = url.rstrip("/")
        self._key = service_key

    def request(self, call: Call[Any]) -> dict[str, Any]:
        """Return httpx's arguments for a call. Raises ValueError if it needs a key without one."""
        credential = call.token or self._key
        if not credential:
            raise ValueError("this call needs a service_key")
        headers = {"Authorization": f"Bearer {credential}"}
        if call.idempotency_key:
            headers["Idempotency-Key"] = call.idempotency_key
        return {
            "method": call.method,
            "url": self._url + call.path,
            "params": call.query,
            "data": call.form,
            "json": call.json,
            "headers": headers,
        }


def is_final(call: Call[Any], attempt: int, error: httpx.RequestError) -> bool:
    """Return whether to give up. A connection that was closed while it was idle is replaced once.

    A timeout is final: a second one would make the user wait twice as long.
    """
    return attempt > 0 or not call.repeatable or isinstance(error, httpx.TimeoutException)


def no_response(call: Call[Any], failure: str) -> Unavailable:
    """Return the error of a call without a response. The failure is the name of httpx's error.

    httpx's error itself is dropped: it refers to the request, which has the token.
    """
    _log.warning("Latchkey: %s in %s %s", failure, call.method, call.path)
    return Unavailable(f"{failure} in {call.method} {call.path}")


def unexpected(response: httpx.Response) -> Unavailable:
    """Return the error of a response that does not say what was asked."""
    what = f"{response.status_code} to {response.request.method} {response.request.url.path}"
    _log.warning("Latchkey: %s", what)
    seconds = response.headers.get("Retry-After", "")
    return Unavailable(what, int(seconds) if re.fullmatch("[0-9]{1,5}", seconds) else 1)


def result_of(call: Call[T], response: httpx.Response) -> T:
    """Return what a response says. Raises Unavailable if it is not one of Latchkey."""
    try:
        return call.read(response)
    except (LookupError, TypeError, ValueError, ArithmeticError, RecursionError):
        raise unexpected(response) from None


def check(response: httpx.Response) -> None:
    """Raise Unavailable if the request can be sent again later, ApiError if it was rejected.

    A 429, a 5xx and a request whose Idempotency-Key is in use can be sent again.
    """
    if response.is_success:
        return
    if response.status_code == 429 or response.is_server_error:
        raise unexpected(response)
    problem = _json(response)
    if not isinstance(problem, dict) or not isinstance(problem.get("code"), str):
        raise ApiError(response.status_code, "", "unexpected response", [])
    if problem["code"] == "idempotency_key_in_use":
        raise unexpected(response)
    errors = [FieldError(e["field"], e["code"], e["message"]) for e in problem.get("errors", [])]
    raise ApiError(response.status_code, problem["code"], problem["title"], errors)


def content_of(response: httpx.Response) -> Any:
    """Return the JSON of a success. Raises Unavailable if it is not an object, and as `check`."""
    check(response)
    content = _json(response)
    if not isinstance(content, dict):
        raise unexpected(response)
    return content


def nothing(response: httpx.Response) -> None:
    """Read a response without content."""
    check(response)


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None
