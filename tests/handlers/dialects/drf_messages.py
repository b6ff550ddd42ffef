"""The messages of Django REST framework, which wicare, lumotist and kust use."""

REQUIRED = ["This field is required."]
BLANK = ["This field may not be blank."]
NULL = ["This field may not be null."]
NOT_A_STRING = ["Not a valid string."]
INVALID_EMAIL = ["Enter a valid email address."]

CANNOT_LOG_IN = {"non_field_errors": ["Unable to log in with provided credentials."]}

CHALLENGE = {"WWW-Authenticate": "Token"}
MISSING_TOKEN = {"detail": "Authentication credentials were not provided."}
INVALID_TOKEN = {"detail": "Invalid token."}
NO_CREDENTIALS = {"detail": "Invalid token header. No credentials provided."}
SPACES = {"detail": "Invalid token header. Token string should not contain spaces."}
INACTIVE = {"detail": "User inactive or deleted."}

NOT_FOUND = {"detail": "Not found."}


def too_long(limit: int) -> list[str]:
    return [f"Ensure this field has no more than {limit} characters."]


def not_an_object(kind: str) -> dict[str, list[str]]:
    return {"non_field_errors": [f"Invalid data. Expected a dictionary, but got {kind}."]}


def not_allowed(method: str) -> dict[str, str]:
    return {"detail": f'Method "{method}" not allowed.'}


def wrong_media_type(kind: str) -> dict[str, str]:
    return {"detail": f'Unsupported media type "{kind}" in request.'}
