"""Imports point one way, each tool stays where it belongs, and files stay short."""

import ast
import re
import sys
from functools import cache
from itertools import permutations
from pathlib import Path

import pytest

import handlers

ROOT = Path(__file__).parent.parent
TOP_LEVEL = (
    "server.py",
    "app.py",
    "options.py",
    "settings.py",
    "setting_sources.py",
    "setting_types.py",
)
PACKAGES = ("commands", "embedded", "handlers", "mail", "store", "telemetry", "webhooks")
SHIPPED = [
    *(ROOT / name for name in TOP_LEVEL),
    *(file for name in PACKAGES for file in (ROOT / name).rglob("*.py")),
]
OURS = [*SHIPPED, *(ROOT / "tests").rglob("*.py"), *(ROOT / "bench").rglob("*.py")]

ORDER = (
    "server",
    "commands",
    "embedded",
    "app",
    "options",
    "settings",
    "setting_sources",
    "setting_types",
    "handlers",
    "mail",
    "webhooks",
    "store",
    "telemetry",
)
"""Each may import what stands behind it."""

DRIVERS = {"redis", "hiredis", "aiopg", "psycopg2", "bcrypt", "argon2"}

LIBRARIES = {
    "PIL": ["store"],
    "aiohttp": ["server", "app", "commands", "handlers", "webhooks.delivery"],
    "aiohttp_cors": ["handlers.cors"],
    "aiopg": ["store.postgresql"],
    "aiosmtplib": ["mail.transport"],
    "argon2": ["store"],
    "bcrypt": ["store"],
    "cryptography": ["store.sealing"],
    "gunicorn": ["commands.workers"],
    "hiredis": ["store.redis"],
    "idna": ["mail", "store"],
    "jinja2": ["mail.messages"],
    "jwt": ["store.id_tokens"],
    "multipart": ["handlers.forms"],
    "opentelemetry": ["telemetry.store_spans", "telemetry.tracing"],
    "orjson": ["handlers", "store.jwt_tokens", "telemetry.log"],
    "prometheus_client": ["commands.workers", "telemetry"],
    "psycopg2": ["store"],
    "pyotp": ["handlers.dialects.latchkey.factors", "store.totp"],
    "redis": ["store.redis", "store.diagnostics"],
    "segno": ["handlers.dialects.latchkey.factors"],
    "uvloop": ["commands"],
    "webauthn": ["store.passkey_ceremonies"],
    "yarl": ["handlers.origins", "handlers.passkey_origins"],
}
"""Each library with the modules, or packages of modules, that may import it."""

ROOMS = {
    "handlers.dialects": {"handlers", "store"},
    "handlers.system": {"handlers", "store", "telemetry"},
    "handlers.internal": {"handlers", "store"},
    "handlers.http": {"handlers", "store.errors"},
    "store.postgresql": {"store.errors", "telemetry"},
    "store.redis": {"store.errors", "store.batching", "telemetry"},
    "embedded": {"store.tokens"},
    "store.transfer": {
        "store.account",
        "store.errors",
        "store.event_writer",
        "store.images",
        "store.names",
    },
    "commands.transfer": {"commands", "handlers", "settings", "store"},
}
"""What these packages may import of the product, besides themselves."""

CLOSED = {
    "handlers.http": {"handlers.dialects", "handlers.system"},
    "handlers.dialects": {
        "handlers.http.connection",
        "handlers.http.encoder",
        "handlers.http.lingering",
        "handlers.http.middleware",
        "handlers.http.resolver",
        "handlers.http.unreadable",
        "telemetry",
    },
    "handlers": {"mail", "webhooks", "telemetry.store_spans", "telemetry.tracing"},
    "store": {"telemetry.store_spans", "telemetry.tracing"},
    "commands": {"handlers.dialects", "handlers.system", "telemetry.tracing"},
}
"""What each package may not import although it may import what that is part of."""

MOST_LINES = 300
LONGER = {
    "tools/draw_gallery.py": "ten faces in one table, and the shapes that its rows name",
}

SQL = re.compile(
    r"\b(select\s+.+\s+from|insert\s+into|update\s+\S+\s+set|delete\s+from"
    r"|(create|alter|drop)\s+(table|index|sequence)|truncate\s+\w+)\b",
    re.IGNORECASE | re.DOTALL,
)
REDIS_KEY = re.compile(r"^\w+:(\{|<|\w+:|$)")
REDIS_COMMAND = re.compile(r"redis\.call|\b(GETEX|ZADD|ZRANGE|MGET|KEEPTTL)\b")


