"""The pages for people: their headers, their files, their branding, and nothing else."""

import asyncio
import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from app import create_app
from handlers.mounts import Mount
from handlers.problem_codes import FIELD_CODES
from handlers.system import branding, ui
from mail.links import RESET_PAGE, VERIFY_PAGE
from settings import BadSetting, read_settings
from store.errors import BadValue
from tests.handlers.system.test_docs import Page, get

ALL = (ui.ACCOUNT, ui.ADMIN, *ui.LINKED)
LINKED = [f"/ui/{page.path}" for page in ui.LINKED]
PAGES = [f"/ui/{page.path}" for page in ALL]
NAMES = sorted({*ui.SHARED, *(name for page in ALL for name in (page.script, *page.files))})
FILES = [f"/ui/{name}" for name in NAMES]
EVERYTHING = [*PAGES, *FILES]
UI_POLICY = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",  # the QR code of a second factor
    "connect-src 'self'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
}
KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    "": "text/html; charset=utf-8",
}


@pytest.fixture(scope="module")
def settings(settings):
    return replace(settings, admin="on")


@pytest.fixture
async def client(aiohttp_client, settings, clean):
    return await aiohttp_client(create_app(settings))


def test_links_lead_to_the_pages():
    assert {link.partition("#")[0] for link in (RESET_PAGE, VERIFY_PAGE)} == set(LINKED)


def test_every_file_of_the_directory_is_served():
    there = {
        str(file.relative_to(ui.DIRECTORY)) for file in ui.DIRECTORY.rglob("*") if file.is_file()
    }
    assert there == {*NAMES, "page.html"}


async def test_headers(client):
    for path in EVERYTHING:
        response, body = await get(client, path)
        assert response.status == 200
        assert len(body) > 100
        assert response.headers["Content-Type"] == KINDS[Path(path).suffix]
        policy = response.headers["Content-Security-Policy"].split("; ")
        assert (len(policy), set(policy)) == (len(UI_POLICY), UI_POLICY)
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Vary"] == "Accept-Encoding"
        assert response.headers["Cache-Control"] == "no-cache"
        assert response.headers["X-Request-ID"]
        assert "Set-Cookie" not in response.headers


async def test_what_is_known_is_not_sent_again(client):
    for path in EVERYTHING:
        first, content = await get(client, path, Accept_Encoding="identity")
        packed, same = await get(client, path, Accept_Encoding="gzip")
        assert (packed.headers["Content-Encoding"], same) == ("gzip", content)
        tag = first.headers["ETag"]
        assert packed.headers["ETag"] == tag
        response, body = await get(client, path, If_None_Match=tag)
        assert (response.status, body, response.headers["ETag"]) == (304, b"", tag)
        assert response.headers["Content-Security-Policy"]


async def test_other_methods(client):
    for path in EVERYTHING:
        got, _ = await get(client, path)
        head = await client.head(path)
        assert (head.status, await head.read()) == (200, b"")
        for name in ("Content-Type", "Content-Length", "ETag", "Content-Security-Policy"):
            assert head.headers[name] == got.headers[name]
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            response = await client.request(method, path)
            assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


async def test_all_that_a_page_names_is_served_and_stands_beside_it(client):
    """A proxy may serve all of this below another path."""
    for path in PAGES:
        page = Page((await get(client, path))[1].decode())
        assert page.inline == []
        assert not [name for name in page.names if "/" in name]
        for name in page.names:
            assert str(URL(path).join(URL(name))) in EVERYTHING
    for path in FILES:
        if path.endswith(".js"):
            _, script = await get(client, path)
            script = script.replace(b'"http://www.w3.org/2000/svg"', b"")  # no address: a name
            assert re.findall(rb"""["'`]/\w|https?:""", script) == []
            for name in re.findall(rb'from "([^"]+)"', script):
                assert name.startswith(b"./")
                assert f"/ui/{name[2:].decode()}" in FILES
    for name in ("style.css", "admin.css"):
        _, style = await get(client, f"/ui/{name}")
        assert re.findall(rb"@import|url\(|//", style) == []


async def test_each_page_preloads_what_its_script_imports(client):
    """Otherwise the browser finds out about each module only after the one that imports it."""

    async def imports(name):
        _, script = await get(client, f"/ui/{name}")
        direct = [each.decode() for each in re.findall(rb'from "\./([^"]+)"', script)]
        return {name}.union(*[await imports(each) for each in direct])

    for page, path in zip(ALL, PAGES, strict=True):
        named = set(Page((await get(client, path))[1].decode()).names)
        assert await imports(page.script) <= named


