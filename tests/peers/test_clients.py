"""Released client applications, unmodified, in a browser: README.md says which, and what was seen.

CLIENT_APPS names a directory with their checkouts. Their endpoints that are not Latchkey's are
answered by a stand-in behind the same origin, which learns from /verify who is calling.
"""

import os
import re
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, BrowserContext, Page, Route, async_playwright, expect

from app import CORE, create_app
from handlers import DIALECTS
from handlers.mounts import parse_mounts
from mail import sender
from mail.transport import stored
from tests.program import wait_for_async
from tests.test_docs_browser import ARGUMENTS

CHROMIUM = shutil.which("chromium")
CLIENTS = Path(os.environ.get("CLIENT_APPS", "/nonexistent"))
LEAD_MANAGER = CLIENTS / "lead_manager_react_django/leadmanager/frontend"
AUTH_SYSTEM = CLIENTS / "auth_system/frontend/build"
BOILERPLATE = CLIENTS / "django-react-boilerplate/build"
PASSWORD, OTHER = "Difference-Engine-1822", "Bernoulli-Numbers-1842"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(150),
    pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed"),
]


def needs(directory: Path, name: str) -> pytest.MarkDecorator:
    """Skip a test without the client."""
    return pytest.mark.skipif(not directory.exists(), reason=f"CLIENT_APPS has no {name}")


class Site:
    """One origin: the client's files, Latchkey below a prefix, and a stand-in for the rest."""

    def __init__(self, session: ClientSession) -> None:
        self.app = web.Application()
        self.url = self.target = ""
        self.mail: Path
        self._session = session
        self.core: Any = None

    def forward(self, prefix: str) -> None:
        """Serve what Latchkey serves below a prefix."""
        self.app.router.add_route("*", f"{prefix}/{{rest:.*}}", self._forward)

    async def _forward(self, request: web.Request) -> web.Response:
        names = ("Authorization", "Content-Type", "Accept")
        headers = {name: request.headers[name] for name in names if name in request.headers}
        async with self._session.request(
            request.method,
            self.target + request.path_qs,
            headers=headers,
            data=await request.read(),
        ) as response:
            body = await response.read()
            given = {
                name: response.headers[name]
                for name in ("Content-Type", "WWW-Authenticate")
                if name in response.headers
            }
            return web.Response(status=response.status, body=body, headers=given)

    async def caller(self, request: web.Request) -> int:
        """Return the id of the account that sends a request, as a back end asks for it."""
        headers = {"Authorization": request.headers.get("Authorization", "")}
        async with self._session.get(f"{self.target}/verify", headers=headers) as response:
            if response.status != 200:
                raise web.HTTPUnauthorized
            return int(response.headers["X-Account-Id"])

    async def link(self, path: str) -> str:
        """Return the link of the newest message that leads to a path of the client."""
        pattern = re.compile(rf"{re.escape(self.url + path)}/[\w/-]+")
        found = await wait_for_async(lambda: self._links(pattern))
        return found[-1]

    def _links(self, pattern: re.Pattern[str]) -> list[str]:
        files = sorted(stored(self.mail), key=lambda file: file.stat().st_mtime)
        texts = (file.read_text().replace("=\n", "").replace("=3D", "=") for file in files)
        return [match[0] for text in texts for match in pattern.finditer(text)]


@pytest.fixture
async def start(settings, aiohttp_client, clean, tmp_path, monkeypatch) -> AsyncIterator[Any]:
    """Start a site whose Latchkey has the given mount, in which {url} is the site."""
    monkeypatch.setattr(sender, "WAKE_SECONDS", (0.0, 0.01))
    session, servers = ClientSession(), []

    async def start_site(mount: str, fill: Callable[[Site], None]) -> Site:
        site = Site(session)
        fill(site)
        server = TestServer(site.app)
        servers.append(server)
        await server.start_server()
        site.url, site.mail = str(server.make_url("")).rstrip("/"), tmp_path / "mail"
        own = replace(
            settings,
            dialects=parse_mounts(mount.replace("{url}", site.url), DIALECTS),
            mail_url=f"file:{site.mail}",
            public_url="https://accounts.example",
        )
        client = await aiohttp_client(create_app(own))
        site.target, site.core = str(client.make_url("")).rstrip("/"), client.server.app[CORE]
        return site

    yield start_site
    for server in servers:
        await server.close()
    await session.close()


