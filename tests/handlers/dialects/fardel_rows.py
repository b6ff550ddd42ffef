"""fardel's rows: one account and its tokens, tables of its input, and stories of one account.

The tables are the contract's examples, its published client and the input of each endpoint. Each
story begins with empty stores; its name says what it shows.
"""

import json
from dataclasses import replace

from tests.handlers.contract import FORM, JSON, MULTIPART, Row, multipart, urlencoded

PASSWORD = "analytical engine"
ADA = {"email": "ada@example.com", "password": PASSWORD}
GRACE = {"email": "grace@example.com", "password": "nanosecond"}
NAMED = {**ADA, "first_name": "Ada", "last_name": "Lovelace"}
EMPTY = {"first_name": "", "last_name": "", "email": "", "password": ""}

REGISTER = "POST /api/auth/register"
LOGIN = "POST /api/auth/login"
REFRESH = "POST /api/auth/refresh-token"
LOGOUT = "POST /api/auth/logout"
LOGOUT_REFRESH = "POST /api/auth/logout-refresh"
SHOW = "GET /api/auth/profile"
UPDATE = "PUT /api/auth/profile"
POST_ONLY = (REGISTER, LOGIN, REFRESH, LOGOUT, LOGOUT_REFRESH)
GUARDED_BY_ACCESS = (LOGOUT, UPDATE)
GUARDED_BY_REFRESH = (REFRESH, LOGOUT_REFRESH)


def message(text: str) -> dict[str, str]:
    return {"message": text}


UNVALID = message("Unvalid form submitted")
WRONG = message("Username or password is not correct")
TAKEN = message("A user with this email already exists.")
MISSING = message("Missing Authorization Header")
BAD_HEADER = message("Bad Authorization header. Expected value 'Bearer <token>'")
EXPIRED = message("Token has expired")
REVOKED = message("Token has been revoked")
NOT_FRESH = message("Fresh token required")
ONLY_REFRESH = message("Only refresh tokens are allowed")
ONLY_ACCESS = message("Only access tokens are allowed")
FORGED = message("Signature verification failed")
NOT_ALLOWED = message("The method is not allowed for the requested URL.")
NOT_FOUND = message("Not Found")
NOT_LOGIN = {"message": "Not login", "user": None}


def bearer(name: str) -> dict[str, str]:
    """Return the Authorization header of a token: `bearer("<access>")` for SIGN_UP's."""
    return {"Authorization": f"Bearer {name}"}


def hands_out(text: str, access: str, refresh: str) -> dict[str, str]:
    return {"message": text, "access_token": access, "refresh_token": refresh}


def register(fields, access="<access = 40 hex>", refresh="<refresh = 40 hex>") -> Row:
    return Row(REGISTER, fields, 200, hands_out("Successfully registered", access, refresh))


def log_in(fields=ADA, access="<access>", refresh="<refresh>") -> Row:
    return Row(LOGIN, fields, 200, hands_out("Successfully logined", access, refresh))


def renew(name: str, refresh: str = "<refresh>") -> Row:
    """Issue a new access token and give it this name."""
    return Row(REFRESH, None, 200, {"access_token": f"<{name} = 40 hex>"}, bearer(refresh))


def log_out(access: str = "<access>") -> Row:
    return Row(LOGOUT, None, 200, message("Access token has been revoked"), bearer(access))


def log_out_refresh(refresh: str = "<refresh>") -> Row:
    text = message("Refresh token has been revoked")
    return Row(LOGOUT_REFRESH, None, 200, text, bearer(refresh))


def user(**changed) -> dict[str, object]:
    """Return the JSON of the account of SIGN_UP."""
    fields = {"id": 1, "first_name": None, "last_name": None, "email": "ada@example.com"}
    return {**fields, **changed}


def shows(access: str = "<access>", **changed) -> Row:
    return Row(SHOW, None, 200, {"user": user(**changed)}, bearer(access))


def shows_not(response, access: str = "<access>", status: int = 401) -> Row:
    return Row(SHOW, None, status, response, bearer(access))


def updated(fields, access: str = "<access>", **changed) -> Row:
    response = {"message": "Profile successfully updated", "user": user(**changed)}
    return Row(UPDATE, fields, 200, response, bearer(access))


