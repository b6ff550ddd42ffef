"""fardel (docs/contracts/fardel.md): its examples and its published client as rows; its input."""

import json
from dataclasses import replace

from tests.handlers.contract import FORM, JSON, MULTIPART, Row, multipart, urlencoded
from tests.handlers.fardel_rows import (
    ADA,
    EMPTY,
    FORGED,
    LOG_IN,
    LOGIN,
    NAMED,
    NOT_FRESH,
    NOT_LOGIN,
    ONLY_REFRESH,
    REFRESH,
    REGISTER,
    REVOKED,
    SHOW,
    SIGN_UP,
    TAKEN,
    UNVALID,
    WRONG,
    bearer,
    log_in,
    log_out,
    log_out_refresh,
    not_updated,
    nothing_updated,
    register,
    renew,
    shows,
    shows_not,
    updated,
)

EXAMPLES = [
    SIGN_UP,
    Row(REGISTER, ADA, 409, TAKEN),
    Row(REGISTER, {"email": "ada@example.com"}, 400, UNVALID),
    LOG_IN,
    LOG_IN,
    Row(LOGIN, {"email": "ada@example.com"}, 400, UNVALID),
    Row(LOGIN, {**ADA, "password": "?"}, 401, WRONG),
    renew("renewed"),
    shows(),
    shows("<renewed>"),
    Row(SHOW, None, 200, NOT_LOGIN),
    updated(
        {"first_name": "First Name", "last_name": "Last Name"},
        first_name="First Name",
        last_name="Last Name",
    ),
    shows(first_name="First Name", last_name="Last Name"),
    nothing_updated({}),
    not_updated(401, NOT_FRESH, {"email": "new@example.com"}, "<renewed>"),
    not_updated(422, FORGED, {}, "????"),
    Row(REFRESH, None, 422, ONLY_REFRESH, bearer("<access>")),
    log_out(),
    shows_not(REVOKED),
    log_out_refresh(),
    Row(REFRESH, None, 401, REVOKED, bearer("<refresh>")),
    log_in(NAMED, "<new access = 40 hex>", "<new refresh = 40 hex>"),
]

PUBLISHED_CLIENT = [
    register({**NAMED, "last_name": ""}),
    LOG_IN,
    shows(first_name="Ada"),
    nothing_updated(EMPTY),
    updated({**EMPTY, "last_name": "King"}, first_name="Ada", last_name="King"),
    updated({**EMPTY, "email": "ada@example.com"}, first_name="Ada", last_name="King"),
    shows(first_name="Ada", last_name="King"),
    replace(log_out_refresh(), body=b"", headers=JSON | bearer("<refresh>")),
    replace(log_out(), body=b"", headers=JSON | bearer("<access>")),
    shows_not(REVOKED),
    Row(REFRESH, None, 401, REVOKED, bearer("<refresh>")),
]

NO_FORMS = {
    "nothing": {},
    "no password": {"email": "ada@example.com"},
    "no email": {"password": "secret"},
    "null email": {**ADA, "email": None},
    "null password": {**ADA, "password": None},
    "empty email": {**ADA, "email": ""},
    "empty password": {**ADA, "password": ""},
    "email a number": {**ADA, "email": 5},
    "email true": {**ADA, "email": True},
    "email a list": {**ADA, "email": ["ada@example.com"]},
    "password a number": {**ADA, "password": 12345},
    "password a huge number": {**ADA, "password": 10**30},
    "password an object": {**ADA, "password": {}},
    "email with NUL": {**ADA, "email": "a\0da@example.com"},
    "a list": [ADA],
    "a string": "ada@example.com",
    "a number": 5,
    "false": False,
}
NOT_TO_REGISTER = {
    "first name a number": {**ADA, "first_name": 5},
    "last name a list": {**ADA, "last_name": []},
    "last name false": {**ADA, "last_name": False},
    "first name with NUL": {**ADA, "first_name": "A\0da"},
    "email of spaces": {**ADA, "email": "  "},
    "no email at all": {**ADA, "email": "ada"},
    "two at": {**ADA, "email": "ada@@example.com"},
    "a space within": {**ADA, "email": "a da@example.com"},
    "no domain": {**ADA, "email": "ada@"},
    "255 characters": {**ADA, "email": f"ada@{'a' * 60}.{'b' * 186}.com"},
    "a long first name": {**ADA, "first_name": "n" * 255},
    "1 MB of combining marks": {**ADA, "email": "e" + "\u0301" * 100_000 + "@example.com"},
}
MALFORMED = [
    b"",
    b" ",
    b"null",
    b"{",
    b"{} {}",
    b'{"email": NaN}',
    b"\0",
    b'{"email": "ada@example.com", "password": "\xff"}',
    b'{"email": "ada@example.com", "password": "\\ud800"}',
    b'{"email": "\\udc00@example.com", "password": "secret"}',
    b"[" * 100_000,
]
OTHER_TYPES = [
    (urlencoded(**ADA), FORM),
    (multipart(**ADA), MULTIPART),
    (json.dumps(ADA).encode(), {}),
    (json.dumps(ADA).encode(), FORM),
    (json.dumps(ADA).encode(), {"Content-Type": "text/plain"}),
    (json.dumps(ADA).encode(), {"Content-Type": "application/jsonx"}),
    (None, {}),
    (b"", FORM),
]

