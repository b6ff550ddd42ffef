"""dj-rest-auth's rows and texts: docs/contracts/dj-rest-auth.md with tokens and with JWTs."""

from dataclasses import replace

import handlers
from handlers.mounts import Mount
from settings import Settings
from tests.handlers.contract import Row
from tests.handlers.dialects.drf_messages import CANNOT_LOG_IN, CHALLENGE, INVALID_TOKEN

NAME = "dj-rest-auth"
PASSWORD, NEW_PASSWORD = "Difference-Engine-1822", "Bernoulli-Numbers-1842"
ADA = {
    "username": "ada",
    "email": "ada@example.org",
    "password1": PASSWORD,
    "password2": PASSWORD,
}
BOB = {**ADA, "username": "bob", "email": "bob@example.org"}
REGISTER, LOGIN, LOGOUT = "POST /registration", "POST /login", "POST /logout"
CHANGE, RESET, CONFIRM = (
    "POST /password/change",
    "POST /password/reset",
    "POST /password/reset/confirm",
)
VERIFY, RESEND = "POST /registration/verify-email", "POST /registration/resend-email"

SHORT = "This password is too short. It must contain at least 8 characters."
COMMON = "This password is too common."
NUMERIC = "This password is entirely numeric."
WEAK = [SHORT, COMMON, NUMERIC]
NUL = ["Null characters are not allowed."]
DIFFERENT = {"non_field_errors": ["The two password fields didn't match."]}
CHANGED_DIFFERENTLY = {"new_password2": ["The two password fields didn\u2019t match."]}
WRONG = ["Your old password was entered incorrectly. Please enter it again."]
BAD_UID, BAD_TOKEN = {"uid": ["Invalid value"]}, {"token": ["Invalid value"]}
NOT_VERIFIED = {"non_field_errors": ["E-mail is not verified."]}
TAKEN = ["A user with that username already exists."]
EMAIL_TAKEN = ["User is already registered with this e-mail address."]
INVALID_USERNAME = [
    "Enter a valid username. This value may contain only letters, numbers, and @/./+/-/_ "
    "characters."
]
KEY = {"key": "<token>"}
OK = {"detail": "ok"}
LOGGED_OUT = {"detail": "Successfully logged out."}
SENT = {"detail": "Password reset e-mail has been sent."}
DONE = {"detail": "Password has been reset with the new password."}
SAVED = {"detail": "New password has been saved."}
LINKS = {
    "password_reset_confirm_url": "https://app.example/reset/{uid}/{token}",
    "account_confirm_email_url": "https://app.example/confirm/{key}",
}


def similar(name: str) -> str:
    return f"The password is too similar to the {name}."


def token(name: str = "<token>", scheme: str = "Token") -> dict[str, str]:
    return {"Authorization": f"{scheme} {name}"}


def register(fields=ADA, issued: str = "<token = 40 hex>") -> Row:
    return Row(REGISTER, fields, 201, {"key": issued})


def refused(fields, **errors) -> Row:
    return Row(REGISTER, fields, 400, errors)


def log_in(name="ada", password=PASSWORD, issued="<token>", field="username") -> Row:
    return Row(LOGIN, {field: name, "password": password}, 200, {"key": issued})


def cannot_log_in(name="ada", password=PASSWORD) -> Row:
    return Row(LOGIN, {"username": name, "password": password}, 400, CANNOT_LOG_IN)


def shown(**changed) -> dict[str, object]:
    names = {"username": "ada", "email": "ada@example.org", "first_name": "", "last_name": ""}
    return {"pk": 1, **names, **changed}


def user(name: str = "<token>", **changed) -> Row:
    return Row("GET /user", None, 200, shown(**changed), token(name))


def post(request: str, body, status: int = 200, response=None, name: str = "") -> Row:
    return Row(request, body, status, response, token(name) if name else {})


def ended(name: str = "<token>", body=INVALID_TOKEN) -> Row:
    return Row("GET /user", None, 401, body, token(name), CHALLENGE)


def new(password: str = NEW_PASSWORD, again: str | None = None, **more) -> dict[str, str]:
    return {"new_password1": password, "new_password2": again or password, **more}


def mounted(settings: Settings, **options) -> Settings:
    """Settings of a server that has only dj-rest-auth, with these options."""
    mount = Mount("/", replace(handlers.DIALECTS[NAME].options, **options))
    return replace(settings, dialects={NAME: mount})
