"""The code uses the standard terms: the names and phrases that they replaced stay out of it."""

import ast
import io
import re
import tokenize

import pytest

from tests.pages import ROOT
from tests.test_words import BANNED, banned_words

OLD_NAMES = {
    "adopt": "import_tokens",
    "answer": "response, reply",
    "answers": "responses, replies",
    "ask": "execute",
    "AWAKE": "SPIN_SECONDS",
    "BadInput": "CommandError",
    "BehindSentinel": "SentinelRedis",
    "Blemish": "PictureProblem",
    "by": "deadline",
    "CantRun": "EmbeddedStoreError",
    "coalesce": "batch",
    "Coalesced": "BatchLoader",
    "Crashed": "InternalError",
    "Flaw": "TokenProblem",
    "front": "middleware",
    "fronted": "wrapped",
    "grant": "spec",
    "Grant": "SessionSpec",
    "grants": "specs",
    "greet": "print_banner",
    "InUse": "DataDirectoryInUse",
    "is_nameable": "is_valid_name",
    "is_storable": "is_valid_text",
    "judge": "resolve_caller, check",
    "Mounted": "RouteHandler",
    "NoAccounts": "CommandError",
    "NotDone": "CommandError",
    "OnCluster": "ClusterRedis",
    "Opened": "IssuedToken",
    "Operator": "Admin",
    "Outbox": "WriteBatcher",
    "Outdated": "StaleEpoch",
    "patience": "timeout, max_wait",
    "PATIENCE": "GATHER_TURNS, a timeout",
    "refusal": "error",
    "Refusal": "CommandError",
    "refuse": "render_error, reject",
    "Refused": "AppError",
    "regressed": "database_restored",
    "ROUNDS": "MAX_ATTEMPTS",
    "said": "response, reported",
    "say_no": "error_response",
    "sayable": "safe_header_value",
    "settle": "freeze_gc",
    "SHOWN": "PREVIEW_CHARS",
    "speaks_form": "is_wicare",
    "spoken": "dialect",
    "SPOKEN": "DIALECT",
    "standing": "sessions",
    "tell_apart": "choose_dialect",
    "told": "signal, reported",
    "TooLarge": "PayloadTooLarge",
    "TooMany": "RateLimited",
    "TooSlow": "RequestTimeout",
    "touch": "renew",
    "Touches": "SessionRenewer",
    "why": "reason",
    "WrongMediaType": "UnsupportedMediaType",
    "WrongMethod": "MethodNotAllowed",
}
"""Each with what it is called now. A leading underscore makes no other name."""

OLD_MODULES = {
    "adopt": "import_tokens",
    "asking": "prompt",
    "connect": "retry",
    "description": "openapi",
    "facts": "diagnostics",
    "keys": "app_keys",
    "moving": "transfer",
    "operator": "admin",
    "portraits": "default_gallery",
    "probes": "health",
    "process": "serving",
    "reach": "stores",
    "sentences": "messages",
    "shared": "shared_paths",
}
PRODUCT = [ROOT / name for name in ("app.py", "server.py", "settings.py", "schema.sql")]
ROOMS = (
    "clients/python/src",
    "commands",
    "embedded",
    "handlers",
    "mail",
    "store",
    "telemetry",
    "webhooks",
    "tests/store",
    "tests/model",
)
PRODUCT += [
    file
    for room in ROOMS
    for kind in ("py", "sql")
    for file in sorted((ROOT / room).rglob(f"*.{kind}"))
]
SHIPPED = [
    file for file in PRODUCT if file.suffix == ".py" and "tests" not in file.relative_to(ROOT).parts
]


def name_of(file):
    return file.relative_to(ROOT).as_posix()


def old_names(text):
    """Return the old names among a Python text's identifiers."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    names = {token.string.lstrip("_") for token in tokens if token.type == tokenize.NAME}
    return sorted(names & OLD_NAMES.keys())


def prose(text):
    """Return the comments and docstrings of a Python text."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    strings = [
        node.value.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]
    return "\n".join([*comments, *strings])


@pytest.mark.parametrize("file", SHIPPED, ids=name_of)
def test_no_name_is_an_old_one(file):
    found = [f"{name}: {OLD_NAMES[name]}" for name in old_names(file.read_text())]
    assert found == []


def test_no_module_has_an_old_name():
    assert [name_of(file) for file in SHIPPED if file.stem in OLD_MODULES] == []


@pytest.mark.parametrize("file", PRODUCT, ids=name_of)
def test_comments_are_plain_english(file):
    text = file.read_text()
    text = prose(text) if file.suffix == ".py" else "\n".join(re.findall("--.*", text))
    found = [f"{word}: {BANNED[word]}" for word in banned_words(text)]
    assert found == []


def test_old_names_and_phrases_are_found():
    text = 'def _adopt(why):  # whoever asks\n    """Tell whether."""\n    return reason.why, ask'
    assert old_names(text) == ["adopt", "ask", "why"]
    assert banned_words(prose(text)) == ["whoever", "tell whether"]
