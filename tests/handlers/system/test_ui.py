"""The pages that links in e-mails lead to: their headers, their files, and nothing else."""

import asyncio
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from yarl import URL

from app import create_app
from handlers.mounts import Mount
from handlers.system import ui
from mail.links import RESET_PAGE, VERIFY_PAGE
from tests.handlers.system.test_docs import POLICY, Page, get

PAGES = [f"/ui/{name}" for name in ui.PAGES]
FILES = [f"/ui/{name}" for name in ui.FILES]
EVERYTHING = [*PAGES, *FILES]
KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    "": "text/html; charset=utf-8",
}


def test_links_lead_to_the_pages():
    assert {link.partition("#")[0] for link in (RESET_PAGE, VERIFY_PAGE)} == set(PAGES)


def test_every_file_of_the_directory_is_served():
    there = {file.name for file in ui.DIRECTORY.iterdir()}
    assert there == {*ui.FILES, *(f"{name}.html" for name in ui.PAGES)}


async def test_headers(client):
    for path in EVERYTHING:
        response, body = await get(client, path)
        assert response.status == 200
        assert len(body) > 100
        assert response.headers["Content-Type"] == KINDS[Path(path).suffix]
        policy = response.headers["Content-Security-Policy"].split("; ")
        assert (len(policy), set(policy)) == (len(POLICY), POLICY)
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
            assert str(URL(path).join(URL(name))) in FILES
    for path in FILES:
        if path.endswith(".js"):
            _, script = await get(client, path)
            assert re.findall(rb"""["'`]/\w|https?:""", script) == []
            for name in re.findall(rb'from "\./([\w.-]+)"', script):
                assert f"/ui/{name.decode()}" in FILES
    _, style = await get(client, "/ui/style.css")
    assert re.findall(rb"@import|url\(|//", style) == []


async def test_the_name_of_the_product_is_text(aiohttp_client, settings, clean):
    name = "Ada & Söhne <script>\"'{product}"
    client = await aiohttp_client(create_app(replace(settings, product_name=name)))
    for path in PAGES:
        body = (await get(client, path))[1].decode()
        assert body.count("Ada &amp; Söhne &lt;script&gt;&quot;&#x27;{product}") == 2
        assert "<script>" not in body
        assert body.count("<script") == 1


async def test_a_query_changes_nothing(client):
    """Mail programs and trackers append parameters to links."""
    for path in PAGES:
        _, body = await get(client, path)
        response, same = await get(client, f"{path}?utm_source=mail&token=%3Cscript%3E")
        assert (response.status, same) == (200, body)
        assert response.headers["Cache-Control"] == "no-cache"


async def test_nothing_else_is_there(client, raw):
    for path in (
        "/ui",
        "/ui/",
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
    monkeypatch.setattr(Path, "read_bytes", lambda file: (reads.update([file.name]), read(file))[1])
    client = await aiohttp_client(create_app(settings))
    assert (await get(client, "/healthz"))[0].status == 200
    assert not set(ui.FILES) & set(reads)
    await asyncio.gather(*(get(client, path) for path in EVERYTHING * 3))
    assert {reads[name] for name in ui.FILES} == {1}
