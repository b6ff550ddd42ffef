"""docs/contracts/: the pages list every endpoint and error, and their examples are correct."""

import ast
import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

from app import create_app
from handlers import DIALECTS, problem_codes, problems
from handlers.dialects import cellars, drf, drf_jwt, fardel, knox, kust, lumotist
from handlers.dialects.dj_rest_auth.routes import render_error as dj_rest_auth_errors
from handlers.dialects.djoser.lifecycle import STALE
from handlers.dialects.djoser.routes import PermissionDenied
from handlers.dialects.djoser.routes import render_error as djoser_errors
from handlers.dialects.latchkey.problems import render_error as latchkey_errors
from handlers.errors import (
    BadHeader,
    FreshLoginRequired,
    HeadersTooLarge,
    InsufficientScope,
    InternalError,
    Malformed,
    MethodNotAllowed,
    MissingToken,
    NotFound,
    OwnAccount,
    PayloadTooLarge,
    PreconditionFailed,
    RenderError,
    RequestTimeout,
    SuperuserRequired,
    TargetTooLong,
    UnsupportedEncoding,
    UnsupportedMediaType,
)
from handlers.picture_upload import NotBase64, NothingSent, PictureMissing
from mail import sender
from mail.transport import stored
from store.errors import (
    AccountExists,
    AppError,
    BadCredentials,
    BadIdToken,
    BadPasskey,
    BadPicture,
    BadToken,
    Busy,
    ChallengeInvalid,
    CursorExpired,
    EmailNotVerified,
    FactorExists,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    IdentityTaken,
    Inactive,
    LastWayIn,
    LinkExpired,
    LinkInvalid,
    NoFactor,
    NoSuchPicture,
    PictureProblem,
    RateLimited,
    SecondFactorRequired,
    Taken,
    TokenProblem,
    TooManyPasskeys,
    Unavailable,
    UnknownProvider,
    Unstorable,
    WrongCode,
    WrongPassword,
)
from store.password_rules import PasswordProblem
from tests.conftest import Server
from tests.handlers.contract import EVERY_DIALECT, PATTERNS, Row, play

ROOT = Path(__file__).parent.parent.parent.parent
CONTRACTS = ROOT / "docs/contracts"
INDEX = (CONTRACTS / "index.md").read_text()
ERROR_CODES = (ROOT / "docs/errors.md").read_text()
PAGES = {name: (CONTRACTS / f"{name}.md").read_text() for name in DIALECTS}

ENDPOINT = re.compile(r"^\| \[`([A-Z, ]+) (/\S+)`\]\(#([\w-]+)\) \|", re.MULTILINE)
HEADING = re.compile(r"^## `([A-Z, ]+ /\S+)`$", re.MULTILINE)
LINK = r"docs/contracts/([\w-]+\.md)(?:#([\w-]+))?"
BLOCK = re.compile(r"```http\n(.*?)```", re.DOTALL)
ERROR = re.compile(r"^\| (\d{3}) \| (`+)(.+?)\2 \|", re.MULTILINE)
PROBLEM = re.compile(r"^\| `(\w+)` \| (\d{3}) \| (.+) \| (.+) \|$", re.MULTILINE)
FIELD_CODE = re.compile(r"^\| `(\w+)` \| ([^|]+) \|$", re.MULTILINE)

VARIES = {
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z": "<microseconds>",
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z": "<milliseconds>",
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ": "<seconds>",
    r"\d\d-\d\d-\d{4}": "<day-month-year>",
}
TOKEN = re.compile(r"[0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{16}")
JWT = re.compile(PATTERNS["jwt"])
LINK_TOKEN = re.compile(r'(?<="token": ")[\w-]{55,}(?=")')
"""The token of a link, in the body of a request: that of the newest message with a link."""
LINK_NAME = re.compile(r'"token": "<(.+?)>"')
MAILED = re.compile(r"https://accounts\.example/ui/[\w-]+#([\w-]+)")


