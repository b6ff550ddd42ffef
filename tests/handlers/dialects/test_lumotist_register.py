"""lumotist: which usernames, e-mails and passwords a registration accepts."""

import json

import pytest

from tests.handlers.contract import JSON, Row, play
from tests.handlers.dialects.drf_messages import (
    BLANK,
    CANNOT_LOG_IN,
    INVALID_EMAIL,
    NOT_A_STRING,
    NULL,
    REQUIRED,
    too_long,
)
from tests.handlers.dialects.lumotist_rows import profile

USERNAME_TAKEN = ["user with this username already exists."]
EMAIL_TAKEN = ["user with this email already exists."]


def register(fields, hands_out="<40 hex>"):
    response = {"success": True, "token": hands_out}
    return Row("POST /account/register", fields, 200, response)


def refused(fields, **errors):
    return Row("POST /account/register", fields, 400, {"success": False, "errors": errors})


def log_in(username, password, hands_out="<40 hex>"):
    fields = {"username": username, "password": password}
    return Row("POST /account/login", fields, 200, {"token": hands_out})


def cannot_log_in(username, password):
    fields = {"username": username, "password": password}
    return Row("POST /account/login", fields, 400, CANNOT_LOG_IN)


def login_refused(fields, **errors):
    return Row("POST /account/login", fields, 400, errors)


def user(username="test", email="test@test.com", password="test"):  # noqa: S107 - an example
    return {"username": username, "email": email, "password": password}


FIELDS = {
    "nothing": refused({}, username=REQUIRED, email=REQUIRED, password=REQUIRED),
    "no email": refused({"username": "a", "password": "b"}, email=REQUIRED),
    "other fields": refused({"name": "test"}, username=REQUIRED, email=REQUIRED, password=REQUIRED),
    "blank": refused(user("", "", ""), username=BLANK, email=BLANK, password=BLANK),
    "spaces": refused(user(" \t ", "  ", ""), username=BLANK, email=BLANK, password=BLANK),
    "null": refused(user(None, None, None), username=NULL, email=NULL, password=NULL),
    "kinds": refused(
        user(True, [], {}), username=NOT_A_STRING, email=NOT_A_STRING, password=NOT_A_STRING
    ),
    "one of each": refused(
        {"email": "", "password": None}, username=REQUIRED, email=BLANK, password=NULL
    ),
    "the order is the fields'": refused(
        {"password": [], "email": "no", "username": "n" * 33},
        username=too_long(32),
        email=INVALID_EMAIL,
        password=NOT_A_STRING,
    ),
    "33 characters": refused(user("n" * 33), username=too_long(32)),
    "33 emoji": refused(user("🔑" * 33), username=too_long(32)),
    "long email": refused(user(email=f"test@{'t' * 60}.{'t' * 187}.com"), email=too_long(254)),
    "1 MB of combining marks": refused(user("e" + "\u0301" * 100_000), username=too_long(32)),
}


@pytest.mark.parametrize("row", FIELDS.values(), ids=FIELDS)
async def test_fields_are_refused_together_in_their_order(client, row):
    await play(client, [row, register(user())])  # and nothing was created


async def test_login_fields(client):
    rows = [
        login_refused({}, username=REQUIRED, password=REQUIRED),
        login_refused({"username": "", "password": ""}, username=BLANK, password=BLANK),
        login_refused({"password": None, "username": None}, username=NULL, password=NULL),
        login_refused({"username": [], "password": 5}, username=NOT_A_STRING),
        login_refused({"username": "test", "password": False}, password=NOT_A_STRING),
    ]
    await play(client, rows)


@pytest.mark.parametrize(
    "email",
    [
        "test",
        "test@",
        "@test.com",
        "test@test",
        "test@test.",
        "test@@test.com",
        "te st@test.com",
        "test@te_st.com",
        "test@-test.com",
        "test@test..com",
        ".test@test.com",
        "test@test.com\nx@y.zz",
        "tést@test.com",
        "🔑@test.com",
    ],
)
async def test_invalid_email(client, email):
    await play(client, [refused(user(email=email), email=INVALID_EMAIL)])


@pytest.mark.parametrize(
    "email",
    [
        "a.b+c_d@test.co.uk",
        "o'hara@test.com",
        "test@bücher.example",
        "test@localhost",
        "1@2.museum",
    ],
)
async def test_valid_email(client, email):
    await play(client, [register(user(email=email))])


async def test_taken_names_every_field_that_is(client):
    rows = [
        register(user()),
        refused(user(email="new@test.com"), username=USERNAME_TAKEN),
        refused(user("new"), email=EMAIL_TAKEN),
        refused(user(), username=USERNAME_TAKEN, email=EMAIL_TAKEN),
        # A taken name is reported only if every field is valid.
        refused(user(password=""), password=BLANK),
        refused(user("other", "no"), email=INVALID_EMAIL),
        register(user("new", "new@test.com")),
        # Each by another account.
        refused(user("NEW", "TEST@test.com"), username=USERNAME_TAKEN, email=EMAIL_TAKEN),
    ]
    await play(client, rows)