@pytest.mark.parametrize("name", ui.LANGUAGES)
async def test_languages(client, name):
    """Each language has every text; all but English, the API's, have those of fields, too."""
    english, texts = [await read_texts(client, each) for each in ("en", name)]
    problems = {key for key in texts if key.startswith("problem.")}
    assert set(texts) - problems == set(english)
    codes = {key.split(".")[1] for key in problems}
    assert codes == (set() if name == "en" else set(FIELD_CODES) - {"unknown"})
    for key, text in texts.items():
        assert text.strip() == text != ""
        expected = "{number}" if key in NUMBERED else "".join(_places(english.get(key, "")))
        assert "".join(_places(text)) == expected, key


async def read_texts(client, language):
    """Return the texts of all pages. Those of the admin page are a file of their own."""
    texts, more = [
        json.loads((await get(client, f"/ui/{directory}/{language}.json"))[1])
        for directory in ("languages", "languages/admin")
    ]
    assert texts.keys().isdisjoint(more)
    return texts | more


NUMBERED = {"problem.too_long", "problem.too_short"}


def _places(text):
    return sorted(re.findall(r"\{\w+\}", text))


async def test_scripts_use_the_texts_that_there_are(client):
    scripts = [(await get(client, path))[1].decode() for path in FILES if path.endswith(".js")]
    used = {key for each in scripts for key in re.findall(r'\bt\(\s*"([\w.-]+)"', each)}
    english = await read_texts(client, "en")
    assert used - set(english) == set()
    # The others are put together: of errors, views, sections, and what the admin page lists.
    kinds = {key.split(".")[0] for key in set(english) - used}
    assert kinds <= {"error", "view", "section", "admin"}


async def test_scripts_parse_no_markup_and_run_no_text(client):
    for path in FILES:
        if path.endswith(".js"):
            _, script = await get(client, path)
            found = re.findall(
                rb"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function"
                rb"|cookie\b|createContextualFragment|parseFromString|setHTML|srcdoc",
                re.sub(rb"//.*", b"", script),
            )
            assert found == [], path


async def test_the_name_of_the_product_is_text(aiohttp_client, settings, clean):
    name = "Ada & Söhne <script>\"'{product}"
    client = await aiohttp_client(create_app(replace(settings, product_name=name)))
    for path in PAGES:
        body = (await get(client, path))[1].decode()
        assert body.count("Ada &amp; Söhne &lt;script&gt;&quot;&#x27;{product}") == 2
        assert "<script>" not in body
        assert body.count("<script") == 1


def branded(settings, **environment):
    """Return settings with the branding of an environment."""
    read = read_settings(environment)
    names = ("ui_logo", "ui_accent", "ui_links", "product_name", "account_page")
    return replace(settings, **{name: getattr(read, name) for name in names})


async def test_branding(aiohttp_client, settings, clean, tmp_path):
    logo = tmp_path / "logo.svg"
    logo.write_text('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')
    links = 'Imprint https://example.com/?a="b"&c | <b>Help</b> mailto:help@example.com'
    where = branded(settings, UI_LOGO=str(logo), UI_ACCENT="#7A1FA2", UI_LINKS=links)
    client = await aiohttp_client(create_app(where))
    for path in PAGES:
        text = (await get(client, path))[1].decode()
        page = Page(text)
        assert page.inline == []
        assert page.names.count("logo.svg") == 2  # the icon, too
        assert {'https://example.com/?a="b"&c', "mailto:help@example.com"} <= set(page.names)
        assert "<b>" not in text
        assert ">&lt;b&gt;Help&lt;/b&gt;</a>" in text
    _, style = await get(client, "/ui/style.css")
    assert b"--accent: #7a1fa2" in style
    _, icon = await get(client, "/ui/icon.svg")
    assert b'fill="#7a1fa2"' in icon
    response, image = await get(client, "/ui/logo.svg")
    assert (response.status, image) == (200, logo.read_bytes())
    assert response.headers["Content-Type"] == "image/svg+xml"
    assert "script-src 'self'" in response.headers["Content-Security-Policy"]  # nothing inline


