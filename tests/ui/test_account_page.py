"""The account page in a real browser: every flow with the keyboard alone, and every error."""

import asyncio
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.async_api import Browser, Locator, Page, Route, expect
from pyotp import TOTP

from app import CORE
from settings import Settings
from store.limits import parse_limit
from tests.ui.site import (
    NEEDS_CHROMIUM,
    NEW_PASSWORD,
    PASSWORD,
    SCHEMES,
    SIZES,
    Keyboard,
    Site,
    check_access,
    visit,
)

pytestmark = NEEDS_CHROMIUM

LOOKS = [(size, scheme) for size in SIZES for scheme in SCHEMES]
each_look = pytest.mark.parametrize(("size", "scheme"), LOOKS)
UNAVAILABLE = "The service is temporarily unavailable. Try again in a moment."
OFFLINE = "The server cannot be reached. Check your connection and try again."


@pytest.fixture
def ui_settings(settings: Settings) -> Settings:
    """The limits of a deployment, but for those that a test about something else would reach."""
    limit = parse_limit("1000 per hour")
    return replace(settings, rate_limits="on", mail_limit=limit)


def heading(page: Page, text: str) -> Any:
    return expect(page.get_by_role("heading", level=1, name=text, exact=True)).to_be_visible()


def alert(page: Page) -> Any:
    return expect(page.get_by_role("alert"))


def outcome(page: Page) -> Any:
    """What the last form says, and screen readers with it."""
    return expect(page.locator(".outcome.good"))


def status(page: Page) -> Any:
    return expect(page.get_by_role("status"))


def field(page: Page, label: str) -> Locator:
    return page.get_by_label(label, exact=True)


async def sign_in(page: Page, login: str = "ada", password: str = PASSWORD) -> Keyboard:
    keys = Keyboard(page)
    await keys.type("E-mail or username", login)
    await keys.type("Password", password)
    await page.keyboard.press("Enter")
    await heading(page, "Profile")
    return keys


@each_look
async def test_sign_up(site: Site, browser: Browser, size, scheme):
    await site.register()
    async with visit(browser, site.account, size, scheme, troubles=2) as page:
        keys = Keyboard(page)
        await heading(page, "Sign in")
        await check_access(page)
        await keys.press("Create an account")
        await heading(page, "Create an account")
        await expect(page.locator("h1")).to_be_focused()
        await check_access(page)
        await keys.press("Create the account")
        assert await page.locator(".problem:visible").all_inner_texts() == [
            "Send a username or an e-mail.",
            "This field is required.",
        ]
        await expect(field(page, "Username (optional)")).to_be_focused()
        await check_access(page)
        await keys.type("E-mail", "grace@example.org")
        await keys.type("Username (optional)", "ADA")
        await keys.type("Password", PASSWORD)
        await page.keyboard.press("Enter")
        await alert(page).to_have_text("This username is taken.")
        username = field(page, "Username (optional)")
        await expect(username).to_be_focused()
        await expect(username).to_have_accessible_description("This username is taken.")
        await expect(field(page, "E-mail")).to_have_value("grace@example.org")
        await expect(field(page, "Password")).to_have_value(PASSWORD)
        await check_access(page)
        await page.keyboard.press("Control+a")
        await page.keyboard.type("grace")
        await page.keyboard.press("Enter")
        await heading(page, "Profile")
        await expect(page.locator("h1")).to_be_focused()
        await expect(page.get_by_text("grace@example.org is not verified yet.")).to_be_visible()
        await expect(field(page, "Username")).to_have_value("grace")
        await check_access(page)
    status_code, devices = await site.log_in(login="grace")
    assert (status_code, devices) == (201, ["test", "Chrome, Linux"])


@each_look
async def test_sign_in_and_out(site: Site, browser: Browser, size, scheme):
    token = await site.register(device="phone")
    async with visit(browser, site.account, size, scheme, troubles=1) as page:
        keys = Keyboard(page)
        await keys.type("E-mail or username", " Ada@Example.org ")
        await keys.type("Password", "wrong")
        await keys.press("Show the password", "Space")
        await expect(field(page, "Password")).to_have_attribute("type", "text")
        await keys.press("Sign in")
        await alert(page).to_have_text("The name or the password is wrong.")
        await expect(field(page, "E-mail or username")).to_have_value(" Ada@Example.org ")
        await expect(field(page, "Password")).to_have_value("wrong")
        await check_access(page)
        await keys.type("Password", PASSWORD)
        await page.keyboard.press("Enter")
        await heading(page, "Profile")
        await check_access(page)
        assert await site.devices(token) == ["Chrome, Linux", "phone"]
        await keys.press("Sign out")
        await status(page).to_have_text("You are signed out.")
        await heading(page, "Sign in")
        await check_access(page)
        assert await site.devices(token) == ["phone"]
        await page.reload()
        await heading(page, "Sign in")


async def test_too_many_attempts(site: Site, browser: Browser):
    """The page says until when, and nothing typed is lost."""
    await site.register()
    for _ in range(20):
        assert (await site.log_in("wrong"))[0] == 401
    async with visit(browser, site.account, troubles=1) as page:
        keys = Keyboard(page)
        await keys.type("E-mail or username", "ada")
        await keys.type("Password", PASSWORD)
        await page.keyboard.press("Enter")
        text = r"There were too many attempts\. Try again at \d+:\d\d [AP]M, in \d minutes?\."
        await alert(page).to_have_text(re.compile(f"^{text}$"))
        await expect(field(page, "Password")).to_have_value(PASSWORD)
        await check_access(page)


