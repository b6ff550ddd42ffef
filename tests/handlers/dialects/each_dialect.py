"""The five dialects side by side: each call that all of them have, in the words of each.

All paths are under the dialects' names. A token is named after the dialect that issued it. fardel
also has `refresh`, and `access` for the access token that is not fresh.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.handlers.contract import Row
from tests.handlers.dialects import cellars_rows, fardel_rows
from tests.handlers.dialects.drf_messages import CANNOT_LOG_IN, CHALLENGE, INVALID_TOKEN

Account = Mapping[str, str]

ADA = {"username": "Åda.Lovelace", "email": "Ada@bücher.example"}
ANOTHER = {"username": "grace", "email": "grace@example.com"}
PASSWORD = "Analytical-Engine-1843"


@dataclass(frozen=True)
class DialectCalls:
    """One dialect's form of the calls that all have. `asks` are a registration's names."""

    register: str
    asks: tuple[str, ...]
    made: Callable[[Account], tuple[int, dict[str, Any]]]
    login: str
    logs_in_by: tuple[str, ...]
    logged_in: Callable[[Account, str], dict[str, Any]]
    wrong: tuple[int, dict[str, Any]]
    taken: Callable[[list[str]], tuple[int, dict[str, Any]]]
    logout: tuple[str, int, dict[str, str] | None]
    pattern: str = "40 hex"


def _names(account: Account) -> dict[str, str]:
    return {name: account.get(name, "") for name in ("username", "email")}


def _cellars_user(account: Account) -> dict[str, object]:
    return cellars_rows.user(account.get("username", ""), email=account.get("email", ""))


def _taken(sentence: str) -> Callable[[list[str]], tuple[int, dict[str, Any]]]:
    return lambda fields: (400, {field: [sentence.format(field)] for field in fields})


def _taken_in_lumotist(fields: list[str]) -> tuple[int, dict[str, Any]]:
    _, errors = _taken("user with this {} already exists.")(fields)
    return 400, {"success": False, "errors": errors}


DIALECT_CALLS = {
    "wicare": DialectCalls(
        "POST /wicare/api/auth/register",
        ("username", "email"),
        lambda account: (
            200,
            {"user": {"id": 1, **_names(account)}, "token": "<wicare = 64 hex>"},
        ),
        "POST /wicare/api/auth/login",
        ("username", "email"),
        lambda _, token: {"expiry": "<text>Z", "token": token},
        (400, CANNOT_LOG_IN),
        _taken("A user with that {} already exists."),
        ("POST /wicare/api/auth/logout", 204, None),
        "64 hex",
    ),
    "lumotist": DialectCalls(
        "POST /lumotist/account/register",
        ("username", "email"),
        lambda _: (200, {"success": True, "token": "<lumotist = 40 hex>"}),
        "POST /lumotist/account/login",
        ("username",),
        lambda _, token: {"token": token},
        (400, CANNOT_LOG_IN),
        _taken_in_lumotist,
        ("POST /lumotist/account/logout", 200, {"success": True}),
    ),
    "kust": DialectCalls(
        "POST /kust/auth/users",
        ("username", "email"),
        lambda account: (
            200,
            {"email": account["email"], "username": account["username"], "id": 1},
        ),
        "POST /kust/auth/token/login",
        ("username",),
        lambda _, token: {"auth_token": token},
        (400, CANNOT_LOG_IN),
        _taken("A user with that {} already exists."),
        ("POST /kust/auth/token/logout", 204, None),
    ),
    "cellars": DialectCalls(
        "POST /cellars/api/register",
        ("username",),
        lambda account: (201, {"token": "<cellars = 40 hex>", "user": _cellars_user(account)}),
        "POST /cellars/api/login",
        ("username",),
        lambda account, token: {"token": token, "user": _cellars_user(account)},
        (400, cellars_rows.WRONG),
        lambda _: (400, cellars_rows.NOT_UNIQUE),
        ("POST /cellars/api/logout", 200, cellars_rows.SUCCESS),
    ),
    "fardel": DialectCalls(
        "POST /fardel/api/auth/register",
        ("email",),
        lambda _: (
            200,
            fardel_rows.hands_out(
                "Successfully registered", "<fardel = 40 hex>", "<refresh = 40 hex>"
            ),
        ),
        "POST /fardel/api/auth/login",
        ("email",),
        lambda _, token: fardel_rows.hands_out("Successfully logined", token, "<refresh = 40 hex>"),
        (401, fardel_rows.WRONG),
        lambda _: (409, fardel_rows.TAKEN),
        ("POST /fardel/api/auth/logout", 200, {"message": "Access token has been revoked"}),
    ),
}

SESSIONS = [*DIALECT_CALLS, "access"]
"""The names of the tokens that give access."""


def account_of(maker: str) -> Account:
    """Return Ada's account after a registration in this dialect."""
    return {name: ADA[name] for name in DIALECT_CALLS[maker].asks}


