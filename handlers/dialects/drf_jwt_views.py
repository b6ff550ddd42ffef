"""simplejwt's four views, shared by the dialects that have them.

Contract: docs/contracts/simplejwt.md. A dialect declares the endpoints and calls the views.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from handlers import logins
from handlers.app_keys import JWTS
from handlers.dialects import drf, drf_jwt
from handlers.dialects.drf import NON_FIELD, InvalidFields, Text, read_data, read_fields
from handlers.dialects.drf_jwt import JwtError, JwtOptions, field_error, is_deleted
from handlers.http.response import Response, json_response
from store.account import Account, Login
from store.errors import BadCredentials, BadToken, EmailNotVerified, Inactive, TokenProblem
from store.jwt_sessions import JwtPair, JwtRules
from store.session_record import SessionSpec


@dataclass(frozen=True, slots=True)
class JwtViews:
    """simplejwt's four views, for a dialect and the options of its mount.

    They look at no Authorization header. `log_in` and `renew` are what the first two do, for
    dialects whose fields or responses differ.
    """

    dialect: str
    options_key: web.AppKey[Any]

    @property
    def spec(self) -> SessionSpec:
        """The session that a login opens: one more each time."""
        return JwtOptions().jwt_rules(self.dialect).spec

    def options(self, request: web.Request) -> JwtOptions:
        """Return the options of the mount."""
        options: JwtOptions = request.app[self.options_key]
        return options

    def rules(self, request: web.Request) -> JwtRules:
        """Return the rules of the mount's sessions."""
        return self.options(request).jwt_rules(self.dialect)

    async def create(self, request: web.Request, login: str, *, trim: bool = True) -> Response:
        """Log in by a name and a password; return a pair of tokens.

        `login` says what the name may be: username, email or either. Raises JwtError.
        """
        data = await read_data(request)
        name, password = read_credentials(data, login, trim=trim)
        _, pair = await self.log_in(request, name, password, data)
        return json_response({"refresh": pair.refresh, "access": pair.access})

    async def refresh(self, request: web.Request) -> Response:
        """Return a new access token, and the next refresh token if they rotate. Raises JwtError."""
        [token] = read_fields(await read_data(request), Text("refresh"))
        _, pair = await self.renew(request, token)
        content = {"access": pair.access}
        if self.options(request).rotate_refresh_tokens:
            content["refresh"] = pair.refresh
        return json_response(content)

    async def verify(self, request: web.Request) -> Response:
        """Return an empty object for a token of either kind that is valid. Raises JwtError."""
        [token] = read_fields(await read_data(request), Text("token"))
        try:
            await request.app[JWTS].verify(self.rules(request), token)
        except BadToken as error:
            if error.problem is TokenProblem.REVOKED:
                raise InvalidFields({NON_FIELD: [drf_jwt.BLACKLISTED]}) from None
            raise field_error(error, self.options(request).challenge) from None
        return json_response({})

    async def blacklist(self, request: web.Request) -> Response:
        """End the session of a refresh token. Raises JwtError."""
        [token] = read_fields(await read_data(request), Text("refresh"))
        await self.end(request, token)
        return json_response({})

    async def log_in(
        self, request: web.Request, login: Login, password: str, data: Mapping[str, Any]
    ) -> tuple[Account, JwtPair]:
        """Return the account of credentials, and the tokens of a new session.

        `data` are the fields of the body. Raises JwtError.
        """
        rules = self.rules(request)
        try:
            account, [issued] = await logins.log_in(request, login, password, [rules.spec], data)
        except (BadCredentials, Inactive, EmailNotVerified) as error:
            content = {"detail": drf_jwt.WRONG_CREDENTIALS}
            raise JwtError(error.code, content, self.options(request).challenge) from None
        return account, request.app[JWTS].pair(rules, account, issued)

    async def renew(self, request: web.Request, token: str) -> tuple[Account, JwtPair]:
        """Return the account of a refresh token, and new tokens. Raises JwtError."""
        try:
            return await request.app[JWTS].refresh(self.rules(request), token)
        except BadToken as error:
            if error.problem is TokenProblem.REVOKED and await is_deleted(request, token):
                error = BadToken(TokenProblem.INACTIVE)
            raise field_error(error, self.options(request).challenge) from None

    async def end(self, request: web.Request, token: str) -> None:
        """End the session of a refresh token. Raises JwtError."""
        try:
            await request.app[JWTS].end(self.rules(request), token)
        except BadToken as error:
            raise field_error(error, self.options(request).challenge) from None


def read_credentials(
    data: Mapping[str, Any], login: str, *, trim: bool = True
) -> tuple[Login, str]:
    """Return the name and the password of a login. Raises InvalidFields.

    `login` says what the name may be, and names its field: username or email, either of both.
    """
    by_email = login == "email" or (
        login == "either" and "username" not in data and "email" in data
    )
    name = Text("email" if by_email else "username")
    text, password = read_fields(data, name, Text("password", trim=trim))
    return drf.login_name(text, login), password
