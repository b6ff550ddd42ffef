"""The rows that most tests of kust use."""

from tests.handlers.contract import Row

KUST2 = {  # docs/contracts/kust.md#post-authusers
    "username": "kust2",
    "password": "k12345678",
    "email": "kust2@gmail.com",
    "towns": [1, 3],
}
LOGIN = {"username": "kust2", "password": "k12345678"}
KUST3 = {"username": "kust3", "password": "k12345678", "email": "kust3@gmail.com"}


def register(fields: dict, username: str, email: str = "", id: int = 1, **more) -> Row:
    response = {"email": email, "username": username, "id": id}
    return Row("POST /auth/users", fields, 200, response, **more)


def log_in(username: str, password: str, hands_out: str = "<40 hex>") -> Row:
    fields = {"username": username, "password": password}
    return Row("POST /auth/token/login", fields, 200, {"auth_token": hands_out})


SIGN_UP = register(KUST2, "kust2", "kust2@gmail.com")
LOG_IN = log_in("kust2", "k12345678", "<token = 40 hex>")
LOG_IN_AGAIN = log_in("kust2", "k12345678", "<token>")


def token(name: str = "<token>", scheme: str = "Token") -> dict[str, str]:
    """Return the Authorization header of a token, by default LOG_IN's."""
    return {"Authorization": f"{scheme} {name}"}


def log_out(body=None, name: str = "<token>", **headers: str) -> Row:
    """End a session. The response has no body, and no header that describes one."""
    headers = {key.replace("_", "-"): value for key, value in headers.items()} | token(name)
    nothing = {"Content-Type": None, "Content-Length": None}
    return Row("POST /auth/token/logout", body, 204, None, headers, nothing)


def me(
    username: str = "kust2",
    email: str = "kust2@gmail.com",
    *,
    method: str = "GET",
    name: str = "<token>",
    scheme: str = "Token",
    id: int = 1,
) -> Row:
    response = {"email": email, "id": id, "username": username}
    return Row(f"{method} /auth/users/me", None, 200, response, token(name, scheme))


def user(id: int = 1, *, method: str = "GET", name: str = "<token>", **changed) -> Row:
    """Read an account with <token>, by default the first account."""
    response = {
        "id": id,
        "last_login": "<text>",
        "is_superuser": False,
        "username": "kust2",
        "first_name": "",
        "last_name": "",
        "email": "kust2@gmail.com",
        "is_staff": False,
        "is_active": True,
        "date_joined": "<text>",
        "days_count": 3,
        "groups": [],
        "user_permissions": [],
        "towns": [1, 3],
        **changed,
    }
    return Row(f"{method} /user/{id}", None, 200, response, token(name))