async def test_the_page_knows_where_passkeys_work(aiohttp_client, settings, clean):
    """Apps are left out: the browser compares these with the origin of the page."""
    app = f"android:apk-key-hash:{43 * 'A'}"
    origins = f"{app} https://One.example:443 https://two.one.example"
    where = read_settings({"PASSKEY_ORIGINS": origins, "PASSKEY_RP_ID": "one.example"})
    settings = replace(
        settings, passkey_origins=where.passkey_origins, passkey_rp_id=where.passkey_rp_id
    )
    client = await aiohttp_client(create_app(settings))
    _, body = await get(client, "/ui/")
    assert b' data-passkeys="https://one.example https://two.one.example">' in body


async def test_the_page_knows_that_there_are_no_passkeys(client):
    _, body = await get(client, "/ui/")
    assert b' data-passkeys="">' in body


async def test_without_branding(client):
    _, style = await get(client, "/ui/style.css")
    assert style == (ui.DIRECTORY / "style.css").read_bytes()
    for path in ("/ui/logo.svg", "/ui/logo.png"):
        assert (await get(client, path))[0].status == 404
    for path in PAGES:
        assert b"<footer></footer>" in (await get(client, path))[1]


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({"UI_ACCENT": "#ffcc00"}, "(got '#ffcc00'): its contrast with white is 1.5"),
        ({"UI_ACCENT": "blue"}, "UI_ACCENT must be a colour such as #1f5fbf, whose contrast"),
        ({"UI_ACCENT": "#12345"}, "UI_ACCENT must be a colour"),
        ({"UI_LINKS": "https://example.com"}, "'https://example.com' must be a name of at most"),
        ({"UI_LINKS": "Help javascript:alert(1)"}, "must begin with https://, http:// or mailto:"),
        ({"UI_LINKS": "Help data:text/html,x"}, "must begin with https://"),
        ({"UI_LINKS": "Help //example.com"}, "must begin with https://"),
        ({"UI_LINKS": "Help https://"}, "must begin with https://"),
        ({"UI_LINKS": "Help https://[x"}, "must begin with https://"),
        ({"UI_LINKS": "Help mailto:"}, "must begin with https://"),
        ({"UI_LINKS": "A https://a.example |"}, "'' must be a name of at most 60 characters"),
        ({"UI_LINKS": "A\tb https://a.example"}, "must be a name of at most 60 characters"),
        ({"UI_LOGO": "/absent/logo.svg"}, "it cannot be read: No such file or directory"),
        ({"UI_LOGO": "logo.jpg"}, "its name must end with .svg, .png or .webp"),
        ({"ACCOUNT_PAGE": "no"}, "ACCOUNT_PAGE must be on or off"),
    ],
)
def test_branding_that_cannot_be_used(environment, problem):
    with pytest.raises(BadSetting) as raised:
        read_settings(environment)
    assert problem in str(raised.value)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("logo.svg", b"<html>", "it does not begin as a file of the type image/svg+xml"),
        ("logo.png", b"<svg>", "it does not begin as a file of the type image/png"),
        ("logo.webp", b"\x89PNG\r\n\x1a\n", "it does not begin as a file of the type image/webp"),
        ("logo.svg", b"<svg>" + 102_400 * b" ", "it is too large"),
    ],
)
def test_logos_that_cannot_be_used(tmp_path, name, content, problem):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadSetting) as raised:
        read_settings({"UI_LOGO": str(tmp_path / name)})
    assert problem in str(raised.value)


@given(st.integers(0, 0xFFFFFF))
def test_accents_can_be_read_in_both_modes(number):
    colour = f"#{number:06x}"
    try:
        accent = branding.parse_accent(colour)
    except BadValue:
        assert branding.contrast(colour, branding.CARD) < branding.MIN_CONTRAST
        return
    tint = branding.tint(accent)
    for text, behind in (
        (accent, branding.CARD),
        (tint, branding.CARD_DARK),
        (branding.INK_DARK, tint),
    ):
        assert branding.contrast(text, behind) >= branding.MIN_CONTRAST


def test_contrast():
    """The examples of WCAG: black on white, and the darkest grey that is not enough."""
    assert branding.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert branding.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert branding.contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


