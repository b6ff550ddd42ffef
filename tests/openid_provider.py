"""An OpenID provider on this machine: keys, a discovery document, a JWKS and ID tokens."""

import base64
import io
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import jwt
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from store.identity import Provider

CLIENT_ID = "com.example.app"
OTHER_CLIENT_ID = "app.example"
NONCE = "n-0S6_WzA2Mj"

Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_key(algorithm: str = "RS256", *, bits: int = 2048) -> Any:
    """Return a new private key for an algorithm."""
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def jwk_of(key: Any, key_id: str, algorithm: str) -> dict[str, Any]:
    """Return the public part of a key, as a provider publishes it."""
    of = jwt.algorithms.get_default_algorithms()[algorithm]
    jwk = json.loads(of.to_jwk(key.public_key()))
    return {**jwk, "kid": key_id, "alg": algorithm, "use": "sig"}


def encode(part: Any) -> str:
    """Return a part of a token."""
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class OpenIdProvider:
    """A provider; `discovery` and `jwks` replace what it responds with."""

    def __init__(self, name: str = "example") -> None:
        self.name = name
        self.issuer = ""
        self.keys: dict[str, tuple[Any, str]] = {"key 1": (make_key(), "RS256")}
        self.discovery: Respond | None = None
        self.jwks: Respond | None = None
        self.padding: dict[str, int] = {}
        """How much white space a document begins with, in bytes."""
        self.requests: list[str] = []
        self.tokens = 0
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self._discovery)
        app.router.add_get("/jwks", self._jwks)
        app.router.add_get("/elsewhere", self._genuine_jwks)
        self._server = TestServer(app)

    async def __aenter__(self) -> "OpenIdProvider":
        await self._server.start_server()
        self.issuer = str(self._server.make_url("/")).rstrip("/")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()

    @property
    def setting(self) -> Provider:
        """What OIDC_PROVIDERS has for it."""
        return Provider(self.name, self.issuer, (CLIENT_ID, OTHER_CLIENT_ID))

    def rotate(self, key_id: str, algorithm: str = "RS256") -> None:
        """Publish another key, and no other any more."""
        self.keys = {key_id: (make_key(algorithm), algorithm)}

    def public_keys(self) -> list[dict[str, Any]]:
        """Return the keys of the JWKS."""
        return [jwk_of(key, key_id, algorithm) for key_id, (key, algorithm) in self.keys.items()]

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Return the claims of a token: another nonce each time. A change to None removes one."""
        self.tokens += 1
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "sub": "248289761001",
            "iat": now,
            "exp": now + 600,
            "nonce": f"{NONCE} {self.tokens}",
            **changed,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def sign(self, claims: Any, key_id: str = "", header: dict[str, Any] | None = None) -> str:
        """Return a token with these claims, by the newest key or that of this id."""
        key_id = key_id or list(self.keys)[-1]
        key, algorithm = self.keys[key_id]
        return jwt.encode(claims, key, algorithm, {"kid": key_id, **(header or {})})

    def request(self, **changed: Any) -> dict[str, str]:
        """Return the fields of a request with a genuine token."""
        claims = self.claims(**changed)
        nonce = str(claims.get("nonce", NONCE))
        return {"provider": self.name, "id_token": self.sign(claims), "nonce": nonce}

    async def _discovery(self, request: web.Request) -> web.StreamResponse:
        self.requests.append("discovery")
        if self.discovery:
            return await self.discovery(request)
        document = {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/jwks"}
        return self._document("discovery", document)

    async def _jwks(self, request: web.Request) -> web.StreamResponse:
        self.requests.append("jwks")
        return await (self.jwks or self._genuine_jwks)(request)

    async def _genuine_jwks(self, _: web.Request) -> web.StreamResponse:
        return self._document("jwks", {"keys": self.public_keys()})

    def _document(self, name: str, document: Any) -> web.Response:
        body = b" " * self.padding.get(name, 0) + json.dumps(document).encode()
        return web.Response(body=io.BytesIO(body), content_type="application/json")
