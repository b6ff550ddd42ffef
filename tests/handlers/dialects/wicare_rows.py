"""The rows that most tests of wicare use."""

from tests.handlers.contract import Row

PITA = {
    "username": "pita",
    "password": "password123",
}  # docs/contracts/wicare.md#post-apiauthregister
EMAIL = {"email": "pita@bot.com"}


def user(username: str = "pita", email: str = "", **changed) -> dict:
    """Return the user of a registration, by default the first account."""
    return {"id": 1, "username": username, "email": email, **changed}


def register(fields: dict, who: dict, hands_out: str = "<64 hex>", **more) -> Row:
    return Row("POST /api/auth/register", fields, 200, {"user": who, "token": hands_out}, **more)


def log_in(fields: dict, hands_out: str = "<64 hex>", expiry: str = "<text>", **more) -> Row:
    response = {"expiry": expiry, "token": hands_out}
    return Row("POST /api/auth/login", fields, 200, response, **more)


SIGN_UP = register(PITA, user(), "<token = 64 hex>")
LOG_IN = log_in(PITA, "<token>")


def token(name: str, scheme: str = "Token") -> dict[str, str]:
    """Return the Authorization header of a token: `token("<token>")` for SIGN_UP's."""
    return {"Authorization": f"{scheme} {name}"}


def log_out(name: str = "<token>", body=None, **headers: str) -> Row:
    """End a session. The response has no body, and no header that describes one."""
    headers = {key.replace("_", "-"): value for key, value in headers.items()} | token(name)
    return Row("POST /api/auth/logout", body, 204, None, headers, NOTHING)


def log_out_all(name: str = "<token>", path: str = "/api/auth/logoutall") -> Row:
    return Row(f"POST {path}", None, 204, None, token(name), NOTHING)


NOTHING = {"Content-Type": None, "Content-Length": None}
