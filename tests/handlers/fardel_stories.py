"""fardel: stories of one account, each from an empty server. Their names say what they show."""

import json
from dataclasses import replace

from tests.handlers.contract import FORM, JSON, Row
from tests.handlers.fardel_rows import (
    ADA,
    EMPTY,
    GRACE,
    GUARDED_BY_ACCESS,
    GUARDED_BY_REFRESH,
    LOG_IN,
    LOGIN,
    NAMED,
    NOT_ALLOWED,
    NOT_FOUND,
    NOT_FRESH,
    ONLY_ACCESS,
    ONLY_REFRESH,
    POST_ONLY,
    REFRESH,
    REGISTER,
    REVOKED,
    SHOW,
    SIGN_UP,
    TAKEN,
    UNVALID,
    UPDATE,
    WRONG,
    bearer,
    log_in,
    log_out,
    log_out_refresh,
    new_password,
    not_updated,
    nothing_updated,
    register,
    renew,
    shows,
    shows_not,
    updated,
)
from tests.handlers.fardel_tables import (
    ALL_NEW,
    FIELDS,
    MALFORMED,
    NO_UPDATES,
    NOT_TO_REGISTER,
    OTHER_TYPES,
    PASSWORDS,
    UPDATES,
)

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
    """Return them with every kind of token: the method comes before authentication."""
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
        replace(log_out(), status=401, answer=REVOKED),
        renew("renewed"),
        log_in(access="<second = 40 hex>"),
        log_out_refresh(),
        replace(log_out_refresh(), status=401, answer=REVOKED),
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
