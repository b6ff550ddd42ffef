"""Passkeys on the account page, with a virtual authenticator and the keyboard alone."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from settings import Settings
from store import fresh_sessions
from store.limits import parse_limit
from tests.test_passkeys_browser import AUTHENTICATOR
from tests.ui.site import (
    NEEDS_CHROMIUM,
    PASSWORD,
    Keyboard,
    Site,
    check_access,
    visit,
)
from tests.ui.test_account_page import (
    OUTAGES,
    Outage,
    alert,
    each_look,
    field,
    heading,
    outcome,
    sign_in,
)

pytestmark = NEEDS_CHROMIUM

CANCELLED = "It was cancelled, or took too long. Try again."
EXISTS = "This device has a passkey for your account already."
NOT_HERE = "Passkeys cannot be used in this browser, or at this address."
REFUSED = "This passkey was not accepted. Try again."
UNKNOWN = "This passkey is not valid any more. Sign in with your password."
SIGN_IN = "Sign in with a passkey"


@pytest.fixture
def ui_settings(settings: Settings, proxy_port: int) -> Settings:
    limit = parse_limit("1000 per hour")
    origins = (f"http://localhost:{proxy_port}", f"android:apk-key-hash:{'A' * 43}")
    return replace(settings, rate_limits="on", mail_limit=limit, passkey_origins=origins)


@pytest.fixture
def old_logins(monkeypatch: Any) -> None:
    """Every session was opened too long ago to be fresh, and has to be confirmed."""
    monkeypatch.setattr(fresh_sessions, "_KIND", "none")


class Authenticator:
    """The virtual authenticator of a page."""

    def __init__(self, protocol: Any, name: str) -> None:
        self._protocol, self._name = protocol, name

    async def ask(self, command: str, **more: Any) -> Any:
        """Run a command of it."""
        name = {"authenticatorId": self._name}
        return await self._protocol.send(f"WebAuthn.{command}", {**name, **more})

    async def count(self) -> int:
        """Return how many passkeys it has."""
        return len((await self.ask("getCredentials"))["credentials"])


@contextlib.asynccontextmanager
async def device(
    site: Site, browser: Browser, *look: Any, **more: Any
) -> AsyncIterator[tuple[Page, Authenticator]]:
    """Open the account page at the address that passkeys are for, in a browser that has some."""
    url = site.account.replace("127.0.0.1", "localhost")
    async with visit(browser, url, *look, **more) as page:
        protocol = await page.context.new_cdp_session(page)
        await protocol.send("WebAuthn.enable")
        made = await protocol.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
        yield page, Authenticator(protocol, made["authenticatorId"])


async def add(keys: Keyboard, name: str = "") -> None:
    """Press "Add a passkey", give it a name, and continue."""
    await keys.press("Add a passkey")
    await expect(field(keys.page, "Name of the passkey")).to_be_focused()
    if name:
        await keys.type("Name of the passkey", name)
    await keys.page.keyboard.press("Enter")


async def refuse(page: Page, method: str, error: str) -> None:
    """Have the browser refuse what the page asks for, as if its user had cancelled it."""
    await page.evaluate(
        f"""() => {{
            const error = new DOMException("", "{error}");
            navigator.credentials.{method} = () => Promise.reject(error);
        }}"""
    )


@each_look
async def test_a_passkey_is_added_signs_in_and_is_removed(
    site: Site, browser: Browser, size, scheme
):
    await site.register()
    async with device(site, browser, size, scheme, troubles=1) as (page, authenticator):
        await check_access(page)
        keys = await sign_in(page)
        await keys.press("Security")
        await keys.press("Add a passkey")
        dialog = page.get_by_role("dialog")
        await expect(field(page, "Name of the passkey")).to_have_value("Chrome, Linux")
        await check_access(page)
        await keys.type("Name of the passkey", "My <b>laptop</b>")
        await page.keyboard.press("Enter")
        await outcome(page).to_have_text("My <b>laptop</b> is added. You can now sign in with it.")
        await expect(dialog).to_have_count(0)
        await expect(page.get_by_role("button", name="Add a passkey")).to_be_focused()
        item = page.get_by_role("listitem").filter(has_text="My <b>laptop</b>")
        await expect(item).to_contain_text("Never used · added ")
        await check_access(page)
        await keys.press("Sign out")
        await heading(page, "Sign in")
        await keys.press("Stay signed in on this device", "Space")
        await keys.press(SIGN_IN)
        await heading(page, "Profile")
        assert await page.evaluate("localStorage.length") == 1
        await keys.press("Security")
        await expect(item).to_contain_text("Last used ")
        await keys.press("Remove: My <b>laptop</b>")
        await expect(dialog).to_contain_text("Nobody can sign in with My <b>laptop</b> any more.")
        await check_access(page)
        await keys.press("Remove")
        await outcome(page).to_have_text("My <b>laptop</b> is removed.")
        await expect(item).to_have_count(0)
        await expect(page.get_by_role("button", name="Add a passkey")).to_be_focused()
        await keys.press("Sign out")
        assert await authenticator.count() == 1  # which the server does not know any more
        await keys.press(SIGN_IN)
        await alert(page).to_have_text(UNKNOWN)
        await check_access(page)


async def test_a_user_cancels(site: Site, browser: Browser):
    await site.register()
    async with device(site, browser) as (page, authenticator):
        await refuse(page, "get", "NotAllowedError")
        keys = Keyboard(page)
        await keys.press(SIGN_IN)
        await alert(page).to_have_text(CANCELLED)
        await sign_in(page)
        await keys.press("Security")
        for error, text in (("NotAllowedError", CANCELLED), ("ConstraintError", "needs a PIN")):
            await refuse(page, "create", error)
            await add(keys, "Mine")
            await alert(page).to_contain_text(text)
            await expect(field(page, "Name of the passkey")).to_have_value("Mine")
            await check_access(page)
            await page.keyboard.press("Escape")
            await expect(page.get_by_role("button", name="Add a passkey")).to_be_focused()
        await page.evaluate("delete navigator.credentials.create")
        await add(keys)
        await outcome(page).to_have_text("Chrome, Linux is added. You can now sign in with it.")
        await keys.press("Remove: Chrome, Linux")
        await keys.press("Cancel")
        await expect(page.get_by_role("button", name="Remove: Chrome, Linux")).to_be_focused()
        assert await authenticator.count() == 1


async def test_an_authenticator_that_does_not_answer_is_given_up(site: Site, browser: Browser):
    """Closing the dialog ends the request, so that nothing is added afterwards."""
    await site.register()
    async with device(site, browser) as (page, authenticator):
        keys = await sign_in(page)
        await keys.press("Security")
        await authenticator.ask("setAutomaticPresenceSimulation", enabled=False)
        await add(keys)
        await expect(page.get_by_role("button", name="Continue")).to_be_disabled()
        await page.keyboard.press("Escape")
        await authenticator.ask("setAutomaticPresenceSimulation", enabled=True)
        await add(keys, "second")
        await outcome(page).to_have_text("second is added. You can now sign in with it.")
        await expect(page.get_by_role("listitem").filter(has_text="Never used")).to_have_count(1)


async def test_a_device_has_one_passkey(site: Site, browser: Browser):
    await site.register()
    async with device(site, browser) as (page, _):
        keys = await sign_in(page)
        await keys.press("Security")
        await add(keys)
        await outcome(page).to_contain_text("You can now sign in with it.")
        await add(keys)
        await alert(page).to_have_text(EXISTS)


@each_look
async def test_a_session_that_is_not_fresh(site: Site, browser: Browser, old_logins, size, scheme):
    """The password is asked for once, for adding and removing within the next ten minutes."""
    await site.register()
    async with device(site, browser, size, scheme, troubles=3) as (page, authenticator):
        keys = await sign_in(page)
        await keys.press("Security")
        await add(keys, "Mine")
        dialog = page.get_by_role("dialog", name="Enter your password")
        password = dialog.get_by_label("Password", exact=True)
        await expect(password).to_be_focused()
        await check_access(page)
        await page.keyboard.press("Escape")
        await expect(dialog).to_have_count(0)
        assert await authenticator.count() == 0
        await expect(field(page, "Name of the passkey")).to_have_value("Mine")
        await keys.press("Continue")
        await expect(password).to_be_focused()
        await page.keyboard.type("wrong")
        await page.keyboard.press("Enter")
        await alert(page).to_have_text("This password is wrong.")
        await check_access(page)
        await page.keyboard.press("Control+a")
        await page.keyboard.type(PASSWORD)
        await page.keyboard.press("Enter")
        await outcome(page).to_have_text("Mine is added. You can now sign in with it.")
        await keys.press("Remove: Mine")
        await keys.press("Remove")
        await outcome(page).to_have_text("Mine is removed.")


async def test_a_session_that_is_not_fresh_with_a_second_factor(
    site: Site, browser: Browser, old_logins
):
    token = await site.register()
    async with device(site, browser, troubles=4) as (page, _):
        keys = await sign_in(page)
        code, *_ = await site.require_code(token)
        await keys.press("Security")
        await add(keys, "Mine")
        dialog = page.get_by_role("dialog", name="Enter your password")
        await expect(dialog.get_by_label("Password", exact=True)).to_be_focused()
        await expect(dialog.get_by_label("Code")).to_be_hidden()
        await page.keyboard.type(PASSWORD)
        await page.keyboard.press("Enter")
        await expect(dialog.get_by_label("Code")).to_be_focused()
        await check_access(page)
        await page.keyboard.type("000000")
        await page.keyboard.press("Enter")
        await alert(page).to_have_text("This code is wrong, or was used before.")
        await page.keyboard.press("Control+a")
        await page.keyboard.type(code)
        await page.keyboard.press("Enter")
        await outcome(page).to_have_text("Mine is added. You can now sign in with it.")
        await keys.press("Sign out")
        await keys.press(SIGN_IN)
        await heading(page, "Profile")  # a passkey needs no code


async def test_a_credential_that_is_refused(site: Site, browser: Browser):
    """What the browser has made is changed on its way to the server."""
    await site.register()
    async with device(site, browser, troubles=2) as (page, _):
        keys = await sign_in(page)
        await keys.press("Security")
        await page.evaluate(
            """() => {
                const own = PublicKeyCredential.prototype.toJSON;
                PublicKeyCredential.prototype.toJSON = function () {
                    const made = own.call(this);
                    return {...made, response: {...made.response, clientDataJSON: "AAAA"}};
                };
            }"""
        )
        await add(keys)
        await alert(page).to_have_text(REFUSED)
        await check_access(page)
        await page.keyboard.press("Escape")
        await keys.press("Sign out")
        await keys.press(SIGN_IN)
        await alert(page).to_have_text(UNKNOWN)


@pytest.mark.parametrize("kind", OUTAGES)
async def test_passkeys_while_the_server_is_down(site: Site, browser: Browser, kind):
    await site.register()
    outage = Outage(None)
    async with device(site, browser, troubles=4, answer=outage.answer) as (page, _):
        keys = Keyboard(page)
        outage.kind = kind
        await keys.press(SIGN_IN)
        await alert(page).to_have_text(OUTAGES[kind])
        outage.kind = None
        await sign_in(page)
        await keys.press("Security")
        await add(keys)
        await outcome(page).to_contain_text("You can now sign in with it.")
        outage.kind = kind
        await keys.press("Remove: Chrome, Linux")
        await keys.press("Remove")
        await alert(page).to_have_text(OUTAGES[kind])
        outage.kind = None
        await keys.press("Remove")
        await outcome(page).to_have_text("Chrome, Linux is removed.")
        await keys.press("Profile")
        outage.kind = kind
        await keys.press("Security")
        await expect(page.get_by_role("alert")).to_have_count(2)
        await check_access(page)


async def test_a_passkey_is_not_lost_in_an_outage(site: Site, browser: Browser):
    """The connection fails when the browser has made it: the same one is sent again."""
    await site.register()
    outage = Outage(None)
    async with device(site, browser, troubles=1, answer=outage.answer) as (page, authenticator):
        keys = await sign_in(page)
        await keys.press("Security")
        await page.expose_function("cut", lambda: setattr(outage, "kind", "offline"))
        await page.evaluate(
            """() => {
                const create = navigator.credentials.create.bind(navigator.credentials);
                navigator.credentials.create = async (options) => {
                    const made = await create(options);
                    await cut();
                    return made;
                };
            }"""
        )
        await add(keys)
        await alert(page).to_have_text(OUTAGES["offline"])
        outage.kind = None
        await keys.press("Continue")
        await outcome(page).to_contain_text("You can now sign in with it.")
        assert await authenticator.count() == 1


async def test_too_many_attempts(site: Site, browser: Browser):
    async def answer(route: Any) -> None:
        problem = '{"type": "/docs/errors#rate_limited", "status": 429, "code": "rate_limited"}'
        await route.fulfill(status=429, body=problem, headers={"Retry-After": "120"})

    async with device(site, browser, troubles=1, answer=answer) as (page, _):
        await Keyboard(page).press(SIGN_IN)
        await alert(page).to_contain_text("There were too many attempts. Try again at ")


async def test_another_origin(site: Site, browser: Browser):
    """There nobody is offered what cannot work; a passkey that was lost can be removed."""
    token = await site.register()
    async with device(site, browser) as (page, _):
        keys = await sign_in(page)
        await keys.press("Security")
        await add(keys, "Lost")
        await outcome(page).to_have_text("Lost is added. You can now sign in with it.")
    assert token
    async with visit(browser, site.account) as page:
        await heading(page, "Sign in")
        await expect(page.get_by_role("button", name=SIGN_IN)).to_have_count(0)
        keys = await sign_in(page)
        await keys.press("Security")
        await expect(page.get_by_text(NOT_HERE)).to_be_visible()
        await expect(page.get_by_role("button", name="Add a passkey")).to_have_count(0)
        await check_access(page)
        await keys.press("Remove: Lost")
        await keys.press("Remove")
        await outcome(page).to_have_text("Lost is removed.")


async def test_a_browser_without_passkeys(site: Site, browser: Browser):
    async with device(site, browser) as (page, _):
        await page.add_init_script("delete globalThis.PublicKeyCredential")
        await page.reload()
        await heading(page, "Sign in")
        await expect(page.get_by_role("button", name=SIGN_IN)).to_have_count(0)


async def test_in_german(site: Site, browser: Browser):
    await site.register()
    async with device(site, browser, "phone", locale="de-DE") as (page, _):
        keys = Keyboard(page)
        await refuse(page, "get", "NotAllowedError")
        await keys.press("Mit einem Passkey anmelden")
        await alert(page).to_contain_text("Es wurde abgebrochen")
        await check_access(page)
