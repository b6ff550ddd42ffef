"""Requests to the paths that wicare and fardel share, with the response of each dialect."""

import json

from tests.handlers.contract import FORM, JSON, MULTIPART, Row, multipart, urlencoded
from tests.handlers.dialects.drf_messages import (
    CANNOT_LOG_IN,
    CHALLENGE,
    INVALID_TOKEN,
    MISSING_TOKEN,
    NOT_FOUND,
    REQUIRED,
    not_allowed,
    wrong_media_type,
)
from tests.handlers.dialects.fardel_rows import (
    FORGED,
    LOGIN,
    LOGOUT,
    MISSING,
    NOT_ALLOWED,
    REGISTER,
    UNVALID,
    WRONG,
    bearer,
    message,
)
from tests.handlers.dialects.lumotist_rows import token

MIB = 1024 * 1024
TEXT = {"Content-Type": "text/plain"}

WICARES = {"username": "ada", "password": "analytical engine", "email": "ada@example.com"}
BY_NAME = {"username": "ada", "password": "analytical engine"}
BY_EMAIL = {"email": "ada@example.com", "password": "analytical engine"}

WICARE_REGISTERED = {
    "user": {"id": 1, "username": "ada", "email": "ada@example.com"},
    "token": "<token = 64 hex>",
}
WICARE_LOGGED_IN = {"expiry": "<text>Z", "token": "<token>"}
FARDEL_REGISTERED = {
    "message": "Successfully registered",
    "access_token": "<access = 40 hex>",
    "refresh_token": "<refresh = 40 hex>",
}
FARDEL_LOGGED_IN = {
    "message": "Successfully logined",
    "access_token": "<access = 40 hex>",
    "refresh_token": "<refresh = 40 hex>",
}

MADE_BY_WICARE = Row(REGISTER, WICARES, 200, WICARE_REGISTERED)
MADE_BY_FARDEL = Row(LOGIN, BY_EMAIL, 200, FARDEL_LOGGED_IN)
"""A second session of the same account."""


SPEAK_FARDEL = {
    "no body": (None, {}),
    "no body as JSON": (b"", JSON),
    "an empty object": ({}, {}),
    "a name in a list": (["username"], {}),
    "a name for a body": ("username", {}),
    "a name within": ({"user": BY_NAME}, {}),
    "another name": ({"Username": "ada", "password": "analytical engine"}, {}),
    "null": (b"null", JSON),
    "a number": (b"5", JSON),
    "not whole": (b'{"username": "ada", "password": "analytical engine"', JSON),
    "not UTF-8": (b'{"username": "\xff"}', JSON),
    "a surrogate": (b'{"username": "\\ud800"}', JSON),
    "a form that says nothing": (urlencoded(**BY_NAME), {}),
    "a form that says it is text": (urlencoded(**BY_NAME), TEXT),
    "a form that says it is JSON": (urlencoded(**BY_NAME), JSON),
    "an email as text": (json.dumps(BY_EMAIL).encode(), TEXT),
}


def padded(fields, size=MIB + 1):
    text = json.dumps(fields).encode()
    return text + b" " * (size - len(text))


ONLY_WICARE = [
    Row(LOGIN, BY_EMAIL, 400, CANNOT_LOG_IN),
    Row(LOGIN, BY_EMAIL, 401, INVALID_TOKEN, bearer("x"), CHALLENGE),
    Row(LOGIN, None, 400, {"username": REQUIRED, "password": REQUIRED}),
    Row(REGISTER, BY_EMAIL, 400, {"username": REQUIRED}),
    Row(REGISTER, b"{", 400, {"detail": "JSON parse error - <text>"}, JSON),
    Row(LOGIN, json.dumps(BY_EMAIL).encode(), 415, wrong_media_type("text/plain"), TEXT),
    Row(LOGIN, padded(BY_EMAIL), 413, {"detail": "<text>"}, JSON),
    Row(LOGOUT, {}, 401, MISSING_TOKEN, {}, CHALLENGE),
    Row("GET /api/auth/login", None, 405, not_allowed("GET")),
]

ONLY_FARDEL = [
    Row(LOGIN, BY_NAME, 400, UNVALID),
    Row(LOGIN, urlencoded(**BY_NAME), 400, UNVALID, FORM),
    Row(REGISTER, multipart(**BY_NAME), 400, UNVALID, MULTIPART),
    Row(LOGIN, BY_EMAIL, 401, WRONG, token("x")),
    Row(LOGIN, {**BY_EMAIL, "username": "ada"}, 401, WRONG),
    Row(LOGIN, json.dumps(BY_NAME).encode(), 400, UNVALID, TEXT),
    Row(LOGIN, padded(BY_NAME), 413, message("<text>"), JSON),
    Row(LOGOUT, None, 422, FORGED, token("x")),
    Row(LOGOUT, urlencoded(x="y"), 401, MISSING, FORM),
    Row("GET /api/auth/login", None, 405, NOT_ALLOWED, token("x")),
]


ASK_WICARE = Row(LOGIN, BY_EMAIL, 400, CANNOT_LOG_IN)
ASK_FARDEL = Row(LOGIN, BY_NAME, 400, UNVALID)
TOLD_APART = [Row(LOGIN, BY_NAME, 400, CANNOT_LOG_IN), Row(LOGIN, BY_EMAIL, 401, WRONG)]
NOWHERE = Row(LOGIN, BY_EMAIL, 404, NOT_FOUND)