def name_of(file):
    return str(file.relative_to(ROOT))


def module_of(file):
    return name_of(file).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@cache
def tree_of(file):
    return ast.parse(file.read_text(), name_of(file))


def is_for_types(node):
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


FILES = {module_of(file): file for file in SHIPPED}


@cache
def imports_of(module):
    """Every module that one imports when it runs; imports for types only bind nothing."""
    file = FILES[module]
    found, nodes = set(), [tree_of(file)]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(file)} has a relative import"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        nodes += node.orelse if is_for_types(node) else ast.iter_child_nodes(node)
    return found


def packages(imports):
    return {name.partition(".")[0] for name in imports}


MODULES = [name.replace("-", "_") for name in handlers.DIALECTS]


def test_what_is_looked_at_is_all_there():
    assert set(ORDER) <= {module.partition(".")[0] for module in FILES}
    assert {"store.accounts", "store.sessions", "store.pictures", "store.access"} <= set(FILES)
    assert {f"handlers.dialects.{name}" for name in MODULES} <= set(FILES)
    assert "handlers.dialects.lumotist" in imports_of("handlers")


CLIENT = [*(ROOT / "clients/python/src").rglob("*.py")]
CLIENT_LIBRARIES = {
    "aiohttp": "aiohttp",
    "django": "django",
    "flask": "flask",
    "rest_framework": "rest_framework",
    "starlette": "starlette",
    "werkzeug": "flask",
}
"""Each library with the module of latchkey-client that may import it. All may import httpx."""


