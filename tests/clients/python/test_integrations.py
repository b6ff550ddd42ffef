"""What the integrations of latchkey-client offer besides the examples of the documentation."""

import json
from contextlib import closing
from typing import Annotated, Any

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from fastapi import Depends, FastAPI, WebSocket
from flask import Flask
from starlette.requests import HTTPConnection

from latchkey_client import Identity
from latchkey_client import aiohttp as latchkey_aiohttp
from latchkey_client.flask import Latchkey as FlaskLatchkey
from latchkey_client.starlette import Latchkey as StarletteLatchkey
from tests.clients.python.conftest import Latchkey
from tests.clients.python.stranger import Stranger

UNKNOWN = "0123456789abcdef" * 4
MIKA = {"X_Account_Id": "7", "X_Account_Username": "mika"}


def header(token: str) -> dict[str, str]:
    return {"Authorization": f"Token {token}"}


def test_views_of_flask(latchkey: Latchkey):
    app, extension = Flask(__name__), FlaskLatchkey()
    app.config["LATCHKEY_URL"] = latchkey.url
    extension.init_app(app)

    @app.get("/open")
    def open_view() -> dict[str, object]:
        return {"id": extension.identity and extension.identity.id}

    @app.get("/closed/<name>")
    @extension.required
    def closed_view(name: str) -> str:
        return name

    token, account_id = latchkey.sign_up("flask")
    client = app.test_client()
    assert client.get("/open", headers=header(token)).json == {"id": account_id}
    assert client.get("/open").json == {"id": None}
    assert client.get("/open", headers=header(UNKNOWN)).json == {"id": None}
    assert client.get("/closed/x", headers=header(token)).text == "x"
    response = client.get("/closed/x")
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")
    with latchkey.without_redis():
        assert client.get("/open", headers=header(token)).status_code == 503
    app.extensions["latchkey"].close()


def test_flask_authenticates_each_request_once():
    """Requests share a context of the application in tests and commands, but no caller."""
    app = Flask(__name__)
    with closing(Stranger(200, **MIKA)) as stranger:
        app.config["LATCHKEY_URL"] = stranger.url
        extension = FlaskLatchkey(app)
        with app.app_context():
            for expected in (1, 2):
                with app.test_request_context(headers=header(UNKNOWN)):
                    assert extension.caller is extension.caller
                    assert stranger.requests == expected
            with app.test_request_context():
                assert extension.identity is None
        app.extensions["latchkey"].close()


async def test_starlette_without_and_with_a_lifespan(latchkey: Latchkey):
    extension = StarletteLatchkey(latchkey.url)
    token, account_id = latchkey.sign_up("starlette")
    with_token = HTTPConnection(
        {"type": "http", "headers": [(b"authorization", f"Token {token}".encode())]}
    )
    without = HTTPConnection({"type": "http", "headers": []})
    with pytest.raises(RuntimeError, match="lifespan"):
        await extension.optional(without)
    for _ in range(2):
        async with extension.lifespan(None):
            assert await extension.optional(without) is None
            assert (await extension.required(with_token)).id == account_id
    with pytest.raises(RuntimeError, match="closed"):
        await extension.optional(with_token)


async def test_endpoints_and_web_sockets_of_fastapi(latchkey: Latchkey):
    extension = StarletteLatchkey(latchkey.url)
    app = FastAPI(lifespan=extension.lifespan)

    @app.get("/open")
    async def open_endpoint(
        caller: Annotated[Identity | None, Depends(extension.optional)],
    ) -> dict[str, object]:
        return {"id": caller and caller.id}

    @app.get("/closed", dependencies=[Depends(extension.required)])
    async def closed_endpoint() -> str:
        return "in"

    @app.websocket("/talk")
    async def talk(
        socket: WebSocket, caller: Annotated[Identity, Depends(extension.required)]
    ) -> None:
        await socket.accept()
        await socket.send_json({"id": caller.id})
        await socket.close()

    token, account_id = latchkey.sign_up("fastapi")
    transport = httpx.ASGITransport(app)
    async with (
        extension.lifespan(app),
        httpx.AsyncClient(transport=transport, base_url="http://app") as client,
    ):
        response = await client.get("/open", headers=header(token))
        assert response.json() == {"id": account_id}
        assert (await client.get("/open")).json() == {"id": None}
        assert (await client.get("/open", headers=header(UNKNOWN))).json() == {"id": None}
        assert (await client.get("/closed", headers=header(token))).json() == "in"
        response = await client.get("/closed", headers=header(UNKNOWN))
        assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")
        accepted = await open_socket(app, f"Token {token}")
        assert [each["type"] for each in accepted] == [
            "websocket.accept",
            "websocket.send",
            "websocket.close",
        ]
        assert json.loads(accepted[1]["text"]) == {"id": account_id}
        refused = await open_socket(app, f"Token {UNKNOWN}")
        assert refused[0]["status"] == 401


async def open_socket(app: FastAPI, authorization: str) -> list[dict[str, Any]]:
    """Open a WebSocket; return what the application sends."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    headers = [(b"authorization", authorization.encode())]
    scope = {"type": "websocket", "path": "/talk", "query_string": b"", "headers": headers}
    await app(scope, receive, send)
    return sent


async def test_aiohttp_with_an_application_in_it(latchkey: Latchkey):
    async def open_handler(request: web.Request) -> web.Response:
        caller = latchkey_aiohttp.optional(request)
        return web.json_response({"id": caller and caller.id})

    async def closed_handler(request: web.Request) -> web.Response:
        return web.json_response({"id": latchkey_aiohttp.required(request).id})

    inner, app = web.Application(), web.Application()
    for each in (inner, app):
        each.add_routes([web.get("/open", open_handler), web.get("/closed", closed_handler)])
    latchkey_aiohttp.setup(app, latchkey.url)
    app.add_subapp("/inner", inner)
    token, account_id = latchkey.sign_up("aiohttp")
    async with TestClient(TestServer(app)) as client:
        for path in ("", "/inner"):
            for name in ("open", "closed"):
                response = await client.get(f"{path}/{name}", headers=header(token))
                assert await response.json() == {"id": account_id}
            for headers in ({}, header(UNKNOWN), {"Authorization": "Token"}):
                response = await client.get(f"{path}/open", headers=headers)
                assert await response.json() == {"id": None}
                response = await client.get(f"{path}/closed", headers=headers)
                assert (response.status, response.headers["WWW-Authenticate"]) == (401, "Bearer")
