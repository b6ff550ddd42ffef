"""Attacks on the account page, in a real browser: none may run a script or lead elsewhere."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, Page, Route, expect

from handlers.system.branding import parse_links, parse_logo
from settings import Settings
from tests.ui.site import NEEDS_CHROMIUM, PASSWORD, Site, visit

pytestmark = NEEDS_CHROMIUM

IMAGE = "<img src=x onerror=alert(1)>"
PAYLOADS = {
    "an image": IMAGE,
    "a script": "<script>alert(1)</script>",
    "an end of an attribute": "\" autofocus onfocus=alert(1) x='",
    "an end of a text": "</strong></p></script><svg onload=alert(1)>",
    "a template": "${alert(1)}{{constructor.constructor('alert(1)')()}}{name}",
    "a URL": "javascript:alert(1)",
}
EVIL = "https://evil.example"
LINKS = "Help mailto:help@example.com | <b>Imprint</b> https://example.com/?a=1&b=%22"


@pytest.fixture(scope="module")
def ui_settings(settings: Settings, tmp_path_factory: Any) -> Settings:
    logo = tmp_path_factory.mktemp("logo") / "logo.svg"
    logo.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32" onload="alert(1)">'
        '<script>alert(1)</script><rect width="32" height="32"/></svg>'
    )
    return replace(settings, ui_links=parse_links(LINKS), ui_logo=parse_logo(str(logo)))


@pytest.fixture
async def evil() -> AsyncIterator[str]:
    """The address of another site, whose page is what its query says."""

    async def show(request: web.Request) -> web.Response:
        return web.Response(text=request.query["html"], content_type="text/html")

    app = web.Application()
    app.router.add_get("/", show)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


async def sign_in(page: Page, login: str = "ada", *, stays: bool = False) -> None:
    await page.get_by_label("E-mail or username").fill(login)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    if stays:
        await page.get_by_label("Stay signed in on this device").check()
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("navigation")).to_be_visible()


async def is_harmless(page: Page) -> None:
    """Nothing of the page came from markup in a text."""
    made = """() => [...document.querySelectorAll("*")].filter((each) =>
        ["SCRIPT", "IFRAME", "SVG", "svg", "OBJECT", "BASE", "STYLE"].includes(each.tagName)
        || [...each.attributes].some(({name}) => name.startsWith("on") || name === "style")
        || (each.tagName === "IMG" && each.src && !each.src.startsWith(location.origin))
    ).map((each) => each.outerHTML)"""
    [own] = await page.evaluate(made)
    assert own.startswith('<script type="module" src="')


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
async def test_stored_scripts(site: Site, browser: Browser, database, payload):
    """Each field that is shown; the names as no dialect would take them, straight in the table."""
    await site.register(device=payload[:64])
    address = f'"{payload}"@example.org'
    async with visit(browser, site.account) as page:
        await sign_in(page)
        with database.cursor() as cursor:
            cursor.execute(
                "update account set username = %s, email = %s, first_name = %s, last_name = %s "
                "where id = 1",
                [payload, address, payload, payload],
            )
        await page.reload()
        await expect(page.locator(".who")).to_have_text(payload)
        for label in ("First name", "Last name", "Username"):
            await expect(page.get_by_label(label, exact=True)).to_have_value(payload)
        await expect(page.locator(".notice")).to_contain_text(address)
        await is_harmless(page)
        await page.get_by_role("link", name="Security").click()
        await expect(page.locator("section strong")).to_have_text(address)
        await is_harmless(page)
        await page.get_by_role("link", name="Devices").click()
        rows = page.locator(".rows strong")
        await expect(rows.nth(1)).to_have_text(payload[:64])
        await is_harmless(page)
        end = page.get_by_role("button", name=f"Sign out: {payload[:64]}", exact=True)
        await end.click()
        await expect(page.locator(".outcome.good")).to_have_text(f"{payload[:64]} is signed out.")
        await is_harmless(page)
        await page.get_by_label("Language").select_option("de")
        await is_harmless(page)


async def test_a_script_in_a_response(site: Site, browser: Browser):
    """Messages of errors, and an address on the page that verifies it."""

    async def answer(route: Route) -> None:
        if "sessions" in route.request.url:
            error = {"field": "login", "code": "unheard_of", "message": IMAGE}
            body = {"code": "invalid_fields", "errors": [error]}
            await route.fulfill(status=422, json=body)
        else:
            await route.fulfill(json={"account": {"email": IMAGE}})

    async with visit(browser, site.account, answer=answer, troubles=1) as page:
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_have_text(IMAGE)
        await is_harmless(page)
        await page.goto(f"{site.url}/ui/verify-email#token")
        await expect(page.get_by_role("status")).to_contain_text(IMAGE)
        await is_harmless(page)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:image/svg+xml,<svg onload=alert(1)>",
        f"{EVIL}/steal.png",
        f"{EVIL}/pictures/../steal",
        f"{EVIL}/pictures/{22 * 'a'}?then=x",
    ],
)
async def test_pictures_from_elsewhere(site: Site, browser: Browser, url):
    await site.register()

    async def answer(route: Route) -> None:
        response = await route.fetch()
        if "/gallery" in route.request.url:
            picture = {"id": 1, "group": IMAGE, "name": IMAGE, "url": url}
            await route.fulfill(json={"pictures": [picture]})
        elif route.request.method == "GET" and route.request.url.endswith("/account"):
            account = json.loads(await response.text())
            await route.fulfill(json={**account, "picture": url})
        else:
            await route.fulfill(response=response)

    async with visit(browser, site.account, answer=answer) as page:
        await sign_in(page)
        await page.reload()
        await expect(page.get_by_role("img", name="You have no picture.")).to_be_visible()
        await page.get_by_role("button", name="Change the picture").click()
        await expect(page.get_by_role("button", name=IMAGE)).to_be_visible()
        await is_harmless(page)


async def test_a_picture_at_another_host_is_loaded_from_this_one(site: Site, browser: Browser):
    """As with PUBLIC_URL and a CDN, from which the page may not load anything."""
    token = await site.register()
    headers = {"Authorization": f"Bearer {token}"}
    await site.client.put("/v1/account/picture", json={"gallery": 6}, headers=headers)
    name = (await site.account_of(token))["picture"].rpartition("/")[2]

    async def answer(route: Route) -> None:
        account = json.loads(await (await route.fetch()).text())
        await route.fulfill(json={**account, "picture": f"https://cdn.example/pictures/{name}"})

    async with visit(browser, site.account) as page:
        await sign_in(page)
        await page.route("**/v1/account", answer)
        await page.reload()
        picture = page.get_by_role("img", name="Your picture")
        await expect(picture).to_have_attribute("src", f"{site.url}/pictures/{name}?size=256")
        assert await picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0


async def test_markup_and_inline_code_are_refused(site: Site, browser: Browser):
    """What the policy does, should a mistake ever bring such a line into a script."""
    async with visit(browser, site.account, troubles=8) as page:
        for line in (
            "document.body.innerHTML = '<b>x</b>'",
            "document.write('x')",
            "document.createElement('script').text = 'alert(1)'",
            "document.createElement('iframe').srcdoc = 'x'",
            "document.body.setAttribute('onclick', 'alert(1)')",
            "setTimeout('alert(1)')",
        ):
            assert await page.evaluate(f"try {{ {line}; 'done' }} catch (e) {{ e.name }}") == (
                "TypeError"
            ), line
        await page.evaluate(
            """{
                const link = document.createElement("a");
                link.href = "javascript:document.title = 'pwned'";
                document.body.append(link);
                link.click();
            }"""
        )
        await page.wait_for_timeout(300)
        assert "pwned" not in await page.title()


async def test_other_hosts_are_refused(site: Site, browser: Browser, evil):
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(site.account)
    fetched = f"fetch('{evil}').then(() => 'sent', () => 'refused')"
    assert await page.evaluate(fetched) == "refused"
    await context.close()


@pytest.mark.parametrize("path", ["/ui/", "/ui/reset-password", "/ui/verify-email", "/ui/logo.svg"])
async def test_no_other_site_can_frame_a_page(site: Site, browser: Browser, evil, path):
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(f"{evil}?html=<iframe src='{site.url}{path}'></iframe>")
    frame = page.frames[1]
    await frame.wait_for_load_state()
    assert await frame.locator("h1, form, svg").count() == 0 or frame.url.startswith(
        "chrome-error:"
    )
    assert frame.url.startswith("chrome-error:")
    await context.close()


async def test_no_other_site_can_act_for_a_user(site: Site, browser: Browser, evil):
    """There is no cookie: a request that another site causes has no token, and does nothing."""
    token = await site.register()
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(site.account)
    await sign_in(page, stays=True)
    await page.goto(f"{evil}?html=hello")
    for path, method in (
        ("v1/account", "GET"),
        ("v1/sessions", "GET"),
        ("v1/account/deletion", "POST"),
        ("v1/sessions", "DELETE"),
    ):
        got = await page.evaluate(
            """async ([url, method]) => {
                const options = {method, credentials: "include", body: method === "POST"
                    ? '{"password": "Analytical-Engine-1843"}' : undefined};
                return (await fetch(url, options).catch(() => ({status: "blocked"}))).status;
            }""",
            [f"{site.url}/latchkey/{path}", method],
        )
        assert got in (401, 415, "blocked"), path
    form = f"<form method=post action='{site.url}/latchkey/v1/account/deletion'><button>"
    await page.goto(f"{evil}?html={form}")
    await page.get_by_role("button").click()
    await expect(page.locator("body")).to_contain_text("token_missing")
    assert await context.cookies() == []
    await context.close()
    assert await site.devices(token) is not None


async def hrefs(page: Page) -> set[str]:
    return set(await page.evaluate("[...document.querySelectorAll('[href]')].map(a => a.href)"))


@pytest.mark.parametrize(
    "rest",
    [
        f"?next={EVIL}",
        f"?redirect=//evil.example&return_to={EVIL}&url={EVIL}",
        f"#{EVIL}",
        "#//evil.example",
        "#javascript:alert(1)",
        "#__proto__",
        "#constructor",
        f"#security?next={EVIL}",
    ],
)
async def test_no_link_leads_elsewhere(site: Site, browser: Browser, rest):
    await site.register()
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(site.url))
    allowed = {"mailto:help@example.com", "https://example.com/?a=1&b=%22"}
    async with visit(browser, site.account + rest) as page:
        await expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
        found = await hrefs(page)
        await sign_in(page)
        await expect(page.get_by_role("heading", level=1)).to_have_text("Profile")
        found |= await hrefs(page)
        for section in ("Security", "Devices"):
            await page.get_by_role("link", name=section).click()
            found |= await hrefs(page)
        assert page.url.startswith(site.account)
    assert {each for each in found if not each.startswith(f"{origin}/accounts/ui/")} == allowed


async def test_the_script_of_a_logo_does_not_run(site: Site, browser: Browser):
    """Neither on a page nor by its own address."""
    async with visit(browser, f"{site.url}/ui/logo.svg", troubles=4) as page:
        assert await page.evaluate("document.documentElement.tagName") == "svg"
        await page.goto(site.account)
        await expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