@each_look
async def test_a_forgotten_password(site: Site, browser: Browser, size, scheme):
    await site.register()
    async with visit(browser, site.account, size, scheme, troubles=1) as page:
        keys = Keyboard(page)
        await keys.press("Forgotten password?")
        await heading(page, "Forgotten password")
        await check_access(page)
        await keys.type("E-mail", "ada")
        await page.keyboard.press("Enter")
        await alert(page).to_have_text("This is not an e-mail address.")
        await page.keyboard.press("End")
        await page.keyboard.type("@example.org")
        await page.keyboard.press("Enter")
        await outcome(page).to_have_text("If an account has this address, a link is on its way.")
        await check_access(page)
        await page.goto(await site.link("reset"))
        await keys.type("New password", NEW_PASSWORD)
        await page.keyboard.press("Enter")
        await status(page).to_have_text("Your password is changed. Sign in to the app with it.")
        await check_access(page)
        await keys.press("Go to your account")
        await heading(page, "Sign in")
        await sign_in(page, password=NEW_PASSWORD)


@each_look
async def test_a_second_factor(site: Site, browser: Browser, size, scheme):
    """Signing in, and a reset of the password, go on with a code."""
    token = await site.register()
    verification = {"token": await verify_token(site)}
    assert (await site.client.post("/v1/email-verifications", json=verification)).status == 200
    codes = await site.require_code(token)
    async with visit(browser, site.account, size, scheme, troubles=5) as page:
        keys = Keyboard(page)
        await keys.type("E-mail or username", "ada")
        await keys.type("Password", PASSWORD)
        await page.keyboard.press("Enter")
        await heading(page, "Second factor")
        await check_access(page)
        await keys.press("Back")
        await heading(page, "Sign in")
        await expect(field(page, "E-mail or username")).to_have_value("ada")
        await keys.type("Password", PASSWORD)
        await page.keyboard.press("Enter")
        await heading(page, "Second factor")
        await keys.type("Code", "000000")
        await page.keyboard.press("Enter")
        await alert(page).to_have_text("This code is wrong, or was used before.")
        await expect(field(page, "Code")).to_be_focused()
        await check_access(page)
        await page.keyboard.press("Control+a")
        await page.keyboard.type(codes[0])
        await page.keyboard.press("Enter")
        await heading(page, "Profile")
        await page.goto(await site.reset_link())
        await keys.type("New password", NEW_PASSWORD)
        await page.keyboard.press("Enter")
        await expect(field(page, "Code")).to_be_focused()
        await expect(field(page, "New password")).to_have_value(NEW_PASSWORD)
        await check_access(page)
        await page.keyboard.type("000000")
        await page.keyboard.press("Enter")
        await alert(page).to_have_text("This code is wrong, or was used before.")
        await page.keyboard.press("Control+a")
        await page.keyboard.type(codes[1])
        await page.keyboard.press("Enter")
        await status(page).to_have_text("Your password is changed. Sign in to the app with it.")


async def verify_token(site: Site) -> str:
    return (await site.link("verify")).partition("#")[2]


async def test_a_code_that_comes_too_late(site: Site, browser: Browser):
    """The challenge is void: the password has to be typed again."""
    token = await site.register()
    codes = await site.require_code(token)
    async with visit(browser, site.account, troubles=2) as page:
        keys = Keyboard(page)
        await keys.type("E-mail or username", "ada")
        await keys.type("Password", PASSWORD)
        await page.keyboard.press("Enter")
        await heading(page, "Second factor")
        assert await site.client.server.app[CORE].admin.end_all(1)
        await keys.type("Code", codes[0])
        await page.keyboard.press("Enter")
        await status(page).to_have_text("This took too long. Sign in again.")
        await heading(page, "Sign in")
        await check_access(page)


@each_look
async def test_an_address_is_verified(site: Site, browser: Browser, size, scheme):
    await site.register()
    await site.link("verify")
    async with visit(browser, site.account, size, scheme) as page:
        keys = await sign_in(page)
        notice = page.locator(".notice")
        await keys.press("Send the link again")
        await expect(notice.get_by_role("status")).to_have_text(
            "A new link is on its way to ada@example.org, unless we have sent several already."
        )
        await keys.type("First name", "Augusta")
        await check_access(page)
        other = await page.context.new_page()
        await other.goto(await site.link("verify"))
        await status(other).to_have_text("ada@example.org is verified. You can close this page.")
        await check_access(other)
        await other.close()
        # Headless, a page does not learn that it is shown again.
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange', {bubbles: 1}))")
        await expect(notice).to_be_hidden()
        await expect(field(page, "First name")).to_have_value("Augusta")
        await keys.press("Security")
        await expect(page.get_by_text("Verified", exact=True)).to_be_visible()


@each_look
async def test_names(site: Site, browser: Browser, size, scheme):
    token = await site.register()
    await site.register(username="grace", email="grace@example.org")
    async with visit(browser, site.account, size, scheme, troubles=2) as page:
        keys = await sign_in(page)
        await keys.type("First name", "Augusta Ada")
        await keys.type("Last name", "King")
        await keys.type("Username", "grace")
        await page.keyboard.press("Enter")
        await alert(page).to_have_text("This username is taken.")
        await expect(field(page, "First name")).to_have_value("Augusta Ada")
        await check_access(page)
        await keys.type("Username", "a b")
        await page.keyboard.press("Enter")
        await alert(page).to_have_text("Use letters, digits and . + - _ only.")
        await keys.type("Username", "countess")
        await page.keyboard.press("Enter")
        await outcome(page).to_have_text("Saved.")
        await expect(field(page, "Username")).to_be_focused()
        await expect(page.locator("#announcer")).to_have_text("Saved.")
        await expect(page.locator(".who")).to_have_text("Augusta Ada")
        await check_access(page)
        account = await site.account_of(token)
        assert (account["first_name"], account["last_name"]) == ("Augusta Ada", "King")
        assert account["username"] == "countess"
        await keys.type("Last name", "")
        await page.keyboard.press("Delete")
        await expect(page.locator(".outcome.good")).to_have_count(0)
        await keys.press("Save")
        await outcome(page).to_have_text("Saved.")
        assert (await site.account_of(token))["last_name"] is None
        await page.reload()
        await expect(field(page, "Username")).to_have_value("countess")


