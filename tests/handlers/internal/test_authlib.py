"""POST /internal/introspect as authlib's client of RFC 7662 uses it, which is not ours."""

import asyncio
import time
from typing import Any

import pytest
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc6750 import InvalidTokenError
from authlib.oauth2.rfc7662 import IntrospectTokenValidator

from tests.handlers.internal.keys import KEYS, NAMES, Scope
from tests.handlers.internal.test_introspection import INTROSPECT, log_in


class Validator(IntrospectTokenValidator):
    """What a resource server has with authlib: it asks who introspects, and judges the answer."""

    def __init__(self, url: str, *, with_bearer: bool) -> None:
        super().__init__()
        self._url = url
        name, key = NAMES[Scope.INTROSPECT], KEYS[Scope.INTROSPECT]
        bearer = {"access_token": key, "token_type": "Bearer"}
        self._session = OAuth2Session(name, key, token=bearer)
        self._auth = self._session.token_auth if with_bearer else None  # None: client credentials

    def introspect_token(self, token_string: str) -> Any:
        response = self._session.introspect_token(
            self._url, token_string, "access_token", auth=self._auth
        )
        response.raise_for_status()
        return response.json()

    def judge(self, token_string: str) -> Any:
        """Return what the token is, as ResourceProtector does. Raises InvalidTokenError."""
        token = self.authenticate_token(token_string)
        self.validate_token(token, [], None)
        return token


@pytest.fixture(params=[True, False], ids=["bearer", "client credentials"])
def validator(client, request) -> Validator:
    return Validator(str(client.make_url(INTROSPECT)), with_bearer=request.param)


async def test_a_live_token_is_accepted(client, validator):
    token = await log_in(client)
    found = await asyncio.to_thread(validator.judge, token)
    assert (found["sub"], found["username"], found["token_type"]) == ("1", "mika", "Bearer")
    assert found["iat"] <= time.time() < found["exp"]


async def test_after_a_logout_it_is_refused(client, validator):
    token = await log_in(client)
    headers = {"Authorization": f"Token {token}"}
    async with client.post("/kust/auth/token/logout/", headers=headers) as response:
        assert response.status == 204
    with pytest.raises(InvalidTokenError):
        await asyncio.to_thread(validator.judge, token)


async def test_a_token_that_nobody_made_is_refused(client, validator):
    for token in ("x", "0" * 40):
        with pytest.raises(InvalidTokenError):
            await asyncio.to_thread(validator.judge, token)
