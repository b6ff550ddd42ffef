"""The admin page in a real browser: every flow and every error, at both sizes, in both modes."""

import asyncio
import contextlib
import io
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import psycopg2.extensions
import pyotp
import pytest
import redis
from PIL import Image
from playwright.async_api import Browser, Locator, Page, Route, expect

from settings import Settings
from tests.handlers.admin.people import make_older
from tests.ui.site import (
    NEEDS_CHROMIUM,
    PASSWORD,
    SCHEMES,
    SIZES,
    Keyboard,
    Site,
    check_access,
    visit,
)

pytestmark = NEEDS_CHROMIUM
EVERYWHERE = [(size, scheme) for size in SIZES for scheme in SCHEMES]
MARKUP = '<img src=x onerror="document.title=1">'
ACTIVE, DISABLED = "Active", "Disabled"


@pytest.fixture
def ui_settings(settings: Settings) -> Settings:
    return replace(settings, admin="on", events="on")


class Office:
    """The site, its administrator root (1) and the account mika (2), and a way to the page."""

    def __init__(
        self,
        site: Site,
        browser: Browser,
        database: "psycopg2.extensions.connection",
        redis_client: "redis.Redis",
    ) -> None:
        self.site, self._browser = site, browser
        self._database, self._redis = database, redis_client

    async def open(self) -> None:
        """Register root, who becomes a superuser, and mika."""
        await self.register("root")
        self.sql("update account set is_superuser = true where username = 'root'")
        await self.register("mika")

    async def register(self, name: str, **fields: str) -> str:
        """Register an account; return its token."""
        return await self.site.register(username=name, email=f"{name}@example.com", **fields)

    def sql(self, statement: str, *parameters: object) -> list[Any]:
        """Run a statement."""
        with self._database.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def make_older(self) -> None:
        """Make every login too old for what requires a recent one."""
        make_older(self._redis)

    def url(self, view: str = "") -> str:
        """Return the address of the page, or of a view of it."""
        return f"{self.site.url}/ui/admin{view and f'#{view}'}"

    @contextlib.asynccontextmanager
    async def visit(
        self, view: str = "", size: str = "desktop", scheme: str = "light", **others: Any
    ) -> AsyncIterator[Page]:
        """Sign in as root, and open a view."""
        async with visit(self._browser, self.url(view), size, scheme, **others) as page:
            await sign_in(page)
            yield page


@pytest.fixture
async def office(site: Site, browser: Browser, database, redis_client) -> Office:
    office = Office(site, browser, database, redis_client)
    await office.open()
    return office


async def sign_in(page: Page, name: str = "root", password: str = PASSWORD) -> None:
    await page.get_by_label("E-mail or username").fill(name)
    await page.get_by_label("Password", exact=True).fill(password)
    await page.get_by_role("button", name="Sign in").click()


