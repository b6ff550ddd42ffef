"""Converts redis-py's errors: a Redis that cannot serve is Unavailable, others are bugs."""

import re

import redis.exceptions

from store.errors import Unavailable, first_line

_CANT_SERVE = (
    redis.exceptions.ReadOnlyError
    | redis.exceptions.ClusterError
    | redis.exceptions.OutOfMemoryError
    | redis.exceptions.TryAgainError
    | redis.exceptions.NoPermissionError
)
_SAYS_SO = re.compile(
    r"\b(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MISCONF|OOM|NOREPLICAS|BUSY|NOPERM)\b"
    r"|ACL failure in script"
)


def to_app_error(error: Exception) -> Exception:
    """Return Unavailable when an error of the driver means so, else the error itself."""
    if isinstance(error, TimeoutError | redis.exceptions.TimeoutError):
        return Unavailable("redis", "no reply in time")
    if isinstance(error, OSError | redis.exceptions.ConnectionError | _CANT_SERVE):
        return Unavailable("redis", first_line(error))
    if isinstance(error, redis.exceptions.ResponseError) and _SAYS_SO.search(str(error)):
        return Unavailable("redis", first_line(error))
    return error
