"""What most tests of lumotist begin with."""

from tests.handlers.contract import Row

TEST = {"username": "test", "email": "test@test.com", "password": "test"}
LOGIN = {"username": "test", "password": "test"}
SUCCESS = {"success": True}

SIGN_UP = Row("POST /account/register", TEST, 200, {"success": True, "token": "<token = 40 hex>"})
LOG_IN = Row("POST /account/login", LOGIN, 200, {"token": "<token>"})


def token(name: str) -> dict[str, str]:
    """Return the header that brings a token: `token("<token>")` brings the one of SIGN_UP."""
    return {"Authorization": f"Token {name}"}


def profile(username: str = "test", email: str = "test@test.com", **changed) -> Row:
    """Ask who <token> is: the first account, unless told otherwise."""
    data = {
        "id": 1,
        "username": username,
        "email": email,
        "created": "<day-month-year>",
        "picture": "",
    }
    response = {"success": True, "data": {**data, **changed}}
    return Row("GET /account/profile", None, 200, response, token("<token>"))