@pytest.fixture
async def launch() -> AsyncIterator[Any]:
    async with async_playwright() as playwright:

        async def launch_with(*arguments: str) -> Browser:
            arguments = (*ARGUMENTS, *arguments)
            return await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)

        yield launch_with


@pytest.fixture
async def browser(launch) -> Browser:
    return await launch()


async def visit(browser: Browser, site: Site) -> Page:
    """Return a page of a new visitor; style sheets of other hosts come from `cdn`, if at all."""
    context: BrowserContext = await browser.new_context(viewport={"width": 1100, "height": 760})
    context.set_default_timeout(15_000)

    async def elsewhere(route: Route) -> None:
        url = route.request.url
        name = "cosmo.css" if "bootswatch" in url else "bootstrap-4.5.0.css"
        file = CLIENTS / "cdn" / name
        if url.endswith(".css") and file.exists():
            headers = {"Access-Control-Allow-Origin": "*"}
            await route.fulfill(path=file, content_type="text/css", headers=headers)
        else:
            await route.abort()

    await context.route(lambda url: not url.startswith(site.url), elsewhere)
    return await context.new_page()


def serve_lead_manager(site: Site) -> None:
    """The bundle that the repository has, its page, and the leads of each account."""
    template = (LEAD_MANAGER / "templates/frontend/index.html").read_text()
    page = template.replace("{% load static %}", "")
    page = re.sub(r"{% static \"([^\"]+)\" %}", r"/static/\1", page)
    leads: dict[int, list[dict[str, Any]]] = {}

    async def index(request: web.Request) -> web.Response:
        return web.Response(text=page, content_type="text/html")

    async def all_leads(request: web.Request) -> web.Response:
        mine = leads.setdefault(await site.caller(request), [])
        if request.method == "POST":
            mine.append({"id": len(mine) + 1, **await request.json()})
            return web.json_response(mine[-1], status=201)
        return web.json_response(mine)

    async def delete(request: web.Request) -> web.Response:
        mine = leads[await site.caller(request)]
        mine[:] = [each for each in mine if str(each["id"]) != request.match_info["id"]]
        return web.Response(status=204)

    site.app.router.add_get("/", index)
    site.app.router.add_route("*", "/api/leads/", all_leads)
    site.app.router.add_delete("/api/leads/{id}/", delete)
    site.app.router.add_static("/static", LEAD_MANAGER / "static")
    site.forward("/api/auth")


KNOX = (
    "knox=/api/auth?register-path=/register&user-path=/user&user=id,username,email"
    "&login-fields=user,token&basic=off&trim-passwords=on"
)


async def fill(page: Page, **fields: str) -> None:
    """Fill a form and send it."""
    for name, text in fields.items():
        await page.locator(f"[name={name}]").fill(text)
    await page.locator("form button[type=submit]").click()