LOGOUT_BODIES = [
    (None, JSON),
    (b"", JSON),
    (b"{}", JSON),
    (b"{not json", JSON),
    (b"plain", {"Content-Type": "text/plain"}),
    (b"--", {"Content-Type": "multipart/form-data"}),
    (b"\xff\x00", {}),
]

BAD_HEADERS = ["Bearer", "Token", "Bearer a b", "Bearer <access> <access>", "Basic dDp0"]
BAD_HEADERS += ["<access>", "Bearers <access>", "bearer"]
NO_TOKENS = ["????", "<ACCESS>", "0" * 40, "0" * 64, "aaaa.bbbb.cccc"]

NO_UPDATES = [
    *[{name: value} for name in EMPTY for value in (5, 10**30, 1.5, True, False, [], {}, ["x"])],
    *[{**EMPTY, "first_name": "Grace", name: []} for name in ("last_name", "email", "password")],
    *[{"email": email} for email in ("new", "new@", "@example.com", "a b@example.com", "x" * 255)],
    {"email": "n\0ew@example.com"},
    {"first_name": "A\0da"},
    {"last_name": "Love\0lace"},
    [{"first_name": "Grace"}],
    "first_name",
    5,
    0,
    False,
    [],
]

FIELDS = {
    "names": (NAMED, {"first_name": "Ada", "last_name": "Lovelace"}),
    "one name": ({**ADA, "last_name": "Lovelace"}, {"last_name": "Lovelace"}),
    "empty names": ({**ADA, "first_name": "", "last_name": ""}, {}),
    "null names": ({**ADA, "first_name": None, "last_name": None}, {}),
    "spaces": ({**ADA, "email": " \t ada@example.com\n"}, {}),
    "its case is kept": ({**ADA, "email": "Ada@Example.COM"}, {"email": "Ada@Example.COM"}),
    "any letters": ({**ADA, "first_name": "Åda 🔑 </b>\\"}, {"first_name": "Åda 🔑 </b>\\"}),
    "long names": ({**ADA, "last_name": "n" * 254}, {"last_name": "n" * 254}),
    "others": ({**ADA, "id": 7, "is_admin": True, "is_staff": True, "group": "Makers"}, {}),
}

PASSWORDS = [
    (" ", "  "),
    ("a" * 72 + "b", "a" * 72 + "c"),
    ("pass\0word", "pass\0worD"),
    ("🔑", "🔒"),
]

UPDATES = [
    {"first_name": "Grace"},
    {"last_name": "Hopper"},
    {"first_name": "Jean", "last_name": "Bartik"},
    {"first_name": "Åda 🔑 </b>\\"},
    {"email": "new@example.com"},
    {"first_name": "Ada", "last_name": "King", "email": "ada@example.com"},
]

ALL_NEW = {
    "first_name": "Grace",
    "last_name": "Hopper",
    "email": "new@example.com",
    "password": "\0 a very " + "long " * 1000,
}
