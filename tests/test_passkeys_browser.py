"""Passkeys in a real browser with a virtual authenticator (Chromium's WebAuthn domain)."""

import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pyotp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer, unused_port
from playwright.async_api import CDPSession, Page, async_playwright

from app import CORE, create_app
from tests.conftest import Server
from tests.handlers.dialects.latchkey_rows import ADA, PASSWORD
from tests.test_docs_browser import ARGUMENTS

CHROMIUM = shutil.which("chromium")
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}
CREATE = """async options => (await navigator.credentials.create(
    {publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options)})).toJSON()"""
GET = """async options => (await navigator.credentials.get(
    {publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options)})).toJSON()"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed"),
]


class Device:
    """A browser with an authenticator, at a page of the server, where ada is logged in."""

    def __init__(self, client: TestClient, page: Page, protocol: CDPSession, token: str) -> None:
        self.client, self.page, self.protocol = client, page, protocol
        self.authenticator = ""
        self.headers = {"Authorization": f"Bearer {token}"}

    async def post(self, path: str, **fields: Any) -> tuple[int, Any]:
        response = await self.client.post(path, json=fields, headers=self.headers)
        return response.status, await response.json() if response.status != 204 else None

    async def add(self, name: str = "Laptop") -> tuple[int, Any]:
        """Make a passkey and send it."""
        return await self.post("/v1/account/passkeys", name=name, credential=await self.make())

    async def make(self) -> Any:
        status, options = await self.post("/v1/account/passkeys/options")
        assert status == 200, options
        return await self.page.evaluate(CREATE, options)

    async def sign(self, **changes: Any) -> Any:
        """Have a login's challenge signed."""
        status, options = await self.post("/v1/sessions/passkey/options")
        assert status == 200, options
        return await self.page.evaluate(GET, {**options, **changes})

    async def log_in(self, credential: Any = None) -> tuple[int, Any]:
        credential = credential or await self.sign()
        return await self.post("/v1/sessions/passkey", credential=credential, device="Laptop")

    async def ask(self, command: str, **more: Any) -> Any:
        """Run a command of the authenticator."""
        return await self.protocol.send(
            f"WebAuthn.{command}", {"authenticatorId": self.authenticator, **more}
        )

    async def set_counter(self, count: int) -> None:
        """Have the authenticator's only credential begin to count again, as a copy of it would."""
        [credential] = (await self.ask("getCredentials"))["credentials"]
        await self.ask("removeCredential", credentialId=credential["credentialId"])
        await self.ask("addCredential", credential={**credential, "signCount": count})


@pytest.fixture
async def device(settings, clean) -> AsyncIterator[Device]:
    port = unused_port()
    origins = (f"http://localhost:{port}",)
    app = create_app(replace(settings, passkey_origins=origins))
    async with TestClient(Server(app, port=port)) as client, async_playwright() as driver:
        registered = await client.post("/v1/accounts", json=ADA)
        token = (await registered.json())["token"]
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = await browser.new_page()
        await page.goto(f"{origins[0]}/ui/verify-email")
        protocol = await page.context.new_cdp_session(page)
        found = Device(client, page, protocol, token)
        await protocol.send("WebAuthn.enable")
        made = await protocol.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
        found.authenticator = made["authenticatorId"]
        yield found
        await browser.close()


async def test_a_passkey_logs_in_without_a_name_and_is_removed(device):
    status, passkey = await device.add("Ada's laptop")
    assert status == 201, passkey
    assert (passkey["name"], passkey["last_used"]) == ("Ada's laptop", None)
    status, told = await device.log_in()
    assert status == 201, told
    assert told["account"]["username"] == "ada"
    assert told["session"]["device"] == "Laptop"
    response = await device.client.get("/v1/account/factors", headers=device.headers)
    [listed] = (await response.json())["passkeys"]
    assert listed == {**passkey, "last_used": listed["last_used"]}
    assert listed["last_used"]
    path = f"/v1/account/passkeys/{passkey['id']}"
    assert (await device.client.delete(path, headers=device.headers)).status == 204
    assert (await device.client.delete(path, headers=device.headers)).status == 404
    status, told = await device.log_in()
    assert (status, told["code"]) == (401, "invalid_credentials")