def button(page: Page | Locator, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def section(page: Page, title: str) -> Locator:
    heading = page.get_by_role("heading", name=title, exact=True)
    return page.locator("section.card").filter(has=heading)


async def says(page: Page, text: str) -> None:
    await expect(page.locator(".outcome", has_text=text)).to_be_visible()


async def heading(page: Page, text: str) -> None:
    await expect(page.get_by_role("heading", level=1)).to_have_text(text)


async def enter_again(page: Page, password: str = PASSWORD) -> None:
    """Enter the password that a change requires."""
    dialog = page.get_by_role("dialog", name="Enter your password")
    await dialog.get_by_label("Password", exact=True).fill(password)
    await button(dialog, "Continue").click()


@pytest.mark.parametrize(("size", "scheme"), EVERYWHERE)
async def test_every_view(office: Office, browser: Browser, size, scheme):
    for number in range(60):
        await office.register(f"kim{number:02}")
    office.sql("update account set is_active = false, is_staff = true where username = 'kim00'")
    async with visit(browser, office.url(), size, scheme) as page:
        await heading(page, "Administration")
        await expect(page.locator("code")).to_contain_text("account create")
        await check_access(page)
        await sign_in(page)
        await heading(page, "Accounts")
        await expect(page.locator("tbody tr")).to_have_count(50)
        await says(page, "The first 50 accounts.")
        await check_access(page)
        await button(page, "Show more").click()
        await expect(page.locator("tbody tr")).to_have_count(62)
        await says(page, "62 accounts.")
        await page.get_by_label("Search").fill("KIM00")
        await says(page, "1 account.")
        await page.get_by_role("link", name="kim00").click()
        await heading(page, "Account 3")
        await expect(page.locator(".tags").first).to_have_text("DisabledStaff")
        await expect(button(page, "Enable")).to_be_visible()
        await expect(section(page, "Events").locator("li")).to_have_count(1)
        await check_access(page)
        await button(page, "Delete").click()
        await check_access(page)
        await page.keyboard.press("Escape")
        for name, ready in (("Events", ".events li"), ("Gallery", ".pictures img")):
            await page.get_by_role("navigation").get_by_role("link", name=name).click()
            await heading(page, name)
            await expect(page.locator(ready).first).to_be_visible()
            await check_access(page)
        await page.get_by_role("navigation").get_by_role("link", name="Live").click()
        await expect(page.get_by_text("PostgreSQL is available")).to_be_visible()
        await expect(page.get_by_text("Redis is available")).to_be_visible()
        await check_access(page)
        await page.go_back()
        await heading(page, "Gallery")
        await button(page, "Sign out").click()
        await expect(page.get_by_text("You are signed out.")).to_be_visible()
        await page.reload()
        await heading(page, "Administration")


async def test_in_german(office: Office, browser: Browser):
    async with visit(browser, office.url(), locale="de-AT") as page:
        await heading(page, "Verwaltung")
        await page.get_by_label("E-Mail oder Benutzername").fill("root")
        await page.get_by_label("Passwort", exact=True).fill(PASSWORD)
        await page.keyboard.press("Enter")
        await heading(page, "Konten")
        await page.get_by_role("link", name="mika").click()
        await button(page, "Sperren").click()
        await button(page.get_by_role("dialog", name="mika sperren?"), "Sperren").click()
        await says(page, "mika ist gesperrt und überall abgemeldet.")
        await page.get_by_label("Sprache").select_option("en")
        await expect(button(page, "Enable")).to_be_visible()


async def test_lists_searches_and_filters(office: Office):
    for name in ("kim", "kimono", "lee"):
        await office.register(name)
    office.sql("update account set is_active = false where username = 'kim'")
    async with office.visit() as page:
        names = page.locator("tbody a")
        await expect(names).to_have_text(["root", "mika", "kim", "kimono", "lee"])
        await page.get_by_label("Search").fill("Kim")
        await expect(names).to_have_text(["kim", "kimono"])
        await page.get_by_label("Show").select_option("Disabled accounts")
        await expect(names).to_have_text(["kim"])
        assert page.url.endswith("#accounts?search=Kim&active=false")
        await names.first.click()
        await heading(page, "Account 3")
        await page.go_back()
        await expect(names).to_have_text(["kim"])
        await expect(page.get_by_label("Search")).to_have_value("Kim")
        await page.get_by_label("Show").select_option("All accounts")
        await page.get_by_label("Search").fill("#2")
        await expect(names).to_have_text(["mika"])
        await page.get_by_label("Search").fill("lee@EXAMPLE")
        await expect(names).to_have_text(["lee"])
        await page.get_by_label("Search").fill("nobody")
        await says(page, "No account matches.")
        await expect(page.locator("table")).to_be_hidden()


async def test_disabled_and_enabled_again(office: Office):
    token = await office.register("kim")
    async with office.visit("account/3") as page:
        await button(page, "Disable").click()
        dialog = page.get_by_role("dialog", name="Disable kim?")
        await button(dialog, "Cancel").click()
        await expect(dialog).to_be_hidden()
        await expect(button(page, "Disable")).to_be_focused()
        await button(page, "Disable").click()
        await button(dialog, "Disable").click()
        await says(page, "kim is disabled, and signed out everywhere.")
        await expect(page.locator(".outcome.good").first).to_be_focused()
        await expect(page.locator(".outcome.good").first).to_be_in_viewport()
        await expect(page.locator(".tags").first).to_have_text(DISABLED)
        await expect(page.get_by_text("It is not signed in anywhere.")).to_be_visible()
        assert await office.site.devices(token) is None
        await button(page, "Enable").click()
        await says(page, "kim is enabled, and can sign in again.")
        await expect(page.locator(".tags").first).to_have_text(ACTIVE)
        found = section(page, "Events").locator("li")
        await expect(found).to_have_count(3)
        await expect(found.first).to_contain_text("Enabledby the administrator root")
    assert (await office.site.log_in(login="kim"))[0] == 201


async def test_an_edit(office: Office):
    async with office.visit("account/2", troubles=2) as page:
        await page.get_by_label("First name").fill("Mika")
        await page.get_by_label("Staff").check()
        await button(page, "Save").click()
        await says(page, "Saved.")
        await expect(page.locator(".tags").first).to_have_text("ActiveStaff")
        await button(page, "Save").click()
        await says(page, "Nothing was changed.")
        # Names of others: both at once, and what was typed stays.
        await page.get_by_label("Username").fill("ROOT")
        await page.get_by_label("E-mail", exact=True).fill("root@example.com")
        await page.get_by_label("First name").fill("Eve")
        await button(page, "Save").click()
        await expect(page.get_by_text("This username is taken.")).to_be_visible()
        await expect(page.get_by_text("This e-mail address is taken.")).to_be_visible()
        await expect(page.get_by_label("Username")).to_be_focused()
        await expect(page.get_by_label("First name")).to_have_value("Eve")
        await check_access(page)
        # No name at all.
        await page.get_by_label("Username").fill("")
        await page.get_by_label("E-mail", exact=True).fill("")
        await button(page, "Save").click()
        await expect(page.get_by_text("One of the names must stay.")).to_be_visible()
    assert office.sql("select username, first_name, is_staff from account where id = 2") == [
        ("mika", "Mika", True)
    ]


async def test_a_new_address_is_verified_only_if_the_box_says_so(office: Office):
    office.sql("update account set email_verified_at = now() where id = 2")
    verified = "select email, email_verified_at is not null from account where id = 2"
    async with office.visit("account/2") as page:
        await page.get_by_label("E-mail", exact=True).fill("new@example.com")
        await button(page, "Save").click()
        await says(page, "Saved.")
        assert office.sql(verified) == [("new@example.com", False)]
        await page.get_by_label("The e-mail address is verified").check()
        await button(page, "Save").click()
        await expect(section(page, "Events").get_by_text("E-mail verified")).to_be_visible()
        assert office.sql(verified) == [("new@example.com", True)]


async def test_a_page_that_is_out_of_date(office: Office):
    """What another person has changed is not overwritten, and can be seen before it is."""
    async with office.visit("account/2", troubles=1) as page:
        await page.get_by_label("First name").fill("Mine")
        office.sql("update account set first_name = 'Theirs' where id = 2")
        await button(page, "Save").click()
        await says(page, "Another person has changed this account since you opened it.")
        await check_access(page)
        await button(page, "Reload the account").click()
        await expect(page.get_by_label("First name")).to_have_value("Theirs")
        await page.get_by_label("First name").fill("Mine")
        await button(page, "Save").click()
        await says(page, "Saved.")
    assert office.sql("select first_name from account where id = 2") == [("Mine",)]


@pytest.mark.parametrize("act", ["Save", "Send a reset link", "End", "Disable", "Delete"])
async def test_an_account_that_was_deleted_in_between(office: Office, act):
    async with office.visit("account/2", troubles=2) as page:
        await page.get_by_label("First name").fill("Mika")
        await expect(page.get_by_role("button", name="End the session")).to_be_visible()
        office.sql("delete from account where id = 2")
        if act == "End":
            await page.get_by_role("button", name="End the session").click()
            await says(page, "It is not there any more.")
            return
        await button(page, act).click()
        if act == "Disable":
            await button(page.get_by_role("dialog"), "Disable").click()
        if act == "Delete":
            await page.get_by_label("Type mika to confirm").fill("mika")
            await button(page, "Delete the account").click()
            await says(page, "mika is deleted.")
            return
        await says(page, "There is no account 2. It may have been deleted.")
        await expect(page.locator("form")).to_have_count(0)


async def test_a_deletion(office: Office):
    async with office.visit("account/2") as page:
        await button(page, "Delete").click()
        dialog = page.get_by_role("dialog", name="Delete mika?")
        field = dialog.get_by_label("Type mika to confirm")
        await expect(field).to_be_focused()
        for typed in ("", "root", "Mika"):
            await field.fill(typed)
            await button(dialog, "Delete the account").click()
            await expect(dialog.get_by_role("alert")).to_have_text("This is not mika.")
        assert office.sql("select count(*) from account") == [(2,)]
        await field.fill("mika")
        await field.press("Enter")
        await heading(page, "Accounts")
        await says(page, "mika is deleted.")
        await expect(page.locator("tbody a")).to_have_text(["root"])
    assert office.sql("select username from account") == [("root",)]


async def test_sessions_end(office: Office):
    for device in ("Phone", "Tablet"):
        await office.site.log_in(login="mika", device=device)
    token = await office.register("kim")
    async with office.visit("account/2") as page:
        rows = section(page, "Sessions").locator("li")
        await expect(rows).to_have_count(3)
        await button(page, "End the session: Phone").click()
        await says(page, "The session has ended: Phone.")
        await expect(rows).to_have_count(2)
        await button(page, "End all sessions").click()
        await button(page.get_by_role("dialog"), "End all sessions").click()
        await says(page, "All sessions have ended.")
        await expect(rows).to_have_text(["It is not signed in anywhere."])
        await expect(button(page, "End all sessions")).to_be_hidden()
    assert await office.site.devices(token) is not None


async def test_a_reset_link(office: Office):
    await office.site.mailbox.take("verify")
    async with office.visit("account/2") as page:
        await button(page, "Send a reset link").click()
        await says(page, "A link is on its way to mika@example.com")
        assert "/ui/reset-password#" in await office.site.link("reset")
        office.sql("update account set email = null, email_folded = null where id = 2")
        await page.reload()
        hint = "No reset link can be sent: the account has no e-mail address."
        await expect(page.get_by_text(hint)).to_be_visible()
        await expect(button(page, "Send a reset link")).to_have_count(0)


async def test_what_requires_the_password_again(office: Office):
    async with office.visit("account/2", troubles=9) as page:
        await expect(page.get_by_role("button", name="End the session")).to_be_visible()
        office.make_older()
        await button(page, "Disable").click()
        asking = page.get_by_role("dialog", name="Disable mika?")
        await button(asking, "Disable").click()
        again = page.get_by_role("dialog", name="Enter your password")
        await expect(again.get_by_label("Password", exact=True)).to_be_focused()
        await check_access(page)
        await page.keyboard.press("Escape")  # nothing happens
        await expect(again).to_have_count(0)
        await expect(asking.get_by_text("Nothing was changed.")).to_be_visible()
        assert office.sql("select is_active from account where id = 2") == [(True,)]
        await button(asking, "Disable").click()
        await enter_again(page, "wrong")
        await expect(again.get_by_text("This password is wrong.")).to_be_visible()
        await enter_again(page)
        await says(page, "mika is disabled, and signed out everywhere.")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        # The session is fresh now: the next one is done at once.
        await page.get_by_label("Superuser: may use this page").check()
        await button(page, "Save").click()
        await expect(page.locator(".tags").first).to_have_text("DisabledSuperuser")
        # An edit, too: the names are no risk, but the address is.
        office.make_older()
        await page.get_by_label("First name").fill("Mika")
        await button(page, "Save").click()
        await expect(section(page, "Events").get_by_text("first_name")).to_be_visible()
        await page.get_by_label("E-mail", exact=True).fill("m@example.com")
        await button(page, "Save").click()
        await enter_again(page)
        await expect(page.get_by_text("m@example.com").first).to_be_visible()


async def test_their_own_account(office: Office):
    async with office.visit("account/1", troubles=9) as page:
        hint = "You cannot disable, delete or demote your own account. Another superuser can."
        await expect(page.get_by_text(hint)).to_be_visible()
        await expect(page.get_by_label("Superuser: may use this page")).to_be_disabled()
        for name in ("Disable", "Delete"):
            await expect(button(page, name)).to_have_count(0)
        await button(page, "End all sessions").click()
        await button(page.get_by_role("dialog"), "End all sessions").click()
        await expect(page.get_by_text("You have been signed out. Sign in again.")).to_be_visible()
        await heading(page, "Administration")


async def test_with_the_keyboard_alone(office: Office, browser: Browser):
    async with visit(browser, office.url()) as page:
        keyboard = Keyboard(page)
        await keyboard.type("E-mail or username", "root")
        await keyboard.type("Password", PASSWORD)
        await page.keyboard.press("Enter")
        await heading(page, "Accounts")
        await keyboard.type("Search", "mi")
        await says(page, "1 account.")
        await keyboard.press("mika")
        await heading(page, "Account 2")
        await expect(button(page, "Disable")).to_be_visible()
        await keyboard.press("Disable")
        await keyboard.press("Disable")
        await says(page, "mika is disabled")
        await keyboard.press("Enable", "Space")
        await says(page, "mika is enabled")
        await keyboard.type("First name", "Mika")
        await keyboard.press("The e-mail address is verified", "Space")
        await keyboard.press("Save")
        await says(page, "Saved.")
        await keyboard.press("Delete")
        await keyboard.type("Type mika to confirm", "mika")
        await page.keyboard.press("Enter")
        await heading(page, "Accounts")
        await keyboard.press("Events")
        await heading(page, "Events")
        await keyboard.type("Account", "2")
        await page.keyboard.press("Enter")
        await expect(page.locator(".events li")).to_have_count(5)
        await keyboard.press("Gallery")
        await expect(page.locator(".pictures img").first).to_be_visible()
        await keyboard.press("Remove Leo")
        await page.keyboard.press("Escape")
        await keyboard.press("Sign out")
        await heading(page, "Administration")


async def test_events(office: Office):
    for number in range(3):
        await office.register(f"kim{number}")
    office.sql("update event set actor_type = 'operator', actor_name = 'anna' where account_id = 3")
    office.sql("update event set actor_type = 'service', actor_name = 'shop' where account_id = 4")
    office.sql("update event set actor_type = 'admin', actor_name = '99' where account_id = 5")
    async with office.visit("events", troubles=0) as page:
        rows = page.locator(".events li")
        await expect(rows).to_have_count(5)
        hints = [re.compile(each) for each in ("#99", "shop", "anna", "itself", "itself")]
        await expect(rows.locator("p.hint")).to_have_text(hints)
        await page.get_by_label("Type").select_option("Deleted")
        await says(page, "There are no events.")
        await page.get_by_label("Type").select_option("Created")
        await expect(rows).to_have_count(5)
        field = page.get_by_label("Account")
        for typed, count in (("kim1", 1), ("KIM1@example.com", 1), ("3", 1), ("#3", 1), ("99", 0)):
            await field.fill(typed)
            await button(page, "Show").click()
            await expect(rows).to_have_count(count)
        await field.fill("nobody")
        await button(page, "Show").click()
        await expect(page.get_by_text("There is no account with this name.")).to_be_visible()
        await expect(field).to_have_attribute("aria-invalid", "true")
        await check_access(page)
        await page.goto(office.url("events?type=account.created&account=kim1"))
        await expect(rows).to_have_count(1)
        await rows.get_by_role("link", name="kim1").click()
        await heading(page, "Account 4")


async def test_older_events(office: Office):
    office.sql(
        """insert into event (transaction, type, account_id, username, actor_type)
           select pg_current_xact_id(), 'account.changed', 2, 'mika', 'account'
             from generate_series(1, 70)"""
    )
    async with office.visit("events") as page:
        await expect(page.locator(".events li")).to_have_count(50)
        await button(page, "Show older events").click()
        await expect(page.locator(".events li")).to_have_count(72)
        await expect(button(page, "Show older events")).to_be_hidden()


class TestWithoutEvents:
    @pytest.fixture
    def ui_settings(self, settings: Settings) -> Settings:
        return replace(settings, admin="on")

    async def test_the_page_says_so(self, office: Office):
        async with office.visit("events") as page:
            await expect(page.get_by_text("Events are off")).to_be_visible()
            await page.goto(office.url("account/2"))
            await expect(section(page, "Events").get_by_text("Events are off")).to_be_visible()
            await button(page, "Disable").click()
            await button(page.get_by_role("dialog"), "Disable").click()
            await says(page, "mika is disabled")


def picture(color: str = "teal") -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (300, 200), color).save(content, "PNG")
    return content.getvalue()