SAME = [
    ("test", "TEST"),
    ("åsa", "ÅSA"),
    ("Straße", "STRASSE"),
    ("σίσυφος", "ΣΊΣΥΦΟΣ"),
    ("ДМИТРИЙ", "дмитрий"),
    ("ﬁn", "FIN"),
    ("Ａｌｉｃｅ", "alice"),
    ("cafe\u0301", "CAFÉ"),
]


@pytest.mark.parametrize(("username", "other"), SAME)
async def test_usernames_are_unique_and_log_in_whatever_their_case(client, username, other):
    rows = [
        register(user(username), "<token = 40 hex>"),
        refused(user(other, "new@test.com"), username=USERNAME_TAKEN),
        log_in(other, "test", "<token>"),
        log_in(username, "test", "<token>"),
        profile(username),
    ]
    await play(client, rows)


@pytest.mark.parametrize(
    ("email", "other"),
    [("test@test.com", "TEST@Test.COM"), ("t@bücher.example", "T@BÜCHER.example")],
)
async def test_emails_are_unique_whatever_their_case(client, email, other):
    await play(client, [register(user("a", email)), refused(user("b", other), email=EMAIL_TAKEN)])


@pytest.mark.parametrize(
    "username", ["naïve user/\\'\"<b>%s{}", "🔑👩‍👩‍👧", "ユーザー", "x" * 32, "🔑" * 32]
)
async def test_usernames_hold_any_character(client, username):
    rows = [register(user(username), "<token = 40 hex>"), log_in(username, "test", "<token>")]
    await play(client, [*rows, profile(username)])


async def test_username_and_email_are_trimmed_and_the_password_is_not(client):
    rows = [
        register(user(f"  {'n' * 32}\t", "\n test@test.com ", "  "), "<token = 40 hex>"),
        profile("n" * 32, "test@test.com"),
        log_in(f" {'n' * 32}  ", "  ", "<token>"),
        cannot_log_in("n" * 32, " "),
        cannot_log_in("n" * 32, "   "),
        refused(user(f"{'n' * 32} ", " test@test.com"), username=USERNAME_TAKEN, email=EMAIL_TAKEN),
    ]
    await play(client, rows)


PASSWORDS = {
    "one letter": ("x", "y"),
    "72 bytes are not all": ("a" * 72 + "b", "a" * 72 + "c"),
    "10 000 characters": ("a" * 9_999 + "b", "a" * 9_999 + "c"),
    "NUL counts": ("pass\0word", "pass"),
    "what is behind a NUL counts": ("pass\0word", "pass\0worD"),
    "NUL only": ("\0", "\0\0"),
    "emoji": ("🔑🔑", "🔑"),
    "case": ("Straße", "STRASSE"),
    "letters that only look alike": ("\ufb01sh", "fish"),
}


@pytest.mark.parametrize(("password", "other"), PASSWORDS.values(), ids=PASSWORDS)
async def test_passwords_hold_anything_and_all_of_it_counts(client, password, other):
    rows = [
        register(user(password=password), "<token = 40 hex>"),
        cannot_log_in("test", other),
        log_in("test", password, "<token>"),
    ]
    await play(client, rows)


async def test_numbers_become_strings(client):
    rows = [
        register({"username": 2**63 - 1, "email": "a@test.com", "password": 12345}, "<a = 40 hex>"),
        log_in("9223372036854775807", "12345", "<a>"),
        log_in(2**63 - 1, 12345, "<a>"),
        cannot_log_in(2**63 - 2, 12345),
        register(user(-1.5), "<b = 40 hex>"),
        log_in("-1.5", "test", "<b>"),
    ]
    await play(client, rows)


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**30, 1e300])
async def test_numbers_beyond_64_bits_are_refused(client, number):
    rows = [
        refused(user(number, password=number), username=NOT_A_STRING, password=NOT_A_STRING),
        login_refused({"username": number, "password": "test"}, username=NOT_A_STRING),
    ]
    await play(client, rows)


NUL = ["Null characters are not allowed."]  # Django's message


async def test_nul_in_a_name(client):
    rows = [
        refused(user("te\0st"), username=NUL),
        refused(user(email="test@te\0st.com"), email=["<text>"]),
        login_refused({"username": "te\0st", "password": "test"}, username=NUL),
    ]
    await play(client, rows)


@pytest.mark.parametrize("surrogate", ["\\ud800", "\\udfff", "x\\udc00y", "\\udc00\\ud800"])
async def test_lone_surrogates_are_a_400(client, surrogate):
    rows = []
    for path, fields in (("register", user()), ("login", {"username": "test", "password": "test"})):
        for name in fields:
            body = json.dumps({**fields, name: "HERE"}).replace("HERE", surrogate).encode()
            response = {"detail": "JSON parse error - <text>"}
            rows.append(Row(f"POST /account/{path}", body, 400, response, JSON))
    await play(client, rows)