async def test_nothing_is_sent_if_nothing_has_changed(site: Site, browser: Browser):
    """A change of the username is counted: saving a form again must not be one."""
    await site.register()
    async with visit(browser, site.account) as page:
        keys = await sign_in(page)
        sent: list[Any] = []
        page.on("request", lambda request: sent.append(request.post_data))
        await keys.press("Save")
        await outcome(page).to_have_text("Saved.")
        assert sent == []
        await keys.type("First name", "Ada")
        await keys.press("Save")
        await outcome(page).to_have_text("Saved.")
        assert sent == ['{"first_name":"Ada"}']


def picture(tmp_path: Path, name: str, size: tuple[int, int]) -> Path:
    """Make a picture: red at the left, green in the middle, blue at the right."""
    image = Image.new("RGB", size, "red")
    third = size[0] // 3
    image.paste("lime", (third, 0, size[0] - third, size[1]))
    image.paste("blue", (size[0] - third, 0, size[0], size[1]))
    image.save(tmp_path / name)
    return tmp_path / name


async def shown_colour(site: Site, token: str) -> str:
    """Return the colour in the middle of the account's picture."""
    url = (await site.account_of(token))["picture"]
    response = await site.client.get(f"/pictures/{url.rpartition('/')[2]}?size=64")
    with Image.open(io.BytesIO(await response.read())) as image:
        red, green, blue = image.convert("RGB").getpixel((32, 32))
    return max(("red", red), ("green", green), ("blue", blue), key=lambda each: each[1])[0]


@each_look
async def test_a_picture_from_a_file(site: Site, browser: Browser, tmp_path, size, scheme):
    token = await site.register()
    file = picture(tmp_path, "wide.png", (1500, 500))
    async with visit(browser, site.account, size, scheme) as page:
        keys = await sign_in(page)
        await expect(page.get_by_role("img", name="You have no picture.")).to_be_visible()
        await keys.press("Change the picture")
        await expect(page.get_by_role("dialog", name="Picture")).to_be_visible()
        await expect(page.get_by_role("button", name="Mia")).to_be_visible()
        await check_access(page)
        async with page.expect_file_chooser() as choosing:
            await keys.press("Choose a file")
        await (await choosing.value).set_files(file)
        preview = page.get_by_role("img", name="Preview of your picture")
        await expect(preview).to_be_focused()
        await check_access(page)
        for _ in range(40):
            await page.keyboard.press("ArrowLeft")  # to the right end, and no further
        await keys.to("Zoom")
        for _ in range(4):
            await page.keyboard.press("ArrowRight")
        await keys.press("Use this picture")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await expect(page.get_by_role("button", name="Change the picture")).to_be_focused()
        await expect(page.get_by_role("img", name="Your picture", exact=True)).to_be_visible()
        await check_access(page)
        assert await shown_colour(site, token) == "blue"
        await keys.press("Change the picture")
        await keys.press("Remove the picture")
        await expect(page.get_by_role("img", name="You have no picture.")).to_be_visible()
        assert (await site.account_of(token))["picture"] is None


async def test_a_picture_that_is_dragged(site: Site, browser: Browser, tmp_path):
    token = await site.register()
    file = picture(tmp_path, "tall.jpg", (900, 300))
    async with visit(browser, site.account) as page:
        await sign_in(page)
        await page.get_by_role("button", name="Change the picture").click()
        await page.locator("dialog input[type=file]").set_input_files(file)
        box = await page.get_by_role("img", name="Preview of your picture").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        await page.mouse.move(x, y)
        await page.mouse.down()
        await page.mouse.move(x + box["width"] * 2, y, steps=5)
        await page.mouse.up()
        await page.get_by_role("button", name="Use this picture").click()
        await expect(page.get_by_role("img", name="Your picture", exact=True)).to_be_visible()
    assert await shown_colour(site, token) == "red"


async def test_a_picture_that_is_dragged_with_a_finger(site: Site, browser: Browser, tmp_path):
    token = await site.register()
    file = picture(tmp_path, "wide.png", (900, 300))
    async with visit(browser, site.account, "phone") as page:
        await sign_in(page)
        await page.get_by_role("button", name="Change the picture").click()
        await page.locator("dialog input[type=file]").set_input_files(file)
        preview = page.get_by_role("img", name="Preview of your picture")
        box = await preview.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        session = await page.context.new_cdp_session(page)
        await session.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
        for kind, points in (
            ("touchStart", [{"x": x, "y": y}]),
            ("touchMove", [{"x": x - 100, "y": y}]),
            ("touchMove", [{"x": x - 350, "y": y}]),
            ("touchEnd", []),
        ):
            await session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        await page.get_by_role("button", name="Use this picture").click()
        await expect(page.get_by_role("img", name="Your picture", exact=True)).to_be_visible()
    assert await shown_colour(site, token) == "blue"