async def test_the_gallery(office: Office):
    async with office.visit("gallery", troubles=2) as page:
        pictures = page.locator(".pictures li")
        await expect(pictures).to_have_count(10)
        await button(page, "Add a picture").click()
        await expect(page.get_by_text("Choose a file.")).to_be_visible()
        file = page.get_by_label(re.compile("^Picture"))
        bad = {"name": "a.png", "mimeType": "image/png", "buffer": b"no picture"}
        await file.set_input_files([bad])
        await button(page, "Add a picture").click()
        await expect(page.get_by_text("This field is required.")).to_have_count(2)
        await page.get_by_label("Group").fill("things")
        await page.get_by_label("Name").fill("Lamp")
        await button(page, "Add a picture").click()
        await expect(page.get_by_text("Use a JPEG, PNG, WebP or GIF image.")).to_be_visible()
        await check_access(page)
        await file.set_input_files([{**bad, "buffer": picture()}])
        await button(page, "Add a picture").click()
        await says(page, "Lamp is in the gallery now.")
        await expect(pictures).to_have_count(11)
        await expect(page.get_by_role("heading", name="things")).to_be_visible()
        office.sql(
            """update account set picture_id = (select picture_id from gallery where name = 'Lamp')
                where id = 2"""
        )
        await button(page, "Remove Lamp").click()
        await button(page.get_by_role("dialog"), "Remove").click()
        await says(page, "Lamp was removed. Accounts that showed it: 1.")
        await expect(pictures).to_have_count(10)


