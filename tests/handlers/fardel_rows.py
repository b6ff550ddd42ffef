"""What most tests of fardel begin with: one account, its tokens, and what it says of itself."""

from tests.handlers.contract import Row

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
    """Return the header that brings a token: `bearer("<access>")` brings SIGN_UP's."""
    return {"Authorization": f"Bearer {name}"}


def hands_out(said: str, access: str, refresh: str) -> dict[str, str]:
    return {"message": said, "access_token": access, "refresh_token": refresh}


def register(fields, access="<access = 40 hex>", refresh="<refresh = 40 hex>") -> Row:
    return Row(REGISTER, fields, 200, hands_out("Successfully registered", access, refresh))


def log_in(fields=ADA, access="<access>", refresh="<refresh>") -> Row:
    return Row(LOGIN, fields, 200, hands_out("Successfully logined", access, refresh))


def renew(name: str, refresh: str = "<refresh>") -> Row:
    """Have a new access token made, and call it so."""
    return Row(REFRESH, None, 200, {"access_token": f"<{name} = 40 hex>"}, bearer(refresh))


def log_out(access: str = "<access>") -> Row:
    return Row(LOGOUT, None, 200, message("Access token has been revoked"), bearer(access))


def log_out_refresh(refresh: str = "<refresh>") -> Row:
    said = message("Refresh token has been revoked")
    return Row(LOGOUT_REFRESH, None, 200, said, bearer(refresh))


def user(**changed) -> dict[str, object]:
    """Return how the account of SIGN_UP is shown."""
    fields = {"id": 1, "first_name": None, "last_name": None, "email": "ada@example.com"}
    return {**fields, **changed}


def shows(access: str = "<access>", **changed) -> Row:
    return Row(SHOW, None, 200, {"user": user(**changed)}, bearer(access))


def shows_not(answer, access: str = "<access>", status: int = 401) -> Row:
    return Row(SHOW, None, status, answer, bearer(access))


def updated(fields, access: str = "<access>", **changed) -> Row:
    answer = {"message": "Profile successfully updated", "user": user(**changed)}
    return Row(UPDATE, fields, 200, answer, bearer(access))


def new_password(fields, access: str = "<access>", **changed) -> Row:
    """Change the password, which answers <new access> and <new refresh>."""
    row = updated(fields, access, **changed)
    row.answer["access_token"] = "<new access = 40 hex>"
    row.answer["refresh_token"] = "<new refresh = 40 hex>"
    return row


def not_updated(status: int, answer, fields, access: str = "<access>") -> Row:
    return Row(UPDATE, fields, status, answer, bearer(access))


def nothing_updated(fields, access: str = "<access>") -> Row:
    return not_updated(204, None, fields, access)


SIGN_UP = register(ADA)
LOG_IN = log_in()