@each_look
async def test_a_picture_from_the_camera(site: Site, browser: Browser, size, scheme):
    """Chromium's false camera shows green."""
    token = await site.register()
    async with visit(browser, site.account, size, scheme) as page:
        keys = await sign_in(page)
        await keys.press("Change the picture")
        await keys.press("Use the camera")
        await expect(page.get_by_role("button", name="Take the picture")).to_be_focused()
        await check_access(page)
        await page.keyboard.press("Enter")
        await keys.press("Use this picture")
        await expect(page.get_by_role("img", name="Your picture", exact=True)).to_be_visible()
        assert (await site.account_of(token))["picture"]


async def test_a_camera_that_may_not_be_used(site: Site, browser: Browser):
    await site.register()
    async with visit(browser, site.account) as page:
        keys = await sign_in(page)
        await page.evaluate(
            "() => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new Error()); }"
        )
        await keys.press("Change the picture")
        await keys.press("Use the camera")
        await alert(page).to_have_text(
            "The camera cannot be used. Allow it in the browser, or choose a file."
        )
        await check_access(page)
        await keys.press("Cancel")
        await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_a_camera_is_off_when_the_dialog_is_closed(site: Site, browser: Browser):
    await site.register()
    async with visit(browser, site.account) as page:
        keys = await sign_in(page)
        await keys.press("Change the picture")
        await keys.press("Use the camera")
        await expect(page.get_by_role("button", name="Take the picture")).to_be_enabled()
        track = await page.evaluate_handle(
            "document.querySelector('video').srcObject.getTracks()[0]"
        )
        assert await track.evaluate("track => track.readyState") == "live"
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        # The dialog is out of sight before its event "close" arrives.
        await page.wait_for_function("track => track.readyState === 'ended'", arg=track)


async def test_a_picture_of_the_gallery(site: Site, browser: Browser):
    token = await site.register()
    async with visit(browser, site.account) as page:
        keys = await sign_in(page)
        await keys.press("Change the picture")
        await keys.press("Mia")
        await expect(page.get_by_role("img", name="Your picture", exact=True)).to_be_visible()
        assert (await site.account_of(token))["picture"]


async def test_files_that_are_no_pictures(site: Site, browser: Browser, tmp_path):
    await site.register()
    (tmp_path / "text.png").write_text("no picture")
    async with visit(browser, site.account) as page:
        keys = await sign_in(page)
        await keys.press("Change the picture")
        await page.locator("dialog input[type=file]").set_input_files(tmp_path / "text.png")
        await alert(page).to_have_text(
            "This file cannot be read. Use a JPEG, PNG, WebP or GIF image."
        )
        await expect(page.get_by_role("button", name="Choose a file")).to_be_visible()


@each_look
async def test_another_address(site: Site, browser: Browser, size, scheme):
    token = await site.register()
    await site.register(username="grace", email="grace@example.org")
    async with visit(browser, f"{site.account}#security", size, scheme, troubles=3) as page:
        keys = Keyboard(page)
        await keys.type("E-mail or username", "ada")
        await keys.type("Password", PASSWORD)
        await page.keyboard.press("Enter")
        await heading(page, "Security")  # where the link led
        await check_access(page)
        form = page.locator("form[name=email]")
        await keys.type("New e-mail address", "countess@example.org")
        await form.get_by_label("Current password").fill("wrong")
        await page.keyboard.press("Enter")
        await alert(page).to_have_count(0)
        await keys.press("Send the link")
        await alert(page).to_have_text("This password is wrong.")
        await expect(form.get_by_label("Current password")).to_be_focused()
        await expect(field(page, "New e-mail address")).to_have_value("countess@example.org")
        await check_access(page)
        await form.get_by_label("Current password").fill(PASSWORD)
        await keys.type("New e-mail address", "grace@example.org")
        await page.keyboard.press("Enter")
        await alert(page).to_have_text("This e-mail address is taken.")
        await keys.type("New e-mail address", "countess@example.org")
        await page.keyboard.press("Enter")
        await outcome(page).to_have_text(
            "We have sent a link to countess@example.org. Open it to change your address."
        )
        await expect(form.get_by_label("Current password")).to_have_value("")
        await check_access(page)
        assert (await site.account_of(token))["email"] == "ada@example.org"
        other = await page.context.new_page()
        await other.goto(await site.link("change"))
        await status(other).to_have_text(
            "countess@example.org is verified. You can close this page."
        )
        assert (await site.account_of(token))["email"] == "countess@example.org"


@each_look
async def test_another_password(site: Site, browser: Browser, size, scheme):
    phone = await site.register(device="phone")
    async with visit(browser, site.account, size, scheme, troubles=2) as page:
        keys = await sign_in(page)
        await keys.press("Security")
        await heading(page, "Security")
        form = page.locator("form[name=password]")
        await form.get_by_label("Current password").fill("wrong")
        await keys.type("New password", NEW_PASSWORD)
        await page.keyboard.press("Enter")
        await alert(page).to_have_text("This password is wrong.")
        await expect(form.get_by_label("Current password")).to_be_focused()
        await expect(field(page, "New password")).to_have_value(NEW_PASSWORD)
        await check_access(page)
        await page.keyboard.press("Control+a")
        await page.keyboard.type(PASSWORD)
        await keys.type("New password", "ada")
        await page.keyboard.press("Enter")
        await alert(page).to_have_text(re.compile(r"^Use at least 8 characters\..*too similar"))
        await keys.type("New password", NEW_PASSWORD)
        await page.keyboard.press("Enter")
        await outcome(page).to_have_text(
            "Your password is changed. All other devices are signed out."
        )
        await check_access(page)
        assert await site.devices(phone) is None
        await page.reload()  # this device has a new token
        await heading(page, "Security")
    assert await site.log_in(PASSWORD) == (401, None)
    assert (await site.log_in(NEW_PASSWORD))[0] == 201