async def test_the_live_view(office: Office):
    async with office.visit("live") as page:
        await expect(page.locator(".figure")).to_have_count(9)
        for _ in range(20):
            await office.site.log_in("wrong", login="mika")
        await expect(section(page, "Refused logins").locator(".value")).not_to_have_text(
            re.compile("^(–|0 )"), timeout=15_000
        )
        graph = section(page, "Requests").get_by_role("img")
        await expect(graph).to_have_attribute("aria-label", re.compile(r"^Requests: .+ at most$"))
        await expect(graph.locator("polyline")).to_have_count(1, timeout=15_000)
        # Nothing is read while another view is shown.
        await page.get_by_role("navigation").get_by_role("link", name="Gallery").click()
        read: list[str] = []
        page.on("request", lambda request: read.append(request.url))
        await page.wait_for_timeout(4_000)
        assert not [each for each in read if each.endswith("/live")]


# Errors


async def test_an_account_without_rights(office: Office, browser: Browser):
    """It is told so, and the session that it opened is ended."""
    async with visit(browser, office.url(), troubles=1) as page:
        await sign_in(page, "mika")
        await expect(page.get_by_text("This account is not a superuser")).to_be_visible()
        await heading(page, "Administration")
        await check_access(page)
        await page.reload()
        await heading(page, "Administration")
    devices = (await office.site.log_in(login="mika"))[1]
    assert "Chrome, Linux" not in devices


