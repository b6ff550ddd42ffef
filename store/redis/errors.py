"""What redis-py raises, told apart: a Redis that can't serve, or a bug of ours."""

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
    """Return the refusal that an error of the driver's amounts to; itself when it is a bug's."""
    if isinstance(error, TimeoutError | redis.exceptions.TimeoutError):
        return Unavailable("redis", "no answer in time")
    if isinstance(error, OSError | redis.exceptions.ConnectionError | _CANT_SERVE):
        return Unavailable("redis", first_line(error))
    if isinstance(error, redis.exceptions.ResponseError) and _SAYS_SO.search(str(error)):
        return Unavailable("redis", first_line(error))
    return error
