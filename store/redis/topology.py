"""Parses `REDIS_URL`: one Redis, a primary behind Sentinels, or a cluster.

    redis://, rediss://, unix://                                            as redis-py reads them
    redis+sentinel://[user:password@]host:port[,host:port...]/<service>[/<db>][?options]
    redis+cluster://[user:password@]host:port[,host:port...][?options]

User and password are those of the Redis servers. Sentinels that require them get the options
`sentinel_username` and `sentinel_password`. The other options are the same for all:
`username`, `password`, `client_name`, `health_check_interval`, `socket_timeout`,
`socket_connect_timeout`, `socket_keepalive`, and `ssl_...` where the connection is TLS. TLS is on
with rediss://, and with `ssl=true` for Sentinels and clusters. `db` is for redis:// and rediss://.
"""

import inspect
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, parse_url
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig

from store.errors import BadValue

Place = tuple[str, int]

PLAIN = {
    "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    "driver_info": None,
}
"""Options of every client. With the notifications of Redis Enterprise, on by default, redis-py uses
pooled connections that have ended: after a restart of Redis the next login was a 503. With
`driver_info`, it looks up its own version for each connection, which takes 2 ms."""

_PLACE = re.compile(r"(?:\[([\da-fA-F:.]+)\]|([^\s\[\]:]+)):(\d{1,5})")
_OPTIONS = {
    "username",
    "password",
    "client_name",
    "health_check_interval",
    "socket_timeout",
    "socket_connect_timeout",
    "socket_keepalive",
}
_NUMBERS = ("health_check_interval", "socket_timeout", "socket_connect_timeout")
_TLS_OPTIONS = {
    name for name in inspect.signature(SSLConnection).parameters if name.startswith("ssl_")
}
_DRIVER_OPTIONS = {
    name for kind in (AbstractConnection, Redis) for name in inspect.signature(kind).parameters
}
_SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "redis+cluster")
_OTHERS = ("postgres", "postgresql", "http", "https", "mysql", "memcached", "sqlite", "amqp")
ENCODE = "in a user name or password write @ as %40, / as %2F, # as %23, ? as %3F and % as %25"
"""The advice for a URL that cannot be parsed: most often its password is not encoded."""


@dataclass(frozen=True)
class Single:
    """One Redis, by a URL that redis-py parses."""

    url: str


@dataclass(frozen=True)
class Sentinels:
    """The primary of a service, which Sentinels name."""

    places: tuple[Place, ...]
    service: str
    options: Mapping[str, Any]
    """For connections to the primary."""
    sentinel_options: Mapping[str, Any]
    """For connections to the Sentinels."""


@dataclass(frozen=True)
class Nodes:
    """Some nodes of a cluster, from which the others are learned."""

    places: tuple[Place, ...]
    options: Mapping[str, Any]