def new_password(fields, access: str = "<access>", **changed) -> Row:
    """Change the password; the response has <new access> and <new refresh>."""
    row = updated(fields, access, **changed)
    row.response["access_token"] = "<new access = 40 hex>"
    row.response["refresh_token"] = "<new refresh = 40 hex>"
    return row


def not_updated(status: int, response, fields, access: str = "<access>") -> Row:
    return Row(UPDATE, fields, status, response, bearer(access))


def nothing_updated(fields, access: str = "<access>") -> Row:
    return not_updated(204, None, fields, access)


SIGN_UP = register(ADA)
LOG_IN = log_in()


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


IGNORED = {"id": 7, "is_admin": True, "is_staff": True, "group": "Makers", "username": "x"}
GRACES = {"first_name": "Grace", "last_name": "Lovelace"}
KING = {"first_name": "Ada", "last_name": "King"}
NEW_EMAIL = {"email": "new@example.com"}
NEW_PASSWORD = {**ADA, "password": "difference engine"}
ALL_SHOWN = {name: ALL_NEW[name] for name in ("first_name", "last_name", "email")}


def registered_with(fields, shown) -> list[Row]:
    return [register(fields), shows(**shown), log_in(fields), LOG_IN]


def same_emails() -> list[Row]:
    rows = []
    same = [("ada@example.com", "ADA@Example.Com"), ("a@bücher.example", "A@BÜCHER.example")]
    for email, other in same:
        first, second = {**ADA, "email": email}, {**ADA, "email": f" {other} "}
        rows += [register(first), Row(REGISTER, second, 409, TAKEN), log_in(second)]
    return rows


def passwords() -> list[Row]:
    rows = []
    for number, (password, other) in enumerate(PASSWORDS):
        good = {"email": f"ada{number}@example.com", "password": password}
        rows += [register(good), Row(LOGIN, {**good, "password": other}, 401, WRONG), log_in(good)]
    return rows


def can_not_log_in() -> list[Row]:
    unknown = ["grace@example.com", "ada", "ada@example", "a" * 10_000, "ada@example.com.", "1"]
    wrong = ["Analytical engine", "analytical engine ", "\0", "a" * 500_000]
    fields = [{**ADA, "email": email} for email in unknown]
    fields += [{**ADA, "password": password} for password in wrong]
    return [SIGN_UP, *[Row(LOGIN, each, 401, WRONG) for each in fields]]


def json_by_other_names() -> list[Row]:
    body = json.dumps(ADA).encode()
    kinds = ("application/json; charset=utf-8", "Application/JSON")
    return [
        replace(row, body=body, headers={"Content-Type": kind})
        for row, kind in zip((SIGN_UP, LOG_IN), kinds, strict=True)
    ]


def updates() -> list[Row]:
    rows, shown = [register(NAMED)], {"first_name": "Ada", "last_name": "Lovelace"}
    for fields in UPDATES:
        shown = {**shown, **fields}
        rows += [updated(fields, **shown), shows(**shown)]
    return rows


def unvalid_updates() -> list[Row]:
    mine = bearer("<access>")
    malformed = [*[body for body in MALFORMED if body], b'{"first_name": "\\ud800"}']
    return [
        register(NAMED),
        *[not_updated(400, UNVALID, fields) for fields in NO_UPDATES],
        *[Row(UPDATE, body, 400, UNVALID, JSON | mine) for body in malformed],
        *[Row(UPDATE, body, 400, UNVALID, kind | mine) for body, kind in OTHER_TYPES if body],
        shows(first_name="Ada", last_name="Lovelace"),
        LOG_IN,
    ]


def wrong_methods() -> list[Row]:
    """Return rows with every kind of token: the method is checked before authentication."""
    methods = [(line, ("GET", "PUT", "PATCH", "DELETE"), "POST, OPTIONS") for line in POST_ONLY]
    methods.append((SHOW, ("POST", "PATCH", "DELETE"), "GET, PUT, HEAD, OPTIONS"))
    return [
        Row(f"{wrong} {line.split()[1]}", b"{", 405, NOT_ALLOWED, headers, {"Allow": allow})
        for line, wrongs, allow in methods
        for wrong in wrongs
        for headers in ({}, bearer("garbage"), bearer("<access>"))
    ]


