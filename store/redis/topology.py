"""What `REDIS_URL` names: one Redis, a primary that Sentinels know, or a cluster.

    redis://, rediss://, unix://                                            as redis-py reads them
    redis+sentinel://[user:password@]host:port[,host:port...]/<service>[/<db>][?options]
    redis+cluster://[user:password@]host:port[,host:port...][?options]

User and password are those of the Redis servers; Sentinels that want any take them from the options
`sentinel_username` and `sentinel_password`. Further options are redis-py's: `ssl=true` and other
`ssl_...`, `socket_...`, `health_check_interval`, `client_name`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from redis.asyncio.connection import parse_url
from redis.maint_notifications import MaintNotificationsConfig

Place = tuple[str, int]

PLAIN = {
    "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    "driver_info": None,
}
"""For every client. With the notifications of Redis Enterprise, on by default, redis-py hands out
pooled connections that have ended: after a restart of Redis the next login was a 503. And it looks
its own version up for each connection, 2 ms, to tell Redis of it."""

_PLACE = re.compile(r"(?:\[([\da-fA-F:.]+)\]|([^\s\[\]:]+)):(\d{1,5})")
_OPTION = re.compile(r"(ssl(_\w+)?|socket_\w+|health_check_interval|client_name)")


@dataclass(frozen=True)
class Single:
    """One Redis, by a URL that redis-py reads itself."""

    url: str


@dataclass(frozen=True)
class Sentinels:
    """The primary of a service, to be asked of Sentinels."""

    places: tuple[Place, ...]
    service: str
    options: Mapping[str, Any]
    """Of connections to the primary."""
    asking: Mapping[str, Any]
    """Of connections to the Sentinels."""


@dataclass(frozen=True)
class Nodes:
    """Some nodes of a cluster; they know the others."""

    places: tuple[Place, ...]
    options: Mapping[str, Any]


def parse_redis_url(url: str) -> Single | Sentinels | Nodes:
    """Return what a URL names. Raises ValueError when it can't be read."""
    if url.startswith(("redis://", "rediss://", "unix://")):
        parse_url(url)
        return Single(url)
    parts = urlsplit(url)
    userinfo, _, places = parts.netloc.rpartition("@")
    options: dict[str, Any] = dict(parse_url(f"redis://{userinfo}@x/?{parts.query}"))
    del options["host"]
    if "ssl" in options:
        options["ssl"] = options["ssl"].lower() in ("1", "yes", "true")
    if parts.fragment:
        raise ValueError("a # in it")
    if parts.scheme == "redis+cluster" and parts.path in ("", "/"):
        return Nodes(_places(places), _checked(options))
    service, slash, db = unquote(parts.path).removeprefix("/").partition("/")
    if parts.scheme != "redis+sentinel" or not service or (slash and not re.fullmatch(r"\d+", db)):
        raise ValueError("no Redis URL")
    asking = {
        name: options.pop(f"sentinel_{name}")
        for name in ("username", "password")
        if f"sentinel_{name}" in options
    }
    asking |= {name: value for name, value in options.items() if name.startswith("ssl")}
    return Sentinels(_places(places), service, _checked(options) | {"db": int(db or 0)}, asking)


def _places(text: str) -> tuple[Place, ...]:
    found = [_PLACE.fullmatch(word) for word in text.split(",")]
    places = tuple((each[1] or each[2], int(each[3])) for each in found if each)
    if len(places) < len(found) or not all(0 < port < 65536 for _, port in places):
        raise ValueError("not host:port")
    return places


def _checked(options: Mapping[str, Any]) -> dict[str, Any]:
    if any(not _OPTION.fullmatch(name) for name in options.keys() - {"username", "password"}):
        raise ValueError("an unknown option")
    return dict(options)
