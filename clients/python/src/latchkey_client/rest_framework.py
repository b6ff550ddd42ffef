"""Django REST framework: an authentication class. The settings are those of the module `django`."""

from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, AuthenticationFailed
from rest_framework.request import Request

from latchkey_client.django import client, user_of
from latchkey_client.errors import Unavailable
from latchkey_client.identity import Identity, token_of


class ServiceUnavailable(APIException):
    """A 503; `wait` becomes Retry-After, as for a throttled request."""

    status_code = 503
    default_detail = "Service temporarily unavailable."

    def __init__(self, error: Unavailable) -> None:
        super().__init__()
        self.wait = error.retry_after


class LatchkeyAuthentication(BaseAuthentication):
    """Authenticates `Authorization: Token` and `Bearer`; `request.auth` is the `Identity`."""

    def authenticate(self, request: Request) -> tuple[Any, Identity] | None:
        """Return the user, None without a token, so that another class may authenticate it."""
        token = token_of(request.headers.get("Authorization"))
        if token is None:
            return None
        try:
            identity = client().authenticate(token)
        except Unavailable as error:
            raise ServiceUnavailable(error) from None
        user = user_of(identity) if identity else None
        if not identity or not user:
            raise AuthenticationFailed("Invalid token.")
        return user, identity

    def authenticate_header(self, request: Request) -> str:
        """Return the WWW-Authenticate of a 401, without which it would be a 403."""
        return "Token"