async def test_one_authenticator_has_one_passkey_of_an_account(device):
    assert (await device.add())[0] == 201
    _, options = await device.post("/v1/account/passkeys/options")
    assert len(options["excludeCredentials"]) == 1
    failed = await device.page.evaluate(
        "options => navigator.credentials.create({publicKey: "
        "PublicKeyCredential.parseCreationOptionsFromJSON(options)}).catch(error => error.name)",
        options,
    )
    assert failed == "InvalidStateError"


async def test_a_signature_works_once(device):
    await device.add()
    credential = await device.sign()
    assert (await device.log_in(credential))[0] == 201
    status, told = await device.log_in(credential)
    assert (status, told["code"]) == (401, "challenge_invalid")


async def test_a_registration_works_once(device):
    made = await device.make()
    assert (await device.post("/v1/account/passkeys", name="a", credential=made))[0] == 201
    status, told = await device.post("/v1/account/passkeys", name="a", credential=made)
    assert (status, told["errors"][0]["field"]) == (422, "credential")


async def test_an_authenticator_that_was_cloned_is_refused(device, caplog):
    await device.add()
    for _ in range(3):
        assert (await device.log_in())[0] == 201
    await device.set_counter(1)
    status, told = await device.log_in()
    assert (status, told["code"]) == (401, "invalid_credentials")
    assert "may have been cloned" in caplog.text


async def test_an_authenticator_that_did_not_verify_its_user_is_refused(device):
    await device.add()
    await device.ask("setUserVerified", isUserVerified=False)
    credential = await device.sign(userVerification="discouraged")
    status, told = await device.log_in(credential)
    assert (status, told["code"]) == (401, "invalid_credentials")


async def test_a_page_of_another_origin_is_refused(device):
    """Of the same domain, so that the browser lets it use the passkeys."""
    await device.add()

    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<title>other</title>", content_type="text/html")

    other = web.Application()
    other.router.add_get("/", page)
    async with TestServer(other) as server:
        await device.page.goto(f"http://localhost:{server.port}/")
        status, told = await device.log_in()
        assert (status, told["code"]) == (401, "invalid_credentials")
        await device.ask("clearCredentials")
        status, told = await device.add("other")
        assert (status, told["errors"][0]["field"]) == (422, "credential")


async def test_a_challenge_of_another_account_or_purpose_is_refused(device):
    await device.add()
    other = {"username": "bob", "password": PASSWORD}
    bob = (await (await device.client.post("/v1/accounts", json=other)).json())["token"]
    ada = device.headers
    made = await device.sign()
    assert (await device.post("/v1/account/passkeys", name="a", credential=made))[0] == 422
    device.headers = {"Authorization": f"Bearer {bob}"}
    made = await device.make()
    device.headers = ada
    assert (await device.post("/v1/account/passkeys", name="a", credential=made))[0] == 422
    status, told = await device.log_in(made)
    assert (status, told["code"]) == (401, "challenge_invalid")


async def test_a_disabled_account_logs_in_no_more(device):
    await device.add()
    await device.client.server.app[CORE].accounts.change(1, {"is_active": False})
    status, told = await device.log_in()
    assert (status, told["code"]) == (403, "account_disabled")


async def test_a_second_factor_is_not_asked_for(device):
    """A passkey with user verification is two factors: the device, and a finger or a PIN."""
    _, told = await device.post("/v1/account/totp", password=PASSWORD)
    code = pyotp.TOTP(told["secret"]).now()
    assert (await device.post("/v1/account/totp/confirm", code=code))[0] == 200
    await device.add()
    assert (await device.log_in())[0] == 201