def brings(session: str, scheme: str = "Bearer") -> dict[str, str]:
    return {"Authorization": f"{scheme} <{session}>"}


def register(maker: str) -> Row:
    calls, account = DIALECT_CALLS[maker], account_of(maker)
    status, response = calls.made(account)
    return Row(calls.register, {**account, "password": PASSWORD}, status, response)


def taken(other: str, clash: Iterable[str]) -> Row:
    """Register with these of Ada's names in upper case, and with other values for the rest."""
    calls = DIALECT_CALLS[other]
    names = {name: ADA[name].upper() if name in clash else ANOTHER[name] for name in calls.asks}
    status, response = calls.taken([name for name in ("username", "email") if name in clash])
    return Row(calls.register, {**names, "password": PASSWORD}, status, response)


def log_in(name: str, by: str, account: Account = ADA, *, again: bool = False) -> Row:
    """Log in and name the token after the dialect. With `again` it must be the token of that name.

    The second login uses upper case.
    """
    calls = DIALECT_CALLS[name]
    token = f"<{name}>" if again else f"<{name} = {calls.pattern}>"
    fields = {by: ADA[by].upper() if again else ADA[by], "password": PASSWORD}
    return Row(calls.login, fields, 200, calls.logged_in(account, token))


def cannot_log_in(name: str, by: str, password: str = PASSWORD) -> Row:
    calls = DIALECT_CALLS[name]
    return Row(calls.login, {by: ADA[by], "password": password}, *calls.wrong)


def renew() -> Row:
    """Issue fardel's access token that is not fresh."""
    response = {"access_token": "<access = 40 hex>"}
    return Row("POST /fardel/api/auth/refresh-token", None, 200, response, brings("refresh"))


def open_again(session: str) -> Row:
    return renew() if session == "access" else log_in(session, DIALECT_CALLS[session].logs_in_by[0])


def log_out(name: str, session: str, scheme: str = "Bearer") -> Row:
    """End a session in this dialect, whichever dialect opened it."""
    request, status, response = DIALECT_CALLS[name].logout
    return Row(request, None, status, response, brings(session, scheme))


def who(session: str, account: Account = ADA, scheme: str = "Bearer") -> list[Row]:
    """Request the token's account in every dialect that returns it."""
    mine, names = brings(session, scheme), _names(account)
    profile = {"id": 1, **names, "created": "<day-month-year>", "picture": ""}
    me = {"email": names["email"], "id": 1, "username": names["username"]}
    user = {"id": 1, "first_name": None, "last_name": None, "email": names["email"]}
    return [
        Row("GET /lumotist/account/profile", None, 200, {"success": True, "data": profile}, mine),
        Row("GET /kust/auth/users/me", None, 200, me, mine),
        Row("GET /fardel/api/auth/profile", None, 200, {"user": user}, mine),
    ]


DRF_GUARDED = (
    "POST /wicare/api/auth/logout",
    "POST /wicare/api/auth/logoutall",
    "POST /lumotist/account/logout",
    "GET /lumotist/account/profile",
    "POST /lumotist/account/delete",
    "GET /lumotist/account/get_pictures",
    "POST /lumotist/account/set_picture",
    "POST /kust/auth/token/logout",
    "GET /kust/auth/users/me",
    "POST /kust/auth/users/me",
    "GET /kust/user/1",
    "POST /kust/user/1",
)
DRF_OPEN = tuple(
    line
    for name in ("wicare", "lumotist", "kust")
    for line in (DIALECT_CALLS[name].register, DIALECT_CALLS[name].login)
)
FARDEL_GUARDED = (
    "POST /fardel/api/auth/logout",
    "GET /fardel/api/auth/profile",
    "PUT /fardel/api/auth/profile",
)
FARDEL_REFRESHING = (
    "POST /fardel/api/auth/refresh-token",
    "POST /fardel/api/auth/logout-refresh",
)


def refused(session: str, status: int, message: Mapping[str, str]) -> list[Row]:
    """Request everything that needs an access token; only fardel's message gives the reason."""
    mine = brings(session)
    bad = (401, INVALID_TOKEN, mine, CHALLENGE)
    return [
        *[Row(line, None, *bad) for line in DRF_GUARDED + DRF_OPEN],
        Row("POST /cellars/api/logout", None, 401, cellars_rows.NO_SUCH_TOKEN, mine),
        *[Row(line, None, status, message, mine) for line in FARDEL_GUARDED],
    ]


def over(session: str) -> list[Row]:
    """Request everything with a token whose session has ended."""
    return refused(session, 401, fardel_rows.REVOKED)


def refresh_is_over() -> list[Row]:
    return [
        Row(line, None, 401, fardel_rows.REVOKED, brings("refresh")) for line in FARDEL_REFRESHING
    ]