def test_the_colours_of_the_style_are_those_that_accents_are_checked_with():
    style = (ui.DIRECTORY / "style.css").read_text()
    assert re.findall(r"--card: (#\w+);", style) == [branding.CARD, branding.CARD_DARK]
    assert re.findall(r"--accent: (#\w+);", style)[0] == branding.ACCENT
    assert f'fill="{branding.ACCENT}"' in (ui.DIRECTORY / "icon.svg").read_text()


@pytest.mark.parametrize("path", ["/ui", "/ui?utm_source=x"])
async def test_the_address_without_a_slash(client, path):
    """The redirect is relative to what the client asked for, and to no header of its request."""
    response = await client.get(path, headers={"Host": "evil.example"}, allow_redirects=False)
    assert (response.status, response.headers["Location"]) == (308, "ui/")


async def test_without_the_admin_page(aiohttp_client, settings, clean):
    """Without the setting there is nothing of it, and the name leads to the account page."""
    client = await aiohttp_client(create_app(replace(settings, admin="off")))
    own = set(ui.ADMIN.files) - set(ui.ACCOUNT.files)
    for path in (ui.ADMIN.path, ui.ADMIN.script, *own):
        assert (await get(client, f"/ui/{path}"))[0].status == 404
    assert (await get(client, "/ui/"))[0].status == 200


async def test_the_admin_page_without_the_account_page(aiohttp_client, settings, clean):
    client = await aiohttp_client(create_app(replace(settings, account_page="off")))
    _, body = await get(client, "/ui/admin")
    assert Page(body.decode()).names.count("admin") == 1


async def test_without_the_account_page(aiohttp_client, settings, clean):
    """Links in e-mails still work, and lead nowhere else."""
    client = await aiohttp_client(create_app(replace(settings, account_page="off")))
    for path in ("/ui", "/ui/", "/ui/account.js", "/ui/picture.js"):
        assert (await get(client, path))[0].status == 404
    for path in LINKED:
        response, body = await get(client, path)
        assert response.status == 200
        assert b'id="home"' not in body


async def test_a_query_changes_nothing(client):
    """Mail programs and trackers append parameters to links."""
    for path in PAGES:
        _, body = await get(client, path)
        response, same = await get(client, f"{path}?utm_source=mail&token=%3Cscript%3E")
        assert (response.status, same) == (200, body)
        assert response.headers["Cache-Control"] == "no-cache"


async def test_nothing_else_is_there(client, raw):
    for path in (
        "/ui//",
        "/ui/account",
        "/ui/admin/",
        "/ui/admin.html",
        "/ui/languages/admin",
        "/ui/page.html",
        "/ui/languages",
        "/ui/languages/",
        "/ui/languages/../page.html",
        "/ui/verify-email/",
        "/ui/verify-email.html",
        "/ui/reset-password.html",
        "/ui/../settings.py",
        "/ui/%2e%2e/settings.py",
        "/ui/..%2fsettings.py",
        "/ui/API.JS",
        "/ui/api.js/",
        "/latchkey/ui/verify-email",
    ):
        response = await raw(client, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert response.startswith(b"HTTP/1.1 404 "), path


@pytest.mark.parametrize(("dialects", "status"), [({"kust": Mount()}, 404), (None, 200)])
async def test_the_pages_come_with_their_dialect(aiohttp_client, settings, clean, dialects, status):
    dialects = dialects or {"latchkey": Mount("/api")}
    client = await aiohttp_client(create_app(replace(settings, dialects=dialects, docs="off")))
    for path in EVERYTHING:
        assert (await get(client, path))[0].status == status
    # The pages use the paths under the dialect's name, which are there wherever it is mounted.
    response = await client.post("/latchkey/v1/password-resets/check", json={"token": "x"})
    assert response.status == (404 if status == 404 else 400)


async def test_the_files_are_read_once_and_not_before_they_are_asked_for(
    aiohttp_client, settings, clean, monkeypatch
):
    reads, read = Counter(), Path.read_bytes

    def note(file):
        reads.update([str(file).removeprefix(f"{ui.DIRECTORY}/")])
        return read(file)

    monkeypatch.setattr(Path, "read_bytes", note)
    client = await aiohttp_client(create_app(settings))
    assert (await get(client, "/healthz"))[0].status == 200
    assert not set(NAMES) & set(reads)
    await asyncio.gather(*(get(client, path) for path in EVERYTHING * 3))
    assert {reads[name] for name in NAMES} == {1}
