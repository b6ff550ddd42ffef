"""The pages that links in e-mails lead to, in a real browser, with the links of real messages."""

import asyncio
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Route, expect

from app import CORE
from tests.ui.site import (
    ADA,
    NEEDS_CHROMIUM,
    NEW_PASSWORD,
    PASSWORD,
    PRODUCT,
    SCHEMES,
    SIZES,
    Site,
    check_access,
    visit,
)

DEAD = "This link was used already, or is not valid any more."
EXPIRED = "This link has expired."
DONE = "Your password is changed. Sign in to the app with it."

pytestmark = NEEDS_CHROMIUM


def status(page: Page) -> Any:
    return expect(page.get_by_role("status"))


async def is_tidy(page: Page) -> None:
    """Nothing is wider than the window, and the token is not in the address bar."""
    width = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert width <= 0
    assert "#" not in page.url
    assert await page.evaluate("history.length") <= 2
    await check_access(page)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", SIZES)
async def test_an_address_is_verified(site: Site, browser: Browser, tmp_path, size, scheme):
    token = await site.register()
    link = await site.link("verify")
    assert link.startswith(f"{site.url}/ui/verify-email#")
    for _ in range(2):  # the link may be used again
        async with visit(browser, link, size, scheme) as page:
            assert await page.title() == f"Verify your e-mail address · {PRODUCT}"
            await status(page).to_have_text("ada@example.org is verified. You can close this page.")
            await expect(page.get_by_role("button")).to_have_count(0)
            await is_tidy(page)
            await page.screenshot(path=tmp_path / f"verify-{size}-{scheme}.png")
    headers = {"Authorization": f"Bearer {token}"}
    account = await (await site.client.get("/v1/account", headers=headers)).json()
    assert account["email_verified"] is True


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", SIZES)
async def test_a_password_is_reset(site: Site, browser: Browser, tmp_path, size, scheme):
    await site.register()
    link = await site.reset_link()
    assert link.startswith(f"{site.url}/ui/reset-password#")
    # The one error is a 422 that the console tells of.
    async with visit(browser, link, size, scheme, troubles=1) as page:
        field = page.get_by_label("New password")
        await expect(field).to_be_focused()
        await is_tidy(page)
        await page.screenshot(path=tmp_path / f"reset-{size}-{scheme}.png")
        await field.fill("short")
        button = page.get_by_role("button", name="Set the password")
        await button.click()
        await expect(page.get_by_role("alert")).to_have_text("Use at least 8 characters.")
        await expect(field).to_have_attribute("aria-invalid", "true")
        await expect(field).to_be_focused()
        await expect(field).to_have_accessible_description("Use at least 8 characters.")
        await page.get_by_label("Show the password").check()
        await expect(field).to_have_attribute("type", "text")
        await is_tidy(page)
        await page.screenshot(path=tmp_path / f"short-{size}-{scheme}.png")
        await field.fill(NEW_PASSWORD)
        async with page.expect_response(lambda response: response.request.method == "DELETE"):
            await button.click()
        await status(page).to_have_text(DONE)
        await expect(field).to_be_hidden()
        await is_tidy(page)
        await page.screenshot(path=tmp_path / f"done-{size}-{scheme}.png")
    assert await site.log_in(PASSWORD) == (401, None)
    assert await site.log_in(NEW_PASSWORD) == (201, ["test"])  # the page has left no session


async def test_with_the_keyboard_alone(site: Site, browser: Browser, tmp_path):
    await site.register()
    async with visit(browser, await site.reset_link(), troubles=1) as page:
        await expect(page.get_by_label("New password")).to_be_focused()
        await page.keyboard.type("short")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_have_text("Use at least 8 characters.")
        await page.keyboard.press("Tab")
        await expect(page.get_by_label("Show the password")).to_be_focused()
        await page.screenshot(path=tmp_path / "focus.png")
        await page.keyboard.press("Space")
        await page.keyboard.press("Shift+Tab")
        await page.keyboard.press("Control+a")
        await page.keyboard.type(NEW_PASSWORD)
        await expect(page.get_by_label("New password")).to_have_value(NEW_PASSWORD)
        await page.keyboard.press("Tab")
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("button", name="Set the password")).to_be_focused()
        await page.keyboard.press("Enter")
        await status(page).to_have_text(DONE)


@pytest.mark.parametrize("size", SIZES)
async def test_an_expired_link_leads_to_a_new_one(site: Site, browser: Browser, tmp_path, size):
    await site.register()
    # A 400 for the link, a 422 for the address.
    async with visit(browser, await site.expired_link(), size, "dark", troubles=2) as page:
        await status(page).to_have_text(EXPIRED)
        field = page.get_by_label("Your e-mail address")
        button = page.get_by_role("button", name="Send a new link")
        await expect(page.get_by_label("New password")).to_be_hidden()
        await page.screenshot(path=tmp_path / f"expired-{size}.png")
        await field.fill("ada")
        await button.click()
        await expect(page.get_by_role("alert")).to_have_text("This is not an e-mail address.")
        await expect(field).to_be_focused()
        await field.fill(ADA["email"])
        await field.press("Enter")
        await status(page).to_have_text("If an account has this address, a link is on its way.")
        await is_tidy(page)
        link = await site.link("reset")
        await page.goto(link)  # in the same tab: only what is behind the # changes
        await expect(page.get_by_label("New password")).to_be_focused()
        await status(page).to_have_text("Choose a new password. You will be signed out everywhere.")