@each_look
async def test_setting_up_a_second_factor(site: Site, browser: Browser, size, scheme):
    token = await site.register()
    async with visit(browser, site.account, size, scheme, troubles=4) as page:
        keys = await sign_in(page)
        await keys.press("Security")
        dialog = page.get_by_role("dialog")
        await keys.press("Set up")
        await expect(dialog.get_by_label("Password", exact=True)).to_be_focused()
        await page.keyboard.type("wrong")
        await page.keyboard.press("Enter")
        await alert(page).to_have_text("This password is wrong.")
        await check_access(page)
        await page.keyboard.press("Control+a")
        await page.keyboard.type(PASSWORD)
        await page.keyboard.press("Enter")
        await expect(dialog.get_by_label("Code")).to_be_focused()
        image = dialog.get_by_role("img", name="QR code of the key")
        assert await image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 20
        await check_access(page)
        secret = (await dialog.locator("code").inner_text()).replace(" ", "")
        await page.keyboard.type("000000")
        await page.keyboard.press("Enter")
        await alert(page).to_have_text("This code is wrong, or was used before.")
        await page.keyboard.press("Control+a")
        await page.keyboard.type(TOTP(secret).now())
        await page.keyboard.press("Enter")
        codes = dialog.get_by_role("listitem")
        await expect(codes).to_have_count(10)
        await check_access(page)
        await keys.press("I have kept them")
        await expect(dialog).to_have_count(0)
        await expect(page.get_by_text("Recovery codes left: 10.")).to_be_visible()
        await expect(page.get_by_role("button", name="New recovery codes")).to_be_focused()
        await check_access(page)
    assert (await site.log_in())[0] == 401  # without a code
    assert await site.devices(token) is not None


@each_look
async def test_new_recovery_codes_and_no_second_factor(site: Site, browser: Browser, size, scheme):
    token = await site.register()
    async with visit(browser, site.account, size, scheme, troubles=1) as page:
        keys = await sign_in(page)
        first, second, *_ = await site.require_code(token)
        await keys.press("Security")
        dialog = page.get_by_role("dialog")
        await keys.press("New recovery codes")
        await expect(dialog.get_by_label("Password", exact=True)).to_be_focused()
        await check_access(page)
        await page.keyboard.type(PASSWORD)
        await keys.type("Code", first)
        await page.keyboard.press("Enter")
        codes = dialog.get_by_role("listitem")
        await expect(codes).to_have_count(10)
        third = await codes.first.inner_text()
        await page.keyboard.press("Escape")
        await keys.press("Turn off")
        await expect(dialog.get_by_label("Password", exact=True)).to_be_focused()
        await page.keyboard.type(PASSWORD)
        await keys.type("Code", second)  # which is void
        await page.keyboard.press("Enter")
        await alert(page).to_have_text("This code is wrong, or was used before.")
        await check_access(page)
        await page.keyboard.press("Control+a")
        await page.keyboard.type(third)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("button", name="Set up")).to_be_focused()
    assert (await site.log_in())[0] == 201


async def test_a_second_factor_while_the_server_is_down(site: Site, browser: Browser):
    await site.register()
    outage = Outage(None)
    async with visit(browser, site.account, troubles=2, answer=outage.answer) as page:
        keys = await sign_in(page)
        outage.kind = "store"
        await keys.press("Security")
        await alert(page).to_have_text(UNAVAILABLE)
        outage.kind = None
        await keys.press("Try again")
        await keys.press("Set up")
        outage.kind = "offline"
        await page.keyboard.type(PASSWORD)
        await page.keyboard.press("Enter")
        await alert(page).to_have_text(OFFLINE)
        outage.kind = None
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("img", name="QR code of the key")).to_be_visible()


async def test_recovery_codes_are_copied(site: Site, browser: Browser):
    token = await site.register()
    codes = await site.require_code(token)
    async with visit(browser, f"{site.account}#security", troubles=2) as page:
        keys = Keyboard(page)
        await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await keys.type("E-mail or username", "ada")
        await keys.type("Password", PASSWORD)
        await page.keyboard.press("Enter")
        await keys.type("Code", codes[0])
        await page.keyboard.press("Enter")
        await heading(page, "Security")
        await keys.press("New recovery codes")
        await page.keyboard.type(PASSWORD)
        await keys.type("Code", codes[1])
        await page.keyboard.press("Enter")
        await keys.press("Copy the codes")
        await outcome(page).to_have_text("The codes are copied.")
        shown = await page.get_by_role("dialog").get_by_role("listitem").all_inner_texts()
        assert await page.evaluate("navigator.clipboard.readText()") == "\n".join(shown)


@each_look
async def test_devices(site: Site, browser: Browser, size, scheme):
    phone = await site.register(device="Ada's phone")
    for device in ("Tablet", "Television"):
        await site.log_in(device=device)
    async with visit(browser, site.account, size, scheme) as page:
        keys = await sign_in(page)
        await keys.press("Devices")
        rows = page.locator(".rows li")
        await expect(rows).to_have_count(4)
        names = [(await row.locator("strong").inner_text()) for row in await rows.all()]
        assert names == ["Chrome, Linux", "Television", "Tablet", "Ada's phone"]
        await expect(rows.nth(0)).to_contain_text("This device")
        await expect(rows.nth(1)).to_contain_text("Last used")
        await check_access(page)
        await keys.press("Sign out: Tablet")
        await outcome(page).to_have_text("Tablet is signed out.")
        assert await site.devices(phone) == ["Chrome, Linux", "Television", "Ada's phone"]
        await keys.press("Sign out on all other devices")
        dialog = page.get_by_role("dialog", name="Sign out on all other devices")
        await expect(dialog).to_be_visible()
        await check_access(page)
        await page.keyboard.press("Escape")
        await expect(dialog).to_have_count(0)
        assert await site.devices(phone) is not None
        await keys.press("Sign out on all other devices")
        await dialog.get_by_role("button", name="Sign out").focus()
        await page.keyboard.press("Enter")
        await outcome(page).to_have_text("All other devices are signed out.")
        await expect(rows).to_have_count(1)
        await expect(page.get_by_role("button", name="Sign out on all")).to_be_hidden()
        assert await site.devices(phone) is None
        await check_access(page)
        await keys.press("Sign out: Chrome, Linux")
        await status(page).to_have_text("You are signed out.")