@needs(LEAD_MANAGER, "lead_manager_react_django")
async def test_lead_manager(start, browser, tmp_path):
    site = await start(KNOX, serve_lead_manager)
    page = await visit(browser, site)
    await page.goto(site.url)
    await expect(page.get_by_role("heading", name="Login")).to_be_visible()
    await page.screenshot(path=tmp_path / "lead_1_login.png")

    await page.get_by_role("link", name="Register").first.click()
    new = {"username": "ada", "email": "ada@example.org", "password": PASSWORD}
    await fill(page, **new, password2="x")
    await expect(page.get_by_text("Passwords do not match")).to_be_visible()
    await fill(page, **new, password2=PASSWORD)
    await expect(page.get_by_text("Welcome ada")).to_be_visible()
    await fill(page, name="Charles", email="c@example.org", message="An engine")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await expect(page.get_by_text("Lead Added")).to_be_visible()
    await page.screenshot(path=tmp_path / "lead_2_registered.png")

    await page.reload()
    await expect(page.get_by_text("Welcome ada")).to_be_visible()
    await expect(page.locator("tbody tr")).to_have_count(1)
    other = await visit(browser, site)
    await other.goto(f"{site.url}/#/login")
    await fill(other, username="ada", password=PASSWORD)
    await expect(other.get_by_text("Welcome ada")).to_be_visible()

    await page.get_by_role("button", name="Logout").click()
    await expect(page.get_by_role("heading", name="Login")).to_be_visible()
    await other.reload()  # each login has its token: the other visitor stays
    await expect(other.get_by_text("Welcome ada")).to_be_visible()
    await fill(page, username="ada", password="wrong")
    wrong = page.get_by_text("Unable to log in with provided credentials.")
    await expect(wrong).to_be_visible()
    await page.screenshot(path=tmp_path / "lead_3_wrong.png")
    await page.get_by_role("link", name="Register").first.click()
    await fill(page, **new, password2=PASSWORD)
    await expect(page.get_by_text("A user with that username already exists.")).to_be_visible()
    await page.screenshot(path=tmp_path / "lead_4_taken.png")
    await page.get_by_role("link", name="Login").first.click()
    await fill(page, username="ada", password=f"{PASSWORD} ")  # a keyboard's space is trimmed
    await expect(page.get_by_text("Welcome ada")).to_be_visible()
    await page.get_by_role("button", name="Delete").click()
    await expect(page.get_by_text("Lead Deleted")).to_be_visible()
    await expect(page.locator("tbody tr")).to_have_count(0)

    await site.core.accounts.change(1, {"is_active": False})
    for each in (page, other):
        await each.reload()
        await expect(each.get_by_role("heading", name="Login")).to_be_visible()


def serve_build(site: Site, build: Path) -> None:
    """Its files, and its page at every other path."""

    async def index(request: web.Request) -> web.FileResponse:
        file = build / request.match_info["rest"]
        return web.FileResponse(file if file.is_file() else build / "index.html")

    site.app.router.add_get("/{rest:.*}", index)


def serve_auth_system(site: Site) -> None:
    """The build, and Latchkey behind the same origin."""
    site.forward("/auth")
    serve_build(site, AUTH_SYSTEM)


DJOSER = (
    "djoser=/?jwt=on&token-endpoints=off&auth-header-types=JWT&login=email"
    "&user-fields=first_name,last_name&user-create-password-retype=on&set-password-retype=on"
    "&set-username-retype=on&send-activation-email=on&activation-url={url}/activate/{uid}/{token}"
    "&password-reset-confirm-url={url}/password/reset/confirm/{uid}/{token}"
)