async def test_a_wrong_password(office: Office, browser: Browser):
    async with visit(browser, office.url(), troubles=1) as page:
        await sign_in(page, password="wrong")
        await expect(page.get_by_text("The name or the password is wrong.")).to_be_visible()
        await expect(page.get_by_label("E-mail or username")).to_have_value("root")


async def test_a_second_factor(office: Office, browser: Browser):
    """It is asked for once the password was right; what was typed stays."""
    response = await office.site.client.post(
        "/v1/sessions", json={"login": "root", "password": PASSWORD}
    )
    headers = {"Authorization": f"Bearer {(await response.json())['token']}"}
    post = office.site.client.post
    async with post("/v1/account/totp", json={"password": PASSWORD}, headers=headers) as response:
        secret = pyotp.TOTP((await response.json())["secret"])
    step = int(time.time()) // 30
    first = {"code": secret.generate_otp(step - 1)}
    async with post("/v1/account/totp/confirm", json=first, headers=headers) as response:
        assert response.status == 200
    async with visit(browser, office.url(), troubles=4) as page:
        code = page.get_by_label("Code", exact=True)
        await expect(code).to_be_hidden()
        await sign_in(page)
        await expect(code).to_be_focused()
        await check_access(page)
        await code.fill("000000")
        await code.press("Enter")
        await expect(page.get_by_text("This code is wrong, or was used before.")).to_be_visible()
        await code.fill(secret.generate_otp(step))
        await code.press("Enter")
        await heading(page, "Accounts")
        office.make_older()
        await page.get_by_role("link", name="mika").click()
        await button(page, "Disable").click()
        await button(page.get_by_role("dialog", name="Disable mika?"), "Disable").click()
        await enter_again(page)
        again = page.get_by_role("dialog", name="Enter your password")
        await expect(again.get_by_label("Code", exact=True)).to_be_focused()
        await check_access(page)
        await page.keyboard.type(secret.generate_otp(step + 1))
        await button(again, "Continue").click()
        await says(page, "mika is disabled, and signed out everywhere.")