@each_look
async def test_deletion(site: Site, browser: Browser, size, scheme):
    await site.register()
    async with visit(browser, site.account, size, scheme, troubles=1) as page:
        keys = await sign_in(page)
        await keys.press("Security")
        await keys.press("Delete the account")
        dialog = page.get_by_role("dialog", name="Delete your account?")
        await expect(dialog.get_by_label("Password", exact=True)).to_be_focused()
        await check_access(page)
        await keys.press("Cancel")
        await expect(page.get_by_role("button", name="Delete the account")).to_be_focused()
        await page.keyboard.press("Enter")
        await page.keyboard.type("wrong")
        await page.keyboard.press("Enter")
        await alert(page).to_have_text("This password is wrong.")
        await check_access(page)
        await page.keyboard.press("Control+a")
        await page.keyboard.type(PASSWORD)
        await page.keyboard.press("Enter")
        await status(page).to_have_text("Your account is deleted.")
        await heading(page, "Sign in")
        await check_access(page)
    assert await site.log_in() == (401, None)


class Outage:
    """Requests to the API fail while `kind` says how."""

    def __init__(self, kind: str | None) -> None:
        self.kind = kind

    async def answer(self, route: Route) -> None:
        if self.kind == "offline":
            await route.abort()
        elif self.kind == "proxy":
            body = "<h1>502 Bad Gateway</h1>"
            await route.fulfill(status=502, body=body, content_type="text/html")
        elif self.kind == "store":
            problem = '{"type": "/docs/errors#unavailable", "status": 503, "code": "unavailable"}'
            await route.fulfill(
                status=503,
                body=problem,
                content_type="application/problem+json",
                headers={"Retry-After": "1"},
            )
        else:
            await route.continue_()


OUTAGES = {"offline": OFFLINE, "proxy": UNAVAILABLE, "store": UNAVAILABLE}


class Interrupted:
    """A page whose server is down whenever a button is pressed for the first time."""

    def __init__(self, page: Page, outage: Outage, kind: str) -> None:
        self.page, self.keys = page, Keyboard(page)
        self._outage, self._kind = outage, kind

    def stop(self) -> None:
        self._outage.kind = self._kind

    def start(self) -> None:
        self._outage.kind = None

    async def press(self, button: str) -> None:
        """Press a button while the server is down, and once more when it is there again."""
        self.stop()
        fields = self.page.locator("form input:not([type=checkbox]):visible")
        typed = [await each.input_value() for each in await fields.all()]
        await self.keys.press(button)
        await alert(self.page).to_have_text(OUTAGES[self._kind])
        assert typed == [await each.input_value() for each in await fields.all()]
        assert any(typed)
        await check_access(self.page)
        self.start()
        await self.keys.press(button)


@pytest.mark.parametrize("kind", OUTAGES)
async def test_a_server_that_is_down_while_signed_out(site: Site, browser: Browser, kind):
    """Every form says so, keeps what was typed, and works as soon as the server does."""
    outage = Outage(None)
    async with visit(browser, site.account, troubles=5, answer=outage.answer) as page:
        server = Interrupted(page, outage, kind)
        keys = server.keys
        await keys.press("Create an account")
        await keys.type("E-mail", "ada@example.org")
        await keys.type("Password", PASSWORD)
        await server.press("Create the account")
        await heading(page, "Profile")
        server.stop()
        await keys.press("Sign out")
        await status(page).to_have_text(
            "You are signed out in this browser, but the server does not know it yet. "
            f"{OUTAGES[kind]}"
        )
        await heading(page, "Sign in")
        await check_access(page)
        await keys.press("Forgotten password?")
        await keys.type("E-mail", "ada@example.org")
        await server.press("Send the link")
        await outcome(page).to_have_text("If an account has this address, a link is on its way.")
        await keys.press("Back to signing in")
        await keys.type("E-mail or username", "ada@example.org")
        await keys.type("Password", PASSWORD)
        await server.press("Sign in")
        await heading(page, "Profile")


@pytest.mark.parametrize("kind", OUTAGES)
async def test_a_server_that_is_down_while_signed_in(site: Site, browser: Browser, kind):
    await site.register()
    outage = Outage(None)
    async with visit(browser, site.account, troubles=8, answer=outage.answer) as page:
        server = Interrupted(page, outage, kind)
        keys = await sign_in(page)
        await keys.type("First name", "Ada")
        await server.press("Save")
        await outcome(page).to_have_text("Saved.")
        server.stop()
        await page.reload()
        await status(page).to_have_text(OUTAGES[kind])
        await check_access(page)
        server.start()
        await keys.press("Try again")
        await heading(page, "Profile")
        await status(page).to_be_empty()
        server.stop()
        await keys.press("Devices")
        await alert(page).to_have_text(OUTAGES[kind])
        server.start()
        await keys.press("Try again")
        await expect(page.locator(".rows li")).to_have_count(2)
        await keys.press("Security")
        await keys.type("New e-mail address", "countess@example.org")
        await page.locator("form[name=email]").get_by_label("Current password").fill(PASSWORD)
        await server.press("Send the link")
        await outcome(page).to_contain_text("We have sent a link to countess@example.org.")
        await page.locator("form[name=password]").get_by_label("Current password").fill(PASSWORD)
        await keys.type("New password", NEW_PASSWORD)
        await server.press("Change the password")
        await outcome(page).to_contain_text(["link", "Your password is changed."])
        await keys.press("Delete the account")
        await page.keyboard.type(NEW_PASSWORD)
        await server.press("Delete it for good")
        await status(page).to_have_text("Your account is deleted.")