@needs(AUTH_SYSTEM, "auth_system with its build")
async def test_auth_system(start, browser, tmp_path):
    site = await start(DJOSER, serve_auth_system)
    page = await visit(browser, site)
    await page.goto(f"{site.url}/signup")
    name = {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.org"}
    await fill(page, **name, password=PASSWORD, re_password=PASSWORD)
    await expect(page.locator("h1")).to_have_text("Sign In")
    login = {"email": "ada@example.org", "password": PASSWORD}
    async with page.expect_response("**/auth/jwt/create/") as refused:
        await fill(page, **login)
    assert (await refused.value).status == 401  # not activated yet
    await page.goto(await site.link("/activate"))
    await page.screenshot(path=tmp_path / "auth_1_activate.png")
    async with page.expect_response("**/auth/users/activation/") as activated:
        await page.get_by_role("button", name="Verify").click()
    assert (await activated.value).status == 204

    await page.get_by_role("link", name="Login").first.click()
    async with page.expect_response("**/auth/users/me/") as me:
        await fill(page, **login)
    shown = await (await me.value).json()
    assert shown == {"id": 1, **name}
    await expect(page.get_by_text("Logout")).to_be_visible()
    await page.screenshot(path=tmp_path / "auth_2_logged_in.png")
    async with page.expect_response("**/auth/jwt/verify/") as verified:
        await page.reload()
    assert (await verified.value).status == 200
    await expect(page.get_by_text("Logout")).to_be_visible()

    other = await visit(browser, site)
    await other.goto(f"{site.url}/reset-password")
    await fill(other, email="ada@example.org")
    await other.goto(await site.link("/password/reset/confirm"))
    await other.screenshot(path=tmp_path / "auth_3_reset.png")
    async with other.expect_response("**/auth/users/reset_password_confirm/") as reset:
        await fill(other, new_password=OTHER, re_new_password=OTHER)
    assert (await reset.value).status == 204
    async with page.expect_response("**/auth/jwt/verify/") as verified:
        await page.reload()
    assert (await verified.value).status == 400  # the reset ended the session
    await expect(page.get_by_role("link", name="Sign Up")).to_be_visible()
    await page.get_by_role("link", name="Login").first.click()
    await fill(page, email="ada@example.org", password=OTHER)
    await expect(page.get_by_text("Logout")).to_be_visible()
    await page.get_by_text("Logout").click()
    await expect(page.get_by_role("link", name="Sign Up")).to_be_visible()
    await page.screenshot(path=tmp_path / "auth_4_logged_out.png")


@needs(BOILERPLATE, "django-react-boilerplate with its build")
async def test_django_react_boilerplate(start, launch, tmp_path):
    """Its back end is another origin, http://127.0.0.1:8000, which is in its source."""
    site = await start("dj-rest-auth=/rest-auth", lambda site: serve_build(site, BOILERPLATE))
    latchkey = site.target.removeprefix("http://")
    browser = await launch(f"--host-resolver-rules=MAP 127.0.0.1:8000 {latchkey}")
    page = await browser.new_page(viewport={"width": 1100, "height": 760})
    page.set_default_timeout(15_000)
    await page.goto(f"{site.url}/signup")
    ada = {"username": "ada", "email": "ada@example.org"}
    for name, text in {**ada, "password1": PASSWORD, "password2": "x"}.items():
        await page.locator(f"[name={name}]").fill(text)
    async with page.expect_response("**/rest-auth/registration/") as refused:
        await page.get_by_role("button", name="Signup").click()
    assert (await refused.value).status == 400
    await expect(page.get_by_text("Request failed with status code 400")).to_be_visible()
    await page.screenshot(path=tmp_path / "boilerplate_1_refused.png")
    await page.locator("[name=password2]").fill(PASSWORD)
    async with page.expect_response("**/rest-auth/registration/") as created:
        await page.get_by_role("button", name="Signup").click()
    assert (await created.value).status == 201
    await expect(page.get_by_text("Logout").first).to_be_visible()
    await page.screenshot(path=tmp_path / "boilerplate_2_signed_up.png")
    first = await page.evaluate("localStorage.token")
    assert re.fullmatch("[0-9a-f]{40}", first)

    await page.get_by_text("Logout").first.click()
    await page.goto(f"{site.url}/login")
    for password, status in (("wrong", 400), (PASSWORD, 200)):
        await page.locator("[name=username]").fill("ada")
        await page.locator("[name=password]").fill(password)
        async with page.expect_response("**/rest-auth/login/") as answered:
            await page.get_by_role("button", name="Login").click()
        assert (await answered.value).status == status
    await expect(page.get_by_text("Logout").first).to_be_visible()
    await page.reload()
    await expect(page.get_by_text("Logout").first).to_be_visible()
    assert await page.evaluate("localStorage.token") == first  # one token an account
    await page.screenshot(path=tmp_path / "boilerplate_3_logged_in.png")