def in_its_place_only() -> list[Row]:
    access = [(line, name) for line in GUARDED_BY_REFRESH for name in ("<access>", "<renewed>")]
    return [
        *[Row(line, None, 422, ONLY_ACCESS, bearer("<refresh>")) for line in GUARDED_BY_ACCESS],
        *[Row(line, None, 422, ONLY_REFRESH, bearer(name)) for line, name in access],
    ]


def unknown_paths() -> list[Row]:
    return [
        Row(f"{method} /fardel{path}", b"{", 404, NOT_FOUND, bearer("garbage"))
        for method in ("GET", "POST", "PUT")
        for path in ("", "/", "/nowhere", "/api/auth", "/api/auth/profile/1")
    ]


STORIES: dict[str, list[Row]] = {
    **{f"registered with {name}": registered_with(*given) for name, given in FIELDS.items()},
    "what can not be registered": [
        *[Row(REGISTER, fields, 400, UNVALID) for fields in NOT_TO_REGISTER.values()],
        SIGN_UP,
    ],
    "wrong password and unknown account are one answer": can_not_log_in(),
    "emails are unique and log in whatever their case": same_emails(),
    "all of a password counts": passwords(),
    "JSON by other names": json_by_other_names(),
    "refreshing makes another token each time, and never the login's": [
        SIGN_UP,
        *[renew(name) for name in ("second", "third", "fourth")],  # no two names are one text
        *[shows(f"<{name}>") for name in ("access", "second", "third", "fourth")],
        LOG_IN,
        log_out("<third>"),
        *[shows(f"<{name}>") for name in ("access", "second", "fourth")],
        LOG_IN,
        log_out(),
        shows("<second>"),
        renew("fifth"),
        log_in(access="<new access = 40 hex>"),
        updated(NEW_EMAIL, "<new access>", **NEW_EMAIL),
    ],
    "each logout leaves the other token alone": [
        SIGN_UP,
        log_out(),
        shows_not(REVOKED),
        replace(log_out(), status=401, response=REVOKED),
        renew("renewed"),
        log_in(access="<second = 40 hex>"),
        log_out_refresh(),
        replace(log_out_refresh(), status=401, response=REVOKED),
        Row(REFRESH, None, 401, REVOKED, bearer("<refresh>")),
        shows("<second>"),
        shows("<renewed>"),
        log_in(access="<second>", refresh="<second refresh = 40 hex>"),
        renew("another", "<second refresh>"),
    ],
    "each kind of token is taken in its place only": [
        SIGN_UP,
        renew("renewed"),
        *in_its_place_only(),
        shows(),
        shows("<renewed>"),
        renew("another"),
    ],
    "a deleted account": [
        SIGN_UP,
        Row("POST /account/delete", None, 200, {"success": True}, bearer("<access>")),
        shows_not(REVOKED),
        Row(REFRESH, None, 401, REVOKED, bearer("<refresh>")),
        Row(LOGIN, ADA, 401, WRONG),
    ],
    "updates": updates(),
    "unvalid updates": unvalid_updates(),
    "empty fields and others are ignored": [
        register(NAMED),
        updated({**EMPTY, "first_name": "Grace"}, **GRACES),
        updated({**dict.fromkeys(EMPTY), "first_name": "Grace"}, **GRACES),
        updated({**IGNORED, "first_name": "Grace"}, **GRACES),
        updated({"email": "  new@example.com\t"}, **GRACES, **NEW_EMAIL),
        nothing_updated({}),
        nothing_updated(None),
        nothing_updated(EMPTY),
        nothing_updated(dict.fromkeys(EMPTY)),
        nothing_updated(IGNORED),
        shows(**GRACES, **NEW_EMAIL),
        *[
            Row(UPDATE, body, 204, None, kind | bearer("<access>"))
            for kind in (JSON, FORM, {"Content-Type": "text/plain"})
            for body in (None, b"")
        ],
    ],
    "what a token that is not fresh may change": [
        SIGN_UP,
        renew("renewed"),
        updated({"first_name": "Ada"}, "<renewed>", first_name="Ada"),
        updated({**EMPTY, "last_name": "King"}, "<renewed>", **KING),
        nothing_updated({}, "<renewed>"),
        nothing_updated(EMPTY, "<renewed>"),
        not_updated(401, NOT_FRESH, NEW_EMAIL, "<renewed>"),
        updated({"email": "ada@example.com"}, "<renewed>", **KING),
        updated({**EMPTY, "email": " ADA@Example.com "}, "<renewed>", **KING),
        updated({"email": "Ada@example.com", "first_name": "Ada"}, "<renewed>", **KING),
        not_updated(401, NOT_FRESH, {"email": "ada@example.com", "password": "new"}, "<renewed>"),
        not_updated(400, UNVALID, {"email": "ada"}, "<renewed>"),
        not_updated(401, NOT_FRESH, {"password": "new"}, "<renewed>"),
        not_updated(401, NOT_FRESH, {**NAMED, "first_name": "Grace"}, "<renewed>"),
        shows(**KING),
        LOG_IN,
    ],
    "nothing is changed and no session ends when the email is taken": [
        SIGN_UP,
        register(GRACE, "<access of grace = 40 hex>", "<refresh of grace = 40 hex>"),
        not_updated(409, TAKEN, {"email": "grace@example.com"}),
        not_updated(409, TAKEN, {"email": " Grace@Example.com "}),
        not_updated(409, TAKEN, {**ALL_NEW, "email": "GRACE@example.com"}),
        shows(),
        LOG_IN,
        renew("renewed"),
    ],
    "its own email in another case": [
        SIGN_UP,
        updated({"email": "ada@example.com"}),
        updated({"email": "Ada@Example.com"}, email="Ada@Example.com"),
        LOG_IN,
    ],
    "a changed email ends no session": [
        SIGN_UP,
        renew("renewed"),
        updated(NEW_EMAIL, **NEW_EMAIL),
        shows(**NEW_EMAIL),
        shows("<renewed>", **NEW_EMAIL),
        Row(LOGIN, ADA, 401, WRONG),
        log_in({**ADA, **NEW_EMAIL}),
        renew("another"),
        register(ADA, "<access of another = 40 hex>", "<refresh of another = 40 hex>"),
    ],
    "a changed password ends every session and brings new tokens": [
        SIGN_UP,
        renew("renewed"),
        new_password({**EMPTY, "password": "difference engine"}),
        *[shows_not(REVOKED, f"<{name}>") for name in ("access", "renewed")],
        *[Row(line, None, 401, REVOKED, bearer("<access>")) for line in GUARDED_BY_ACCESS],
        *[Row(line, None, 401, REVOKED, bearer("<refresh>")) for line in GUARDED_BY_REFRESH],
        shows("<new access>"),
        renew("newly renewed", "<new refresh>"),
        Row(LOGIN, ADA, 401, WRONG),
        log_in(NEW_PASSWORD, "<new access>", "<new refresh>"),
        updated(NEW_EMAIL, "<new access>", **NEW_EMAIL),  # fresh
    ],
    "HEAD is a GET without the body": [
        SIGN_UP,
        Row("HEAD /api/auth/profile", None, 200, None),
        Row("HEAD /api/auth/profile", None, 200, None, bearer("<access>")),
        Row("HEAD /api/auth/profile", None, 422, None, bearer("<refresh>")),
    ],
    "everything changed at once": [
        SIGN_UP,
        new_password(ALL_NEW, **ALL_SHOWN),
        shows("<new access>", **ALL_SHOWN),
        shows_not(REVOKED),
        log_in(ALL_NEW, "<new access>", "<new refresh>"),
        Row(LOGIN, {**ALL_NEW, "password": ALL_NEW["password"][:100]}, 401, WRONG),
    ],
    "wrong methods come before authentication": [
        SIGN_UP,
        *wrong_methods(),
        Row("HEAD /api/auth/refresh-token", None, 405, None),
        shows(),
        renew("renewed"),
    ],
    "unknown paths under the name": unknown_paths(),
}