def parse_redis_url(url: str) -> Single | Sentinels | Nodes:
    """Return the servers that a URL names. Raises ValueError when it is invalid."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        if separator and scheme.lower() in _OTHERS:
            raise BadValue(f"it begins with {scheme.lower()}://")
        raise ValueError("not a Redis URL")
    if re.search(r"[\s\x00-\x20\x7f]", rest):
        raise BadValue("it has white space or a control character")
    if "#" in rest:
        raise BadValue(ENCODE)
    parts = urlsplit(url)
    if "@" in parts.path and scheme != "unix":
        raise BadValue(ENCODE)
    if scheme == "redis+sentinel":
        return _sentinels(parts)
    if scheme == "redis+cluster":
        return _nodes(parts)
    return _single(url, parts)


def _single(url: str, parts: SplitResult) -> Single:
    has_tls = parts.scheme == "rediss"
    options = _options(url, parts, {"db", *(_TLS_OPTIONS if has_tls else ())})
    _check_connection(options, has_tls=has_tls)
    if parts.scheme == "unix":
        if not parts.path.strip("/") or (parts.netloc and not parts.netloc.endswith("@")):
            raise BadValue("it must give the absolute path of a socket: unix:///path/to/socket")
        return Single(url)
    if parts.port == 0 or parts.netloc.endswith(":"):
        raise BadValue("its port is not a number from 1 to 65535")
    _check_host(parts.hostname or "localhost")
    if not re.fullmatch(r"/?|/[0-9]{1,9}", parts.path):
        raise BadValue("after the host, only / or / and a database number is allowed")
    return Single(url)


def has_credentials(url: str) -> bool:
    """Return whether a URL has a password or a client certificate."""
    at = parse_redis_url(url)
    options = parse_url(at.url) if isinstance(at, Single) else at.options
    return bool(options.get("password") or options.get("ssl_certfile"))


def is_on_socket(url: str) -> bool:
    """Return whether a URL names a unix socket, where file permissions restrict access."""
    return url.startswith("unix://")


def is_on_loopback(url: str) -> bool:
    """Return whether a URL names only servers that are reachable from this machine alone."""
    at = parse_redis_url(url)
    if isinstance(at, Single):
        return _is_loopback(str(parse_url(at.url).get("host", "localhost")))
    return all(_is_loopback(host) for host, _ in at.places)


def _nodes(parts: SplitResult) -> Nodes:
    if parts.path not in ("", "/"):
        raise BadValue("a cluster does not support database numbers")
    options, places = _listed(parts, {"ssl", *_TLS_OPTIONS})
    unknown = options.keys() - inspect.signature(RedisCluster.__init__).parameters.keys()
    if unknown:
        raise BadValue(f"a cluster does not support the option {min(unknown)}")
    return Nodes(places, options)


def _sentinels(parts: SplitResult) -> Sentinels:
    service, slash, db = unquote(parts.path).removeprefix("/").partition("/")
    if not service or (slash and not re.fullmatch("[0-9]{1,9}", db)):
        raise BadValue("after the Sentinels, /service or /service/database is required")
    credentials = {"sentinel_username", "sentinel_password"}
    options, places = _listed(parts, {"ssl", *credentials, *_TLS_OPTIONS})
    sentinel_options = {
        name.removeprefix("sentinel_"): options.pop(name)
        for name in sorted(credentials & options.keys())
    }
    sentinel_options |= {name: value for name, value in options.items() if name.startswith("ssl")}
    return Sentinels(places, service, options | {"db": int(db or 0)}, sentinel_options)


def _listed(parts: SplitResult, more: set[str]) -> tuple[dict[str, Any], tuple[Place, ...]]:
    """Return the options and the addresses of a URL that may name several."""
    userinfo, _, places = parts.netloc.rpartition("@")
    options = _options(f"redis://{userinfo}@x/?{parts.query}", parts, more)
    del options["host"]
    has_tls = False
    if "ssl" in options:
        if options["ssl"].lower() not in ("1", "yes", "true", "0", "no", "false"):
            raise BadValue("its option ssl must be true or false")
        has_tls = options["ssl"] = options["ssl"].lower() in ("1", "yes", "true")
    if not has_tls and options.keys() & _TLS_OPTIONS:
        raise BadValue("its options ssl_... need ssl=true")
    credentials = {name for name in options if name.startswith("sentinel_")}
    checked = {name: value for name, value in options.items() if name not in {"ssl", *credentials}}
    _check_connection(checked, has_tls=has_tls)
    return options, _places(places)


def _options(url: str, parts: SplitResult, more: set[str]) -> dict[str, Any]:
    """Return the options of a URL as redis-py parses them. Raises BadValue for others."""
    if parts.query:
        try:
            names = [name for name, _ in parse_qsl(parts.query, True, True, errors="strict")]
        except ValueError:
            raise BadValue(f"the part after ? is not a list of name=value; {ENCODE}") from None
        if unknown := set(names) - _OPTIONS - more:
            allowed = sorted(_OPTIONS | more)
            # A name that redis-py does not know may be part of a password, and is not shown.
            known = min(unknown & _DRIVER_OPTIONS, default="")
            shown = f"option {known}" if known else "options"
            raise BadValue(f"its {shown} is not allowed; allowed are {', '.join(allowed)}")
        if len(names) > len(set(names)):
            raise BadValue("one of its options is given twice")
    try:
        options: dict[str, Any] = {**parse_url(url)}
    except ValueError:
        raise BadValue(
            f"an option has a wrong value, or the port is not a number; {ENCODE}"
        ) from None
    for name in _NUMBERS:
        if not 0 <= float(options.get(name, 0)) < math.inf:
            raise BadValue(f"its option {name} must be a positive number")
    options.pop("connection_class", None)
    return options


def _check_connection(options: Mapping[str, Any], *, has_tls: bool) -> None:
    """Make a connection without opening it: redis-py raises for invalid values."""
    try:
        kind = SSLConnection if has_tls else Connection
        kind(**{name: value for name, value in options.items() if name != "path"})
    except (RedisError, TypeError, ValueError):
        raise BadValue("one of its options has an invalid value") from None


def _places(text: str) -> tuple[Place, ...]:
    found = [_PLACE.fullmatch(word) for word in text.split(",")]
    places = tuple((each[1] or each[2], int(each[3])) for each in found if each)
    if len(places) < len(found) or not all(0 < port < 65536 for _, port in places):
        raise BadValue(f"it must name each server as host:port; {ENCODE}")
    for host, _ in places:
        _check_host(host)
    return places


def _check_host(host: str) -> None:
    try:
        host.encode("idna")
    except UnicodeError:
        raise BadValue("its host is not a name or an address") from None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