async def test_rights_that_end_while_the_page_is_open(office: Office):
    async with office.visit("account/2", troubles=3) as page:
        await expect(button(page, "Disable")).to_be_visible()
        office.sql("update account set is_superuser = false where id = 1")
        await button(page, "Disable").click()
        await button(page.get_by_role("dialog"), "Disable").click()
        await expect(page.get_by_text("This account is not a superuser")).to_be_visible()
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await heading(page, "Administration")
    assert office.sql("select is_active from account where id = 2") == [(True,)]


async def test_a_session_that_has_ended(office: Office):
    async with office.visit("account/2", troubles=3) as page:
        await expect(button(page, "Disable")).to_be_visible()
        office.sql("update account set session_epoch = session_epoch + 1 where id = 1")
        await page.get_by_label("First name").fill("x")
        await button(page, "Save").click()
        await expect(page.get_by_text("You have been signed out. Sign in again.")).to_be_visible()
        await sign_in(page)  # the view is the one that was left
        await heading(page, "Account 2")


UNAVAILABLE = "The service is temporarily unavailable. Try again in a moment."
OFFLINE = "The server cannot be reached. Check your connection and try again."
FAILURES = {
    "503": (503, {"code": "unavailable", "status": 503}, {"Retry-After": "1"}, UNAVAILABLE),
    "a proxy's 502": (502, None, {}, UNAVAILABLE),
    "429": (
        429,
        {"code": "rate_limited", "status": 429},
        {"Retry-After": "120"},
        "There were too many attempts. Try again at",
    ),
    "offline": (0, None, {}, OFFLINE),
}


