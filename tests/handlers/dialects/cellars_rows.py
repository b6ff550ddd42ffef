"""Rows and values of the tests of cellars."""

from tests.handlers.contract import FORM, JSON, MULTIPART, Row, multipart, urlencoded
from tests.handlers.dialects.lumotist_rows import token

PASSWORD = "hunter2"
AZURE = {"username": "AzureDiamond", "password": PASSWORD}
SUCCESS = {"status": "success"}

INVALID_DATA = {"error": "Invalid Data"}
INVALID_DATA_BECAUSE = {"error": "Invalid Data: <text>"}
NOT_UNIQUE = {"error": "Invalid Data: column username is not unique"}
NOT_SET = {"error": "Invalid Data: The given username must be set"}
WRONG = {"error": "Invalid Username/Password"}
INACTIVE = {"error": "Invalid User"}
BAD_REQUEST = {"error": "Bad Request"}
INVALID_HEADER = {"error": "Invalid Header"}
NO_SUCH_TOKEN = {"error": "Token not found"}
INVALID_METHOD = {"error": "Invalid Method"}
NOT_FOUND = {"error": "Not Found"}


def user(username: str = "AzureDiamond", **changed) -> dict[str, object]:
    """Return the eighteen keys of docs/contracts/cellars.md#post-apiregister for a new account."""
    fields = {
        "username": username,
        "first_name": "",
        "last_name": "",
        "email": "",
        "is_active": True,
        "is_superuser": False,
        "is_staff": False,
        "last_login": "<text>Z",
        "cellar": [],
        "wants": [],
        "address": "",
        "address2": "",
        "city": "",
        "state": "",
        "zipcode": "",
        "created": "<text>Z",
        "modified": "<text>Z",
        "date_joined": "<text>Z",
    }
    return {**fields, **changed}


def register(username: str, password: str = PASSWORD, hands_out: str = "<token = 40 hex>") -> Row:
    fields = {"username": username, "password": password}
    return Row("POST /api/register", fields, 201, {"token": hands_out, "user": user(username)})


def log_in(username: str, password: str = PASSWORD, hands_out: str = "<token>", **changed) -> Row:
    """Log in. `shown` is the username in the response, if it differs."""
    fields = {"username": username, "password": password}
    shown = user(changed.pop("shown", username), **changed)
    return Row("POST /api/login", fields, 200, {"token": hands_out, "user": shown})


def log_out(name: str = "<token>", body=None, **headers) -> Row:
    return Row("POST /api/logout", body, 200, SUCCESS, {**token(name), **headers})


SIGN_UP = register("AzureDiamond")
LOG_IN = log_in("AzureDiamond")

NOBODYS = token("d96163b8bc9127d8c5d5839018580123c64a324b")
OPEN = ("/api/register", "/api/login")
PLAIN = {"Content-Type": "text/plain;charset=UTF-8"}

EXAMPLES = [
    SIGN_UP,
    Row("POST /api/register", AZURE, 400, NOT_UNIQUE),
    LOG_IN,
    LOG_IN,
    Row("POST /api/login", {**AZURE, "password": "*******"}, 400, WRONG),
    Row("POST /api/logout", b"", 401, NO_SUCH_TOKEN, NOBODYS | PLAIN),
    Row("POST /api/logout", b"", 200, SUCCESS, token("<token>") | PLAIN),
    Row("POST /api/logout", b"", 401, NO_SUCH_TOKEN, token("<token>") | PLAIN),
    log_in("AzureDiamond", hands_out="<new token = 40 hex>"),
    log_in("AzureDiamond", hands_out="<new token>"),
]

SET_BY_AN_OPERATOR = {
    "first_name": "Azure",
    "last_name": "Diamond",
    "email": "azure@example.com",
    "is_superuser": True,
    "is_staff": True,
    "cellar": [1, 2, 3],
    "wants": [5, 4],
    "address": "123 N Main St.",
    "address2": "#100",
    "city": "Chicago",
    "state": "IL",
    "zipcode": "60647",
}

NO_FIELDS = {
    "nothing": {},
    "no password": {"username": "AzureDiamond"},
    "no username": {"password": "hunter2"},
    "other fields": {"name": "AzureDiamond", "Password": "hunter2"},
    "null username": {**AZURE, "username": None},
    "null password": {**AZURE, "password": None},
    "a list": [AZURE],
    "a string": "AzureDiamond",
    "a number": 5,
    "true": True,
    "numbers": {"username": 1, "password": 2},
    "a huge number": {**AZURE, "username": 10**30},
    "true for a password": {**AZURE, "password": True},
    "a list for a username": {**AZURE, "username": ["AzureDiamond"]},
    "an object for a password": {**AZURE, "password": {}},
    "an empty password": {**AZURE, "password": ""},
}

MALFORMED = [
    None,
    b"",
    b" ",
    b"{",
    b'{"username": "AzureDiamond", "password": "hunter2"',
    b"{} {}",
    b"{'username': 'AzureDiamond'}",
    b'{"username": NaN}',
    b"\0",
    b"\xff\xfe",
    b'{"username": "AzureDiamond", "password": "\xff"}',
    b'{"username": "AzureDiamond", "password": "\\ud800"}',
    b'{"username": "\\udc00", "password": "hunter2"}',
    b"[" * 100_000,
    urlencoded(**AZURE),
    multipart(**AZURE),
]

NO_NAMES = {
    "31 characters": "n" * 31,
    "31 emoji": "🔑" * 31,
    "1 MB of combining marks": "e" + "\u0301" * 100_000,
    "a space": "Azure Diamond",
    "a space before": " AzureDiamond",
    "a newline behind": "AzureDiamond\n",
    "a slash": "a/b",
    "an emoji": "🔑",
    "markup": "<b>",
    "NUL": "Azure\0Diamond",
}

PASSWORDS = [
    (" ", "  "),
    ("a" * 72 + "b", "a" * 72 + "c"),
    ("a" * 500_000 + "b", "a" * 500_000 + "c"),
    ("pass\0word", "pass\0worD"),
    ("pass\0", "pass"),
    ("🔑\t<é>\u202e\\\"'", '🔑\t<é>\u202e\\"'),
]

BAD_HEADERS = [
    {"Authorization": "Token garbage"},
    {"Authorization": "Token"},
    {"Authorization": "Token a b c"},
    {"Authorization": "Basic dDp0"},
    token("<token>"),
    NOBODYS,
]

ANY_TYPE = [
    {},
    PLAIN,
    FORM,
    MULTIPART,
    {"Content-Type": "multipart/form-data"},
    {"Content-Type": "application/json; charset=nonsense"},
    {"Content-Type": "application/json; charset=utf-16"},
    {"Content-Type": "image/webp"},
    {"Content-Type": ";;"},
]

NO_HEADERS = [
    {},
    {"Authorization": ""},
    {"Authorization": "Basic dDp0"},
    {"Authorization": "Token"},
    {"Authorization": "bearer"},
    {"Authorization": "<token>"},
    {"Authorization": "Token <token> <token>"},
    {"Authorization": "Tokens <token>"},
    {"Authentication": "Token <token>"},  # docs/contracts/cellars.md#decisions
]
NO_TOKENS = ["<TOKEN>", "short", "0" * 40, "0" * 64, "d96163b8bc9127d8c5d5839018580123c64a324b"]

LOGOUT_BODIES = [
    (None, JSON),
    (b"", JSON),
    (b"{}", JSON),
    (b"{not json", JSON),
    (b"plain", PLAIN),
    (b"--", {"Content-Type": "multipart/form-data"}),
    (b"\xff\x00", {}),
]
