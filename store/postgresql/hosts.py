"""Connects to PostgreSQL at one of several hosts.

libpq can do so, but not under aiopg: for the next address it opens another descriptor than the one
that aiopg watches, and a refused connection leaves uvloop with a dead handle. So each address is
probed by TCP before libpq connects to it, and `target_session_attrs` is checked by a query.
"""

import asyncio
import contextlib
import re
from collections.abc import Iterator, Mapping

import aiopg
import psycopg2
from psycopg2.extensions import make_dsn, parse_dsn

from store.errors import BadValue

_WANTED = {
    "any": "true",
    "read-write": "current_setting('transaction_read_only') = 'off'",
    "read-only": "current_setting('transaction_read_only') = 'on'",
    "primary": "not pg_is_in_recovery()",
    "standby": "pg_is_in_recovery()",
    "prefer-standby": "pg_is_in_recovery()",
}
_KEEPALIVE = {
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
"""TCP keepalive keeps an idle connection known to NATs and load balancers, and closes a dead one
within a minute. The connection string may set other values. libpq ignores options that the system
does not support."""
_CHOICES = {
    "target_session_attrs": tuple(_WANTED),
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "gssencmode": ("disable", "prefer", "require"),
    "channel_binding": ("disable", "prefer", "require"),
}
_NUMBERS = (
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
)
_LISTS = ("host", "hostaddr", "port")
_ENCODE = "in a user name or password write @ as %40, / as %2F, # as %23, ? as %3F and % as %25"
_OTHERS = ("redis", "rediss", "unix", "redis+sentinel", "redis+cluster", "http", "https", "mysql")


def check_database_url(url: str) -> str:
    """Return a libpq connection string unchanged. Raises ValueError when it is invalid."""
    scheme, separator, rest = url.partition("://")
    if separator and scheme.lower() in _OTHERS:
        raise BadValue(f"it begins with {scheme.lower()}://")
    is_url = bool(separator) and scheme in ("postgres", "postgresql")
    try:
        parameters = parse_dsn(url)
    except psycopg2.ProgrammingError:  # its own text shows the password
        raise BadValue(_ENCODE) if is_url else ValueError from None
    if is_url and "@" in rest.partition("?")[0].partition("/")[2]:
        raise BadValue(_ENCODE)  # libpq ends a password at a /
    _check_places(parameters)
    for name, choices in _CHOICES.items():
        if parameters.get(name, choices[0]) not in choices:
            raise BadValue(f"its {name} must be one of {', '.join(choices)}")
    for name in _NUMBERS:
        if not re.fullmatch("-?[0-9]{1,9}", parameters.get(name, "0")):
            raise BadValue(f"its {name} must be a whole number")
    if parameters.get("replication", "false") not in ("false", "off", "no", "0"):
        raise BadValue("it asks for replication")
    return url


def _check_places(parameters: Mapping[str, str]) -> None:
    lists = {name: parameters[name].split(",") for name in _LISTS if name in parameters}
    count = max((len(lists.get(name, ())) for name in ("host", "hostaddr")), default=1)
    for name, values in lists.items():
        if len(values) not in ({1, count} if name == "port" else {count}):
            raise BadValue("it names different numbers of hosts, addresses and ports")
    for port in lists.get("port", ()):
        if port and not (re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 65536):
            raise BadValue(f"its port must be a number from 1 to 65535; {_ENCODE}")
    for host in lists.get("host", ()):
        if "@" in host[1:] and not host.startswith("/"):
            raise BadValue(_ENCODE)
        try:
            if not host.startswith(("/", "@")):
                host.encode("idna")
        except UnicodeError:
            raise BadValue("its host is not a name, an address or a directory") from None


class Connection(aiopg.Connection):
    """A connection that can be closed twice.

    aiopg's own uses its descriptor each time, which may then belong to a client's connection.
    """

    _is_ended = False

    def close(self) -> "asyncio.Future[None]":
        """Close the connection, unless it is closed."""
        if not self._is_ended:
            self._is_ended = True
            return super().close()
        done: asyncio.Future[None] = self._loop.create_future()
        done.set_result(None)
        return done


async def connect(url: str, seconds: float) -> aiopg.Connection:
    """Connect to the first host that responds and has the URL's `target_session_attrs`.

    All hosts together get `seconds`. Raises psycopg2.Error, OSError, TimeoutError.
    """
    parameters = parse_dsn(url)
    wanted = parameters.pop("target_session_attrs", "any")
    hosts = list(_hosts(parameters))
    passes = [wanted, "any"] if wanted == "prefer-standby" else [wanted]
    failure: Exception = psycopg2.OperationalError(f"no host is {wanted}")
    for attributes in passes:
        for host in hosts:
            try:
                async with asyncio.timeout(seconds / len(hosts) / len(passes)):
                    if connection := await _connect(host, attributes):
                        return connection
            except (psycopg2.Error, OSError) as error:  # a TimeoutError is an OSError
                failure = error
    raise failure


def _hosts(parameters: dict[str, str]) -> Iterator[dict[str, str]]:
    """Yield the parameters of each host of a DSN that may name several (libpq, 34.1.1.3)."""
    lists = {name: parameters[name].split(",") for name in _LISTS if name in parameters}
    count = max((len(values) for values in lists.values()), default=1)
    for n in range(count):
        own = {name: values[n if len(values) > 1 else 0] for name, values in lists.items()}
        yield {**parameters, **own}


async def _connect(parameters: dict[str, str], attributes: str) -> aiopg.Connection | None:
    """Connect to one host; return None when it does not have these attributes."""
    if address := await _probe(parameters):
        parameters = {**parameters, "hostaddr": address}
    connection = await Connection(
        make_dsn(**{**_KEEPALIVE, **parameters, "client_encoding": "UTF8"}),
        None,  # type: ignore[arg-type]  # no timeout of aiopg's: each caller has one
        enable_hstore=False,
        enable_json=False,
        enable_uuid=False,
        application_name="latchkey",
    )
    if attributes == "any":
        return connection
    async with connection.cursor() as cursor:
        await cursor.execute(f"select {_WANTED[attributes]}")
        [fits] = await cursor.fetchone()
    if not fits:
        await connection.close()
        return None
    return connection


async def _probe(parameters: dict[str, str]) -> str | None:
    """Open a connection to a host and close it; return its address if it has one.

    Raises OSError.
    """
    host = parameters.get("hostaddr") or parameters.get("host", "")
    port = parameters.get("port") or "5432"
    if not host:
        return None  # libpq's default, or the environment variable PGHOST
    on_socket = host.startswith(("/", "@"))
    if on_socket:
        _, writer = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
    else:
        _, writer = await asyncio.open_connection(host, int(port))
    address = None if on_socket else writer.get_extra_info("peername")[0]
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return address