def failing(failure: tuple[int, Any, dict[str, str], str]) -> tuple[Callable[[bool], None], Any]:
    """Return a switch, and a handler of requests that fails while the switch is on."""
    status, content, headers, _ = failure
    is_on = [False]

    async def answer(route: Route) -> None:
        if not is_on[0]:
            await route.continue_()
        elif status == 0:
            await route.abort()
        elif content:
            await route.fulfill(status=status, json=content, headers=headers)
        else:
            await route.fulfill(status=status, body="<h1>Bad Gateway</h1>")

    return lambda on: is_on.__setitem__(0, on), answer


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
async def test_every_view_says_what_failed_and_tries_again(office: Office, failure):
    """Nobody is signed out by an outage, and nothing is shown as if it were there."""
    switch, answer = failing(failure)
    async with office.visit(troubles=99) as page:
        await expect(page.locator("tbody tr")).to_have_count(2)
        await page.route("**/ui/admin/api/**", answer)
        await page.route("**/latchkey/**", answer)
        for view, shown in (
            ("accounts", "tbody tr"),
            ("account/2", "dl"),
            ("events", ".events li"),
            ("gallery", ".pictures li"),
        ):
            switch(True)
            await page.goto(office.url(view))
            await says(page, failure[3])
            await expect(page.locator(shown)).to_have_count(0)
            await check_access(page)
            switch(False)
            await button(page, "Try again").first.click()
            await expect(page.locator(shown).first).to_be_visible()
        switch(True)
        await page.goto(office.url("live"))
        await says(page, failure[3])
        switch(False)
        await expect(page.get_by_text("PostgreSQL is available")).to_be_visible()


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
async def test_a_change_that_fails_can_be_made_again(office: Office, failure):
    switch, answer = failing(failure)
    async with office.visit("account/2", troubles=99) as page:
        await page.get_by_label("First name").fill("Mika")
        await page.route("**/ui/admin/api/**", answer)
        switch(True)
        await button(page, "Save").click()
        await says(page, failure[3])
        await button(page, "Delete").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Type mika to confirm").fill("mika")
        await button(dialog, "Delete the account").click()
        await expect(dialog.get_by_text(failure[3])).to_be_visible()
        await page.keyboard.press("Escape")
        switch(False)
        await expect(page.get_by_label("First name")).to_have_value("Mika")
        await button(page, "Save").click()
        await says(page, "Saved.")
    assert office.sql("select first_name from account where id = 2") == [("Mika",)]


