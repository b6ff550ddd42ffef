"""The rows that most tests of lumotist use."""

from tests.handlers.contract import Row

TEST = {"username": "test", "email": "test@test.com", "password": "test"}
LOGIN = {"username": "test", "password": "test"}
SUCCESS = {"success": True}

SIGN_UP = Row("POST /account/register", TEST, 200, {"success": True, "token": "<token = 40 hex>"})
LOG_IN = Row("POST /account/login", LOGIN, 200, {"token": "<token>"})


def token(name: str) -> dict[str, str]:
    """Return the Authorization header of a token: `token("<token>")` for SIGN_UP's."""
    return {"Authorization": f"Token {name}"}


def profile(username: str = "test", email: str = "test@test.com", **changed) -> Row:
    """Read the account of <token>, by default the first account."""
    data = {
        "id": 1,
        "username": username,
        "email": email,
        "created": "<day-month-year>",
        "picture": "",
    }
    response = {"success": True, "data": {**data, **changed}}
    return Row("GET /account/profile", None, 200, response, token("<token>"))