@pytest.mark.parametrize("file", CLIENT, ids=name_of)
def test_the_client_imports_httpx_and_nothing_of_the_server(file):
    names = {node.module for node in ast.walk(tree_of(file)) if isinstance(node, ast.ImportFrom)}
    names |= {
        alias.name
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    allowed = {"latchkey_client", "httpx", *sys.stdlib_module_names}
    allowed |= {each for each, module in CLIENT_LIBRARIES.items() if module == file.stem}
    assert packages(names) <= allowed
    assert len(file.read_text().splitlines()) <= MOST_LINES


def test_the_server_imports_no_client():
    assert CLIENT
    assert [each for each in FILES if "latchkey_client" in packages(imports_of(each))] == []


@pytest.mark.parametrize("module", FILES)
def test_imports_point_one_way(module):
    place = ORDER.index(module.partition(".")[0])
    assert packages(imports_of(module)).isdisjoint(ORDER[:place])


@pytest.mark.parametrize(("one", "other"), list(permutations(MODULES, 2)))
def test_a_dialect_imports_no_other(one, other):
    assert f"handlers.dialects.{other}" not in imports_of(f"handlers.dialects.{one}")


@pytest.mark.parametrize(
    ("one", "other"), list(permutations(("accounts", "sessions", "pictures"), 2))
)
def test_accounts_sessions_and_pictures_do_not_know_each_other(one, other):
    assert f"store.{other}" not in imports_of(f"store.{one}")


OPENERS = ("access", "admin", "authentication", "core", "jwt_sessions", "logins")


def test_few_modules_import_accounts_and_sessions():
    """Authentication, what ends or opens sessions, and store/core.py, which composes them."""
    both = {"store.accounts", "store.sessions"}
    allowed = {f"store.{name}" for name in OPENERS}
    assert {each for each in FILES if both <= imports_of(each)} == allowed


def is_in(module, places):
    """Return whether a module is one of these, or in one of these packages."""
    return any(f"{module}.".startswith(f"{place}.") for place in places)


def of_product(module):
    """Return the modules of the product that a module imports; a package only for its own names."""
    known = {name for name in imports_of(module) if name in FILES and name != module}
    return {name for name in known if not any(each.startswith(f"{name}.") for each in known)}


def libraries_of(module):
    return packages(imports_of(module)) - sys.stdlib_module_names - set(ORDER)


@pytest.mark.parametrize("module", FILES)
def test_libraries_are_imported_where_they_belong(module):
    libraries = libraries_of(module)
    assert {each for each in libraries if not is_in(module, LIBRARIES.get(each, ()))} == set()


def test_every_permission_is_used():
    """For a library, and for what a package may import."""
    libraries = {module: libraries_of(module) for module in FILES}
    assert set(LIBRARIES) == set().union(*libraries.values())
    for library, places in LIBRARIES.items():
        importing = [module for module in FILES if library in libraries[module]]
        unused = {place for place in places if not any(is_in(each, {place}) for each in importing)}
        assert unused == set(), library
    for room, allowed in ROOMS.items():
        imports = set().union(*(of_product(each) for each in FILES if is_in(each, {room})))
        assert {each for each in allowed if not any(is_in(x, {each}) for x in imports)} == set(), (
            room
        )


@pytest.mark.parametrize("module", [each for each in FILES if is_in(each, ROOMS)])
def test_a_package_imports_what_it_may(module):
    [room] = [each for each in ROOMS if is_in(module, {each})]
    assert {name for name in of_product(module) if not is_in(name, {room, *ROOMS[room]})} == set()


@pytest.mark.parametrize("module", [each for each in FILES if is_in(each, CLOSED)])
def test_a_package_does_not_import_what_is_closed_to_it(module):
    rooms = [room for room in CLOSED if is_in(module, {room})]
    closed = set().union(*(CLOSED[room] for room in rooms))
    if not is_in(module, closed):
        assert {name for name in of_product(module) if is_in(name, closed)} == set()


def test_what_is_closed_exists():
    named = {*CLOSED, *(each for closed in CLOSED.values() for each in closed)}
    assert {each for each in named if not any(is_in(module, {each}) for module in FILES)} == set()


def test_no_modules_import_each_other():
    """Nor in a longer circle. What imports nothing that is left is removed until none is left."""
    left = {module: of_product(module) for module in FILES}
    while free := {module for module, imports in left.items() if not imports & left.keys()}:
        left = {module: imports for module, imports in left.items() if module not in free}
    assert left == {}


@pytest.mark.parametrize("module", [each for each in FILES if each.startswith("store")])
def test_the_store_knows_no_web(module):
    assert packages(imports_of(module)).isdisjoint({"aiohttp", "aiohttp_cors"})


@pytest.mark.parametrize("module", [each for each in FILES if each.startswith("handlers")])
def test_the_handlers_know_no_driver(module):
    assert packages(imports_of(module)).isdisjoint(DRIVERS)


def test_only_the_server_reads_the_environment():
    reads = {"os.environ", "os.environb", "os.getenv", "os.getenvb"}
    found = set()
    for file in SHIPPED:
        names = {
            ast.unparse(node) for node in ast.walk(tree_of(file)) if isinstance(node, ast.Attribute)
        }
        if reads & (names | imports_of(module_of(file))):
            found.add(name_of(file))
    assert found == {"server.py"}


def test_each_client_of_aiohttp_has_a_separate_tls_context():
    """Those that aiohttp makes when it is imported know no certificate authority: see server.py."""
    calls = [
        (name_of(file), {keyword.arg for keyword in node.keywords})
        for file in SHIPPED
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("aiohttp.ClientSession", "aiohttp.TCPConnector")
    ]
    assert {"handlers/breached_passwords.py", "webhooks/delivery.py"} <= {file for file, _ in calls}
    assert [file for file, keywords in calls if not keywords & {"connector", "ssl"}] == []


def test_no_method_is_replaced_at_run_time():
    """Metrics and traces are told by an observer. One name of a library is set, with its reason."""
    sets = {
        name_of(file)
        for file in SHIPPED
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "setattr"
    }
    assert sets == {"store/postgresql/database.py"}


def strings_of(file):
    """Every string of a file that is no docstring; of an f-string what is written in it."""
    tree = tree_of(file)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                part.value if isinstance(part, ast.Constant) else "{}" for part in node.values
            )
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in docstrings
        ):
            yield node.value


def speaks_to_a_store(text):
    return bool(SQL.search(text) or REDIS_KEY.match(text) or REDIS_COMMAND.search(text))


OUTSIDE = [file for file in SHIPPED if not name_of(file).startswith("store/")]


@pytest.mark.parametrize("file", OUTSIDE, ids=name_of)
def test_no_sql_and_no_redis_key_outside_the_store(file):
    assert [text for text in strings_of(file) if speaks_to_a_store(text)] == []


def test_sql_and_redis_keys_are_found_where_they_are():
    for name in (
        "store/accounts.py",
        "store/pictures.py",
        "store/session_record.py",
        "store/session_scripts.py",
    ):
        assert [text for text in strings_of(ROOT / name) if speaks_to_a_store(text)]


@pytest.mark.parametrize("file", SHIPPED, ids=name_of)
def test_files_are_short(file):
    """Unless there is a reason, which then is still needed. Tables of tests may be long."""
    lines = len(file.read_text().splitlines())
    assert (lines > MOST_LINES) == (name_of(file) in LONGER)