async def test_a_slow_search_does_not_replace_a_later_one(office: Office):
    release = asyncio.Event()

    async def answer(route: Route) -> None:
        if "search=r" in route.request.url:
            await release.wait()
        await route.continue_()

    async with office.visit() as page:
        await page.route("**/ui/admin/api/**", answer)
        await page.get_by_label("Search").fill("r")
        async with page.expect_request("**/accounts?*search=r*"):
            pass
        await page.get_by_label("Search").fill("mika")
        await says(page, "1 account.")
        async with page.expect_response("**/accounts?*search=r"):
            release.set()
        await page.wait_for_timeout(100)
        await expect(page.locator("tbody a")).to_have_text(["mika"])


# Attacks


async def test_markup_is_shown_as_text(office: Office):
    """Every text that an account, a device or an administrator can choose."""
    await office.register("evil")
    office.sql(
        """update account set username = %s, username_folded = 'x', email = %s, first_name = %s,
                  last_name = %s where id = 3""",
        *(f"{MARKUP}{number}" for number in range(4)),
    )
    office.sql(
        "update event set username = %s, actor_name = %s where account_id = 3", MARKUP, MARKUP
    )
    office.sql(
        """update event set type = 'account.changed', actor_type = 'service', data = %s
            where account_id = 3""",
        f'{{"fields": ["{MARKUP.replace(chr(34), chr(92) + chr(34))}"]}}',
    )
    office.sql("""update gallery set name = %s, "group" = %s where id = 1""", MARKUP, MARKUP)
    try:
        await office.site.log_in(login="x", device=MARKUP)
        async with office.visit() as page:
            for view, count in (
                ("accounts", 2),
                ("account/3", 4),
                ("events", 2),
                ("gallery", 2),
            ):
                await page.goto(office.url(view))
                await expect(page.get_by_text(MARKUP).first).to_be_visible()
                await expect(page.get_by_text(MARKUP)).to_have_count(count)
                assert await page.locator("img[src='x']").count() == 0
                assert "Latchkey" not in await page.title()
                assert await page.title() != "1"
            await page.goto(office.url(f"accounts?search={MARKUP}&active={MARKUP}"))
            await expect(page.get_by_label("Search")).to_have_value(MARKUP)
            await page.goto(office.url(f"events?type={MARKUP}&account={MARKUP}"))
            await expect(page.get_by_text("There is no account with this name.")).to_be_visible()
            for view in ("account/<b>", "account/../gallery", "constructor", "__proto__"):
                await page.goto(office.url(view))
                await heading(page, "Accounts")
    finally:
        office.sql("""update gallery set name = 'Leo', "group" = 'male' where id = 1""")


async def test_the_page_cannot_be_framed(office: Office, browser: Browser):
    async with visit(browser, office.url(), troubles=1) as page:
        await page.evaluate(
            """(url) => {
                const frame = document.createElement("iframe");
                frame.src = url;
                document.body.append(frame);
            }""",
            office.url(),
        )
        await page.wait_for_timeout(500)
        frame = page.frames[1]
        assert await frame.locator("form").count() == 0
        assert not frame.url.startswith("http") or "chrome-error" in frame.url


async def test_where_the_token_is(office: Office):
    """In this tab until it is closed, beside that of the account page, and in no cookie."""
    async with office.visit() as page:
        await heading(page, "Accounts")
        kept = await page.evaluate("[{...sessionStorage}, {...localStorage}]")
        assert [name.rpartition(":")[2] for name in kept[0]] == ["admin-token"]
        assert "token" not in str(kept[1])
        assert await page.evaluate("document.cookie") == ""
        await page.goto(office.site.account)
        await heading(page, "Sign in")
        await page.goto(office.url())
        await heading(page, "Accounts")