@pytest.mark.parametrize("rest", ["#nonsense", "", f"#{'a' * 5000}", "?utm_source=mail#x"])
async def test_what_is_no_link_of_this_server(site: Site, browser: Browser, rest):
    # The one error is the 400 or 422 to what may be a token.
    async with visit(browser, f"{site.url}/ui/reset-password{rest}", troubles=1) as page:
        await status(page).to_have_text(DEAD)
        await expect(page.get_by_label("Your e-mail address")).to_be_visible()
        await page.reload()
        await status(page).to_have_text(DEAD)
    async with visit(browser, f"{site.url}/ui/verify-email{rest}", troubles=1) as page:
        await status(page).to_have_text(f"{DEAD} Sign in to the app to have another link sent.")
        await expect(page.get_by_role("button")).to_have_count(0)


async def test_a_link_that_was_used_in_another_tab(site: Site, browser: Browser):
    await site.register()
    link = await site.reset_link()
    async with visit(browser, link, troubles=1) as page:
        token = link.partition("#")[2]
        fields = {"token": token, "new": NEW_PASSWORD}
        response = await site.client.post("/v1/password-resets/confirm", json=fields)
        assert response.status == 200
        await page.get_by_label("New password").fill(NEW_PASSWORD)
        await page.get_by_role("button", name="Set the password").click()
        await status(page).to_have_text(DEAD)
        await expect(page.get_by_label("New password")).to_be_hidden()
        await expect(page.get_by_label("Your e-mail address")).to_be_visible()


@pytest.mark.parametrize(
    ("status_code", "text"),
    [
        (502, "The service is temporarily unavailable. Try again in a moment."),
        (None, "The server cannot be reached. Check your connection and try again."),
    ],
    ids=["the proxy is there", "nothing is there"],
)
@pytest.mark.parametrize("page_name", ["verify-email", "reset-password"])
async def test_a_server_that_is_down_for_a_moment(
    site: Site, browser: Browser, tmp_path, status_code, text, page_name
):
    """The link is kept in the page, and nothing is typed twice."""
    await site.register()
    is_reset = page_name == "reset-password"
    link = await site.reset_link() if is_reset else await site.link("verify")
    is_down = True

    async def answer(route: Route) -> None:
        if not is_down:
            await route.continue_()
        elif status_code:
            body = "<h1>502 Bad Gateway</h1>"
            await route.fulfill(status=status_code, body=body, content_type="text/html")
        else:
            await route.abort()

    async with visit(browser, link, "phone", troubles=3, answer=answer) as page:
        await status(page).to_have_text(text)
        again = page.get_by_role("button", name="Try again")
        await expect(again).to_be_visible()
        await page.screenshot(path=tmp_path / f"down-{page_name}.png")
        await again.click()
        await status(page).to_have_text(text)
        await expect(again).to_be_visible()
        is_down = False
        await again.click()
        await expect(again).to_be_hidden()
        if not is_reset:
            await status(page).to_have_text("ada@example.org is verified. You can close this page.")
            return
        is_down = True
        field = page.get_by_label("New password")
        await field.fill(NEW_PASSWORD)
        await field.press("Enter")
        await expect(page.get_by_role("alert")).to_have_text(text)
        await expect(field).to_have_value(NEW_PASSWORD)
        is_down = False
        await field.press("Enter")
        await status(page).to_have_text(DONE)


async def test_an_impatient_user_resets_once(site: Site, browser: Browser, monkeypatch):
    await site.register()
    recovery = site.client.server.app[CORE].recovery
    reset, calls = recovery.reset, []

    async def slow(*arguments: Any) -> Any:
        calls.append(arguments)
        await asyncio.sleep(0.3)
        return await reset(*arguments)

    monkeypatch.setattr(recovery, "reset", slow)
    async with visit(browser, await site.reset_link()) as page:
        field = page.get_by_label("New password")
        await field.fill(NEW_PASSWORD)
        for _ in range(3):
            await field.press("Enter")
        await status(page).to_have_text(DONE)
    assert len(calls) == 1


async def test_without_scripts(site: Site, browser: Browser):
    """The page does not say that it is checking. Chromium hides <noscript> from playwright."""
    context = await browser.new_context(java_script_enabled=False)
    for name in ("verify-email", "reset-password"):
        page = await context.new_page()
        await page.goto(f"{site.url}/ui/{name}#token")
        assert "<noscript><p>This page needs JavaScript.</p></noscript>" in await page.content()
        await status(page).to_be_empty()
        await expect(page.get_by_role("button")).to_have_count(0)
    await context.close()