async def test_a_picture_while_the_server_is_down(site: Site, browser: Browser, tmp_path):
    """The crop is kept."""
    token = await site.register()
    outage = Outage(None)
    file = picture(tmp_path, "wide.png", (900, 300))
    async with visit(browser, site.account, troubles=4, answer=outage.answer) as page:
        keys = await sign_in(page)
        outage.kind = "offline"
        await keys.press("Change the picture")
        await alert(page).to_have_text(OFFLINE)  # there is no gallery
        await page.locator("dialog input[type=file]").set_input_files(file)
        for _ in range(40):
            await page.keyboard.press("ArrowRight")
        await keys.press("Use this picture")
        await alert(page).to_have_text(OFFLINE)
        outage.kind = None
        await keys.press("Use this picture")
        await expect(page.get_by_role("img", name="Your picture", exact=True)).to_be_visible()
    assert await shown_colour(site, token) == "red"


async def test_a_session_that_was_ended_elsewhere(site: Site, browser: Browser):
    await site.register()
    core = site.client.server.app[CORE]
    async with visit(browser, site.account, troubles=3) as page:
        keys = await sign_in(page)
        await core.admin.end_all(1)
        await keys.type("First name", "Ada")
        await page.keyboard.press("Enter")
        await status(page).to_have_text("You have been signed out. Sign in again.")
        await heading(page, "Sign in")
        await check_access(page)
        await sign_in(page)
        await keys.press("Security")
        await expect(page.get_by_role("button", name="Set up")).to_be_visible()
        await core.admin.end_all(1)
        await keys.press("Delete the account")
        await page.keyboard.type(PASSWORD)
        await page.keyboard.press("Enter")
        await status(page).to_have_text("You have been signed out. Sign in again.")
        await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_staying_signed_in(site: Site, browser: Browser):
    """Without the choice, only this tab is signed in; with it, every tab of the browser."""
    await site.register()
    async with visit(browser, site.account) as page:
        keys = await sign_in(page)
        other = await page.context.new_page()
        await other.goto(site.account)
        await heading(other, "Sign in")
        assert await page.evaluate("Object.keys(localStorage)") == []
        await page.reload()
        await heading(page, "Profile")
        await keys.press("Sign out")
        await heading(page, "Sign in")
        assert await page.evaluate("Object.keys(sessionStorage)") == []
        await keys.type("E-mail or username", "ada")
        await keys.type("Password", PASSWORD)
        await keys.press("Stay signed in on this device", "Space")
        await keys.press("Sign in")
        await heading(page, "Profile")
        await heading(other, "Profile")  # at once
        key, token = await page.evaluate("Object.entries(localStorage)[0]")
        assert key == "latchkey:/accounts/ui/:token"
        assert re.fullmatch("[0-9a-f]{64}", token)
        await keys.press("Security")
        await page.locator("form[name=password]").get_by_label("Current password").fill(PASSWORD)
        await keys.type("New password", NEW_PASSWORD)
        await page.keyboard.press("Enter")
        await outcome(page).to_contain_text("Your password is changed.")
        assert await page.evaluate("localStorage.length") == 1  # it still stays
        assert await page.evaluate("sessionStorage.length") == 0
        await keys.press("Sign out")
        await heading(other, "Sign in")
        assert await page.evaluate("localStorage.length") == 0


async def test_another_account_in_another_tab(site: Site, browser: Browser):
    """A tab never shows one account while it has the token of another."""
    await site.register()
    await site.register(username="grace", email="grace@example.org")
    async with visit(browser, site.account) as page:
        keys = Keyboard(page)
        other = await page.context.new_page()
        await other.goto(f"{site.account}#sign-up")
        for each, name in ((page, "ada"), (other, "grace")):
            keys = Keyboard(each)
            await each.evaluate("location.hash = 'sign-in'")
            if name == "grace":
                await heading(other, "Profile")
                await keys.press("Sign out")
                await heading(page, "Sign in")
            await keys.type("E-mail or username", name)
            await keys.type("Password", PASSWORD)
            await keys.press("Stay signed in on this device", "Space")
            await keys.press("Sign in")
            await heading(each, "Profile")
        await expect(page.locator(".who")).to_have_text("grace")


async def test_a_browser_that_keeps_nothing(site: Site, browser: Browser):
    await site.register()
    script = """for (const name of ["localStorage", "sessionStorage"])
        Object.defineProperty(window, name, {get() { throw new DOMException("no") }});"""
    async with visit(browser, site.account) as page:
        await page.context.add_init_script(script)
        await page.reload()
        keys = await sign_in(page)
        await keys.press("Security")
        await heading(page, "Security")
        await keys.press("Sign out")
        await heading(page, "Sign in")