def anchor_of(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("name", DIALECTS)
def test_every_endpoint_has_a_row_and_a_heading(name: str):
    dialect, page = DIALECTS[name], PAGES[name]
    endpoints = {**dialect.endpoints, **dialect.other_endpoints}
    expected = {
        (method, re.sub(r"\{(\w+)[^}]*\}", r"<\1>", path))
        for path, endpoint in endpoints.items()
        for method in endpoint.methods
    }
    rows = ENDPOINT.findall(page)
    assert expected == {
        (method, path.rstrip("/")) for methods, path, _ in rows for method in methods.split(", ")
    }
    headings = [anchor_of(each) for each in HEADING.findall(page)]
    assert len(headings) == len(set(headings))
    assert set(headings) == {anchor for _, _, anchor in rows}


@pytest.mark.parametrize("name", DIALECTS)
def test_every_handler_begins_with_its_heading(name: str):
    module = name.replace("-", "_")
    found = [*(ROOT / "handlers/dialects").glob(f"{module}.py")]
    found += (ROOT / "handlers/dialects" / module).glob("*.py")
    nodes = [node for file in found for node in ast.walk(ast.parse(file.read_text()))]
    functions = [each for each in nodes if isinstance(each, ast.AsyncFunctionDef)]
    docstrings = [ast.get_docstring(each) or "" for each in functions]
    routes = [match[1] for each in docstrings if (match := re.match(r"([A-Z, ]+ /\S+):", each))]
    assert sorted(routes) == sorted(each.rstrip("/") for each in HEADING.findall(PAGES[name]))


def test_the_code_links_to_sections_that_exist():
    files = [file for name in ("handlers", "tests") for file in (ROOT / name).rglob("*.py")]
    links = {link for file in files for link in re.findall(LINK, file.read_text())}
    assert len(links) > 10
    for name, anchor in links:
        headings = re.findall(r"^#+ (.+)$", (CONTRACTS / name).read_text(), re.MULTILINE)
        assert not anchor or anchor in map(anchor_of, headings), f"{name}#{anchor}"


def examples(page: str) -> Iterator[Row]:
    """Return the requests of a page with the responses that follow them."""
    seen: set[str] = set()
    blocks = BLOCK.findall(page)
    assert len(blocks) % 2 == 0
    for request, response in zip(blocks[::2], blocks[1::2], strict=True):
        line, headers, body = split(request)
        status, returned, payload = split(response)
        assert status.startswith("HTTP/1.1 "), status
        assert bool(payload) != status.endswith("204 No Content")
        line = TOKEN.sub(sent(seen), line)
        headers = {name: token_in(value).sub(sent(seen), value) for name, value in headers.items()}
        body = JWT.sub(sent(seen), LINK_TOKEN.sub(r"<\g<0>>", body.strip()))
        if payload:  # a JWT that is shown once may be equal to another one of the same second
            payload = JWT.sub(
                lambda match: match[0] if page.count(match[0]) > 1 else "<jwt>", payload
            )
        expected = expect(json.loads(payload), seen) if payload else None
        content = body.encode() or None
        kind = returned.get("Content-Type", "application/json")
        yield Row(line, content, int(status.split()[1]), expected, headers, returned, kind)


def split(block: str) -> tuple[str, dict[str, str], str]:
    head, _, body = block.partition("\n\n")
    line, *lines = head.strip().splitlines()
    return line, dict(each.split(": ", 1) for each in lines), body


def token_in(text: str) -> re.Pattern[str]:
    """Return the pattern of the token that a text has: a JWT contains what looks like others."""
    return JWT if JWT.search(text) else TOKEN


def sent(seen: set[str]) -> Any:
    """Return a function that replaces a token by its placeholder, if a response has shown it."""
    return lambda match: f"<{match[0]}>" if match[0] in seen else match[0]


def expect(payload: Any, seen: set[str]) -> Any:
    """Return a response with placeholders for what differs from run to run."""
    if isinstance(payload, dict):
        return {key: expect(value, seen) for key, value in payload.items()}
    if isinstance(payload, list):
        return [expect(each, seen) for each in payload]
    if not isinstance(payload, str):
        return payload
    if token_in(payload).fullmatch(payload):
        kind = "jwt" if JWT.fullmatch(payload) else f"{len(payload)} hex"
        pattern = f"<{payload}>" if payload in seen else f"<{payload} = {kind}>"
        seen.add(payload)
        return pattern
    return next((to for pattern, to in VARIES.items() if re.fullmatch(pattern, payload)), payload)


@pytest.fixture(scope="module")
def mail(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("contracts") / "mail"


@pytest.fixture(scope="module")
async def server(settings, mail: Path) -> AsyncIterator[Server]:
    """A server of every dialect that writes its mail to a directory."""
    settings = replace(
        settings,
        dialects=EVERY_DIALECT,
        mail_url=f"file:{mail}",
        public_url="https://accounts.example",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sender, "WAKE_SECONDS", (0.0, 0.0))
        async with Server(create_app(settings)) as server:
            yield server


async def newest_link(mail: Path, database) -> str:
    """Return the token of the newest message that has a link, once all have been sent."""
    async with asyncio.timeout(10):
        with database.cursor() as cursor:
            while cursor.execute("select from mail") or cursor.rowcount:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    texts = (message_from_bytes(file.read_bytes()).as_string() for file in stored(mail))
    return next(match[1] for text in texts if (match := MAILED.search(text)))


def fill(row: Row, names: Mapping[str, str]) -> Row:
    """Return a row with names in its path and its body, too, where `play` leaves them."""
    request, body = row.request, row.body
    for name, value in names.items():
        request = request.replace(f"<{name}>", value)
        body = body and body.replace(f"<{name}>".encode(), value.encode())
    return replace(row, request=request, body=body)


@pytest.mark.parametrize("prefix", ["", "/{name}"])
@pytest.mark.parametrize("name", DIALECTS)
async def test_examples(client, mail: Path, database, name: str, prefix: str):
    """Every request of a page gets the response that the page shows, at its mount and its name."""
    rows = list(examples(PAGES[name]))
    prefix = prefix or EVERY_DIALECT[name].base
    if prefix:
        rows = [replace(row, request=row.request.replace(f" /{name}/", " /")) for row in rows]
    names: dict[str, str] = {}
    for row in rows:
        for link in LINK_NAME.findall((row.body or b"").decode()):
            if link not in names:
                names[link] = await newest_link(mail, database)
        of_another = row.request.split("/")[1] in DIALECTS.keys() - {name}
        at = "{path}" if of_another else prefix.format(name=name) + "{path}"
        await play(client, [fill(row, names)], names, at)


OF_ANY_REQUEST: list[AppError] = [
    Malformed("JSON", "x"),
    UnsupportedEncoding(),
    PayloadTooLarge(7),
    RequestTimeout(),
    HeadersTooLarge(),
    TargetTooLong(),
    NotFound(),
    MethodNotAllowed("GET", "POST, OPTIONS"),
    MissingToken(),
    BadHeader(spaces=True),
    BadHeader(spaces=False),
    *map(BadToken, TokenProblem),
    BadCredentials(),
    Inactive(),
    Unstorable("username"),
    RateLimited(1),
    Busy(1),
    Unavailable("redis", "x"),
    InternalError(),
]
FIELD_ERRORS = drf.InvalidFields({"username": ["x"]})
OF_CELLARS = [cellars.InvalidData(), cellars.InvalidData("x"), Taken(frozenset({"username"}))]
OF_FARDEL = [
    fardel.BadForm(),
    fardel.NotFresh(),
    UnsupportedMediaType("x"),
    Taken(frozenset({"email"})),
]
OF_KNOX = [
    MissingToken(),
    *map(knox.BadBasic, (knox.NO_CREDENTIALS, knox.SPACES, knox.NOT_BASE64, knox.WRONG)),
]
CHALLENGE = drf_jwt.challenge(drf_jwt.BEARER)
OF_SIMPLEJWT = [
    FIELD_ERRORS,
    drf.InvalidFields({drf.NON_FIELD: [drf_jwt.BLACKLISTED]}),
    drf_jwt.JwtError("invalid_credentials", {"detail": drf_jwt.WRONG_CREDENTIALS}, CHALLENGE),
    drf_jwt.JwtError("token_revoked", drf_jwt.NOT_FOUND, CHALLENGE),
    MissingToken(),
    BadHeader(spaces=True),
    *map(BadToken, TokenProblem),
    *(drf_jwt.field_error(BadToken(each), CHALLENGE) for each in TokenProblem),
]
OF_DRF = [UnsupportedMediaType("x"), FIELD_ERRORS, Taken(frozenset({"username"}))]
NOT_AN_OBJECT = drf.InvalidFields(
    {drf.NON_FIELD: ["Invalid data. Expected a dictionary, but got list."]}
)
OF_LATCHKEY = [
    UnsupportedMediaType("x"),
    Malformed("Multipart form", "x"),
    problems.InvalidFields([problems.FieldError("username", "required", "x")]),
    NOT_AN_OBJECT,
    Taken(frozenset({"username"})),
    EmailNotVerified(),
    WrongPassword(),
    LinkInvalid(),
    LinkExpired(),
    SecondFactorRequired(["totp"], "x"),
    ChallengeInvalid(),
    WrongCode(),
    NoFactor(),
    FactorExists(),
    BadPasskey("x"),
    TooManyPasskeys(),
    BadIdToken("x"),
    UnknownProvider(),
    AccountExists(),
    IdentityTaken(),
    LastWayIn(),
    CursorExpired(),
    IdempotencyKeyInUse(),
    IdempotencyKeyReused(),
    NoSuchPicture(),
    PictureMissing(),
    NothingSent(),
    NotBase64(),
    InsufficientScope("read"),
    SuperuserRequired(),
    FreshLoginRequired(),
    OwnAccount(),
    PreconditionFailed(),
    *(BadPicture(problem, 7) for problem in PictureProblem),
]
OF_DJOSER = [LinkInvalid(), LinkExpired(), PermissionDenied(), PermissionDenied(STALE)]
OF_DJ_REST_AUTH = [LinkInvalid(), LinkExpired(), EmailNotVerified(), Taken(frozenset({"email"}))]
TABLES: dict[str, tuple[str, RenderError, list[AppError]]] = {
    "drf": (INDEX, drf.render_error, [*OF_ANY_REQUEST, *OF_DRF, NOT_AN_OBJECT]),
    "cellars": (PAGES["cellars"], cellars.render_error, [*OF_ANY_REQUEST, *OF_CELLARS]),
    "cellars, open": (
        PAGES["cellars"],
        cellars.render_open_error,
        [MethodNotAllowed("GET", "POST")],
    ),
    "fardel": (PAGES["fardel"], fardel.render_error, [*OF_ANY_REQUEST, *OF_FARDEL]),
    "knox": (PAGES["knox"], knox.render_login_error, OF_KNOX),
    "simplejwt": (PAGES["simplejwt"], drf_jwt.render_error, OF_SIMPLEJWT),
    "djoser": (PAGES["djoser"], djoser_errors, OF_DJOSER),
    "dj-rest-auth": (PAGES["dj-rest-auth"], dj_rest_auth_errors, OF_DJ_REST_AUTH),
    "latchkey": (ERROR_CODES, latchkey_errors, [*OF_ANY_REQUEST, *OF_LATCHKEY]),
}


def rows_of_errors(page: str) -> dict[tuple[int, str], re.Pattern[str]]:
    """Return what each row of a page's table of errors matches, by its status and body."""
    found = {}
    for status, _, body in ERROR.findall(page):
        parts = re.split("<[^>]+>", json.dumps(json.loads(body)))
        found[int(status), body] = re.compile(".+".join(map(re.escape, parts)))
    for code, status, title, _ in PROBLEM.findall(page):
        problem = {"type": f"/docs/errors#{code}", "title": title, "status": int(status)}
        start = json.dumps({**problem, "code": code}).removesuffix("}")
        found[int(status), code] = re.compile(
            re.escape(start) + r'(, "(errors|methods)": \[.+\].*)?}'
        )
    return found


def test_every_error_has_a_row_and_every_row_is_an_error():
    for name in sorted({each.partition(",")[0] for each in TABLES}):
        page, tables = TABLES[name][0], [each for each in TABLES if each.startswith(name)]
        rows, used = rows_of_errors(page), set()
        for _, render_error, errors in map(TABLES.get, tables):
            for error in errors:
                response = render_error(error)
                body = json.dumps(json.loads(response.body))
                fits = {
                    key
                    for key, pattern in rows.items()
                    if key[0] == response.status and pattern.fullmatch(body)
                }
                assert fits, f"{name}: no row for {response.status} {body}"
                used |= fits
        assert rows.keys() == used, f"{name}: never answered: {rows.keys() - used}"


@pytest.mark.parametrize("name", DIALECTS)
def test_the_renderer_of_every_dialect_is_compared(name: str):
    assert DIALECTS[name].render_error in [render for _, render, _ in TABLES.values()]


def test_no_error_is_forgotten():
    """A new class of error needs a line in the lists above, and therefore a row in the pages.

    The others are not sent: the client of one has disconnected, and the other is retried.
    """
    tables = [*(errors for _, _, errors in TABLES.values()), OF_PICTURES]
    known = {type(error) for errors in tables for error in errors}
    classes, more = set(), [AppError]
    while more:
        more = [each for base in more for each in base.__subclasses__()]
        classes |= {each for each in more if each.__module__.startswith(("handlers.", "store."))}
    assert {each.__name__ for each in classes - known} == {"Disconnected", "StaleEpoch"}


OF_PICTURES = [
    NoSuchPicture(),
    PictureMissing(),
    NothingSent(),
    NotBase64(),
    UnsupportedMediaType("text/plain"),
    UnsupportedEncoding(),
    PayloadTooLarge(7),
    Malformed("JSON", "x"),
    Malformed("Multipart form", "x"),
    drf.InvalidFields({"id": ["x"]}),
    *(BadPicture(problem, 7) for problem in PictureProblem),
]


def test_every_error_of_set_picture_has_a_row():
    page = PAGES["lumotist"]
    named = {"<accepted>": lumotist.ACCEPTED, "<formats>": lumotist.FORMATS}
    assert all(text in " ".join(page.split()) for text in named.values())
    rows = {(int(status), text) for status, _, text in ERROR.findall(page)}
    used = set()
    for error in OF_PICTURES:
        response = lumotist.render_picture_error(error)
        text = json.loads(response.body)["error"]
        for name, meaning in named.items():
            text = text.replace(meaning, name)
        patterns = {
            (status, row): ".+".join(map(re.escape, re.split("<(?!accepted|formats)[^>]+>", row)))
            for status, row in rows
            if status == response.status
        }
        fits = {key for key, pattern in patterns.items() if re.fullmatch(pattern, text)}
        assert fits, f"no row for {response.status} {text}"
        used |= fits
    assert rows == used


def test_error_codes_are_those_of_the_code():
    rows = {code: (int(status), *texts) for code, status, *texts in PROBLEM.findall(ERROR_CODES)}
    assert list(rows.items()) == [
        (code, tuple(row)) for code, row in problem_codes.PROBLEMS.items()
    ]
    assert FIELD_CODE.findall(ERROR_CODES) == list(problem_codes.FIELD_CODES.items())


def test_field_codes_are_those_that_responses_have():
    modules = ("dialects/latchkey/*.py", "internal/*.py", "problems.py", "json_fields.py")
    files = [file for each in modules for file in (ROOT / "handlers").glob(each)]
    sources = [file.read_text() for file in files]
    given = r'(?:FieldError|_field)\([^,]+, "([a-z_]+)"'
    used = {code for text in sources for code in re.findall(given, text)}
    rendered = [problems.render_error(BadPicture(problem, 7)) for problem in PictureProblem]
    used |= {each["code"] for data in rendered for each in json.loads(data.body)["errors"]}
    assert used | {problem.value for problem in PasswordProblem} == set(problem_codes.FIELD_CODES)
    rules = re.findall(
        r"^\| `(\w+)` \| .+ \|$", section("latchkey", "Password rules"), re.MULTILINE
    )
    assert rules == [problem.value for problem in PasswordProblem]


OF_EVERY_REQUEST = {"method_not_allowed", "internal", "unavailable"}
OF_TOKENS = {"token_missing", "token_unknown", "token_expired", "token_revoked"}
OF_BODIES = {
    "invalid_json",
    "invalid_body",
    "timeout",
    "payload_too_large",
    "unsupported_media_type",
    "invalid_fields",
}


def test_sections_of_latchkey_list_the_errors_that_openapi_lists():
    document = json.loads((ROOT / "openapi/latchkey.json").read_text())
    for path, item in document["paths"].items():
        for method in item.keys() - {"parameters"}:
            operation, codes = item[method], set()
            for each in operation["responses"].values():
                response = document["components"]["responses"][each["$ref"].rpartition("/")[2]]
                codes |= set(re.findall(r"/docs/errors#(\w+)", json.dumps(response)))
            codes -= OF_EVERY_REQUEST
            codes -= OF_TOKENS if operation["security"] else set()
            codes -= OF_BODIES if "requestBody" in operation else set()
            title = f"`{method.upper()} {path.replace('{', '<').replace('}', '>')}`"
            listed = re.search(
                r"^Errors: (.+?)(?:[.]|, if )", section("latchkey", title), re.MULTILINE
            )
            assert set(re.findall(r"`(\w+)`", listed[1] if listed else "")) == codes, title


def section(name: str, heading: str) -> str:
    """Return the text of a section of a page."""
    found = re.search(
        rf"^(#+) {re.escape(heading)}$(.*?)(?=^#{{1,3}} |\Z)", PAGES[name], re.MULTILINE | re.DOTALL
    )
    assert found
    return found[2]


def test_what_fields_are_told():
    texts = {drf.REQUIRED, drf.BLANK, drf.NULL, drf.NOT_A_STRING, drf.NUL, drf.UNSTORABLE}
    texts |= {text for field in (drf.USERNAME, drf.EMAIL) for _, text in field.checks}
    assert [text for text in texts if f"| `{text}` |" not in INDEX] == []
    rules = {text for _, text in kust.password_rules("")}
    assert [text for text in rules if f"| `{text}` |" not in PAGES["kust"]] == []
    for name, template in (
        ("wicare", drf.TAKEN),
        ("kust", drf.TAKEN),
        ("lumotist", lumotist.TAKEN),
    ):
        assert template.format("username") in PAGES[name]