async def test_an_unverified_address_where_it_must_be(site: Site, browser: Browser):
    """As with REQUIRE_VERIFIED_EMAIL=on."""
    await site.register()

    async def refuse(route: Route) -> None:
        problem = '{"status": 403, "code": "email_not_verified"}'
        await route.fulfill(status=403, body=problem, content_type="application/problem+json")

    async with visit(browser, site.account, troubles=1, answer=refuse) as page:
        keys = Keyboard(page)
        await keys.type("E-mail or username", "ada")
        await keys.type("Password", PASSWORD)
        await page.keyboard.press("Enter")
        await alert(page).to_contain_text("Your e-mail address is not verified yet.")


@pytest.mark.parametrize(
    ("locale", "language", "text"),
    [
        ("de-AT", "de", "Anmelden"),
        ("en-GB", "en", "Sign in"),
        ("fr-FR", "en", "Sign in"),
    ],
)
async def test_the_language_of_the_browser(site: Site, browser: Browser, locale, language, text):
    async with visit(browser, site.account, locale=locale) as page:
        await heading(page, text)
        assert await page.evaluate("document.documentElement.lang") == language
        await check_access(page)


@each_look
async def test_the_switch_of_the_language(site: Site, browser: Browser, size, scheme):
    """What is typed stays; the choice stays; errors are in the language."""
    await site.register()
    async with visit(browser, f"{site.account}#sign-up", size, scheme, troubles=1) as page:
        keys = Keyboard(page)
        await keys.type("Username (optional)", "ada")
        await keys.type("Password", "ada")
        await keys.press("Stay signed in on this device", "Space")
        await keys.to("Language")
        await page.keyboard.press("ArrowDown")
        await heading(page, "Konto anlegen")
        await expect(field(page, "Benutzername (freiwillig)")).to_have_value("ada")
        await expect(page.get_by_label("Auf diesem Gerät angemeldet bleiben")).to_be_checked()
        await keys.press("Konto anlegen")
        await alert(page).to_have_text(
            "Mindestens 8 Zeichen. Das Passwort ähnelt dem Benutzernamen oder der E-Mail zu sehr."
        )
        await check_access(page)
        await page.goto(f"{site.url}/ui/reset-password")
        await status(page).to_have_text("Dieser Link wurde schon benutzt oder gilt nicht mehr.")
        await page.goto(site.account)
        await heading(page, "Anmelden")
        await keys.type("E-Mail oder Benutzername", "ada")
        await keys.type("Passwort", PASSWORD)
        await page.keyboard.press("Enter")
        await heading(page, "Profil")
        await check_access(page)
        for section in ("Sicherheit", "Geräte"):
            await keys.press(section)
            await heading(page, section)
            await check_access(page)


async def test_a_language_that_cannot_be_loaded(site: Site, browser: Browser):
    async with visit(browser, site.account, troubles=1) as page:
        await page.route("**/languages/de.json", lambda route: route.fulfill(status=502))
        await field(page, "E-mail or username").fill("ada")
        switch = page.get_by_label("Language")
        await switch.select_option("de")
        await status(page).to_have_text(OFFLINE)
        await expect(switch).to_have_value("en")
        await expect(field(page, "E-mail or username")).to_have_value("ada")
        await page.unroute("**/languages/de.json")
        await switch.select_option("de")
        await heading(page, "Anmelden")
        await status(page).to_be_empty()


async def test_no_texts_at_all(site: Site, browser: Browser):
    async with visit(browser, site.account, troubles=1) as page:
        await page.route("**/languages/*", lambda route: route.abort())
        await page.reload()
        await status(page).to_have_text(
            "The server cannot be reached. Check your connection, and reload the page."
        )


async def test_the_way_back(site: Site, browser: Browser):
    """The browser's buttons lead through the views, and a reload stays where it is."""
    await site.register()
    async with visit(browser, site.account) as page:
        keys = Keyboard(page)
        await keys.press("Create an account")
        await heading(page, "Create an account")
        await page.go_back()
        await heading(page, "Sign in")
        await sign_in(page)
        for section in ("Security", "Devices"):
            await keys.press(section)
            await heading(page, section)
        assert await page.title() == f"Devices · {await page.locator('.product').inner_text()}"
        await page.go_back()
        await heading(page, "Security")
        await page.reload()
        await heading(page, "Security")


async def test_an_impatient_user_signs_up_once(site: Site, browser: Browser, monkeypatch):
    access = site.client.server.app[CORE].access
    register, calls = access.register, []

    async def slow(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        await asyncio.sleep(0.3)
        return await register(*arguments, **options)

    monkeypatch.setattr(access, "register", slow)
    async with visit(browser, f"{site.account}#sign-up") as page:
        await field(page, "E-mail").fill("ada@example.org")
        await field(page, "Password").fill(PASSWORD)
        for _ in range(3):
            await field(page, "Password").press("Enter")
        await heading(page, "Profile")
    assert len(calls) == 1


async def test_without_scripts(site: Site, browser: Browser):
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(site.account)
    assert "<noscript><p>This page needs JavaScript.</p></noscript>" in await page.content()
    await expect(page.get_by_role("button")).to_have_count(0)
    await context.close()


@pytest.mark.parametrize("width", [320, 768])
async def test_other_widths(site: Site, browser: Browser, width):
    """320 pixels are a window of 1280 at a zoom of 400 %, as WCAG 2.2, 1.4.10 has it."""
    await site.register(first_name=30 * "Ada", device=64 * "W")
    async with visit(browser, site.account) as page:
        await page.set_viewport_size({"width": width, "height": 640})
        await check_access(page)
        keys = await sign_in(page)
        for section in ("Security", "Devices", "Profile"):
            await keys.press(section)
            await heading(page, section)
            await check_access(page)
        await keys.press("Change the picture")
        await check_access(page)
