"""The page at /docs: complete, without files of other hosts, and nothing else is served."""

import asyncio
import contextlib
import gzip
import json
import re
import socket
import tracemalloc
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from yarl import URL

from app import create_app
from handlers.http.encoder import CHUNK_BYTES
from handlers.mounts import Mount
from handlers.system import docs
from settings import Settings

PAGES = ("/docs", "/docs/")
FILES = [f"/docs/{name}" for name in [*docs.VENDORED, *docs.PAGE_FILES]]
EVERYTHING = [*PAGES, *FILES]
LARGEST = "/docs/swagger-ui-bundle.js"
MIDDLE = "/docs/swagger-ui.css"
POLICY = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "font-src 'self' data:",
    "connect-src 'self'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
}


class Page(HTMLParser):
    """The URLs of a page, and what a browser runs or shows without a request."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.inline: list[str] = []
        self.dialects: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.names += [attributes[name] for name in ("src", "href") if name in attributes]
        self.inline += [name for name in attributes if name == "style" or name.startswith("on")]
        self.inline += [tag] * (tag == "style" or (tag == "script" and "src" not in attributes))
        self.dialects += attributes.get("data-dialects", "").split()


async def get(client, path, **headers):
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    response = await client.get(URL(path, encoded=True), headers=sent)
    return response, await response.read()


async def page(client, path):
    return Page((await get(client, path))[1].decode())


@pytest.mark.parametrize("path", PAGES)
async def test_the_page(client, path):
    response, body = await get(client, path)
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert b"<title>Latchkey</title>" in body
    found = Page(body.decode())
    assert found.dialects == list(Settings().dialects)
    assert found.inline == []


async def test_headers(client):
    for path in EVERYTHING:
        response, _ = await get(client, path)
        policy = response.headers["Content-Security-Policy"].split("; ")
        assert (len(policy), set(policy)) == (len(POLICY), POLICY)
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Vary"] == "Accept-Encoding"
        assert response.headers["X-Request-ID"]


@pytest.mark.parametrize("path", PAGES)
async def test_all_that_the_page_names_is_served_and_kept_for_ever(client, path):
    named = (await page(client, path)).names
    urls = [URL(path).join(URL(name)) for name in named]
    assert sorted(url.path for url in urls) == sorted(FILES)
    kinds = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
    for url in urls:
        response, body = await get(client, str(url))
        assert (response.status, response.content_type) == (200, kinds[Path(url.path).suffix])
        assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert len(body) > 100


async def test_nothing_is_named_below_the_root(client):
    """A proxy may serve all of this below another path."""
    for path in PAGES:
        assert not [name for name in (await page(client, path)).names if name.startswith("/")]
    _, script = await get(client, "/docs/page.js")
    assert re.findall(rb"""["'`]/\w""", script) == []


async def test_nothing_is_fetched_from_elsewhere(client):
    for path in (*PAGES, "/docs/page.js", "/docs/page.css"):
        assert re.findall(rb"//\w.{20}", (await get(client, path))[1]) == []
    for path in ("/docs/page.css", "/docs/swagger-ui.css"):
        _, style = await get(client, path)
        assert b"@import" not in style
        assert set(re.findall(rb"url\(\W*(\w+:)", style)) <= {b"data:"}
        assert len(re.findall(rb"url\(", style)) == len(re.findall(rb"url\(\W*data:", style))


async def test_the_script_asks_nobody_for_a_verdict(client):
    """By default Swagger UI sends the description's address to a validator on the Internet."""
    _, script = await get(client, "/docs/page.js")
    assert b'validatorUrl: "none"' in script


async def test_gzip_for_those_who_take_it(client):
    for path in EVERYTHING:
        plain, content = await get(client, path, Accept_Encoding="identity")
        assert "Content-Encoding" not in plain.headers
        packed, same = await get(client, path, Accept_Encoding="gzip")
        assert packed.headers["Content-Encoding"] == "gzip"
        assert same == content
        assert int(packed.headers["Content-Length"]) < len(content)
        assert int(plain.headers["Content-Length"]) == len(content)


async def test_what_counts_as_taking_gzip(client):
    for accepted, packed in [
        ("gzip", True),
        ("br, GZip;q=0.8", True),
        ("deflate, gzip; q=0.001", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("x-gzip-not", False),
    ]:
        response, _ = await get(client, "/docs/page.css", Accept_Encoding=accepted)
        assert ("Content-Encoding" in response.headers) == packed, accepted


async def test_what_is_known_is_not_sent_again(client):
    for path in EVERYTHING:
        first, content = await get(client, path)
        assert first.headers["Cache-Control"] == "no-cache"
        tag = first.headers["ETag"]
        for known in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
            response, body = await get(client, path, If_None_Match=known)
            assert (response.status, body, response.headers["ETag"]) == (304, b"", tag)
        response, body = await get(client, path, If_None_Match='"other"')
        assert (response.status, body) == (200, content)


async def test_a_file_of_another_version_is_not_kept(client):
    """During an update a page of the new version may load a file of the old one."""
    tag = (await get(client, LARGEST))[0].headers["ETag"].strip('W/"')
    for version, kept in ((tag, True), ("0123456789abcdef", False), ("", False)):
        response, _ = await get(client, f"{LARGEST}?v={version}")
        assert response.status == 200
        assert ("immutable" in response.headers["Cache-Control"]) == kept


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
        response = await client.options(path)
        assert response.status == 200
        assert "GET" in response.headers["Access-Control-Allow-Methods"].split(", ")


async def test_nothing_else_is_there(client, raw):
    for path in (
        "/docs/../settings.py",
        "/docs/../openapi/page.js",
        "/docs/%2e%2e/settings.py",
        "/docs/..%2fsettings.py",
        "/docs/..%5csettings.py",
        "/docs//etc/passwd",
        "/docs/%2fetc%2fpasswd",
        "/docs/page.js%00",
        "/docs/page.js/",
        "/docs/page.js/../page.css",
        "/docs/PAGE.JS",
        "/docs/page.html",
        "/docs/swagger-ui.js",
        "/docs/oauth2-redirect.html",
        "/docs/VERSION",
        "/docs/nothing",
        "/docs//",
        "/lumotist/docs",
    ):
        response = await raw(client, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert response.startswith(b"HTTP/1.1 404 "), path
        assert response.endswith(b'{"detail":"Not found."}'), path


async def test_only_what_is_mounted(aiohttp_client, settings, clean):
    client = await aiohttp_client(create_app(replace(settings, dialects={"kust": Mount("/v1")})))
    assert (await page(client, "/docs")).dialects == ["kust"]


@pytest.mark.parametrize(
    ("prefix", "urls"), [("/kust", ["/kust"]), ("/v1", ["/kust", "/v1"]), ("/", ["/kust", "/"])]
)
async def test_a_description_names_each_place_once(aiohttp_client, settings, clean, prefix, urls):
    client = await aiohttp_client(create_app(replace(settings, dialects={"kust": Mount(prefix)})))
    _, body = await get(client, "/kust/openapi.json")
    assert [each["url"] for each in json.loads(body)["servers"]] == urls


async def test_off(aiohttp_client, settings, clean):
    client = await aiohttp_client(create_app(replace(settings, docs="off")))
    for path in EVERYTHING:
        response, body = await get(client, path)
        assert (response.status, body) == (404, b'{"detail":"Not found."}')
    assert (await get(client, "/openapi.json"))[0].status == 200
    assert (await get(client, "/kust/openapi.json"))[0].status == 200


async def test_the_files_are_read_once_and_not_before_they_are_asked_for(
    aiohttp_client, settings, clean, monkeypatch
):
    reads, read = Counter(), Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda file: (reads.update([file.name]), read(file))[1])
    client = await aiohttp_client(create_app(settings))
    assert (await get(client, "/healthz"))[0].status == 200
    assert not {Path(path).name for path in FILES} & set(reads)
    responses = await asyncio.gather(*(get(client, path) for path in EVERYTHING * 3))
    assert {response.status for response, _ in responses} == {200}
    assert {reads[Path(path).name] for path in FILES} == {1}


async def ask_and_do_not_read(client, stack, request):
    """Request a file repeatedly: the system's buffers hold a few megabytes."""
    slow = stack.enter_context(socket.socket())
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(slow, (client.host, client.port))
    await loop.sock_sendall(slow, request)
    return slow


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "encoding", "times"),
    [(LARGEST, "identity", 5), (MIDDLE, "identity", 40), (MIDDLE, "gzip", 300)],
    ids=["1.5 MB", "188 KB", "26 KB, sent at once"],
)
async def test_a_client_that_does_not_read_costs_little(client, path, encoding, times):
    """Otherwise a thousand such clients hold gigabytes."""
    _, content = await get(client, path, Accept_Encoding="identity")
    content = gzip.compress(content, mtime=0) if encoding == "gzip" else content
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: {encoding}\r\n\r\n"
    request = head.encode() * times
    with contextlib.ExitStack() as stack:
        stack.callback(tracemalloc.stop)
        tracemalloc.start()
        slow = [await ask_and_do_not_read(client, stack, request) for _ in range(10)]
        await asyncio.sleep(1)
        held = tracemalloc.get_traced_memory()[0]
        assert held < len(slow) * 4 * CHUNK_BYTES  # the transport's buffer, and the next response
        slow[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**20)
        received = bytearray()
        while len(received) < times * len(content) or received.count(content) < times:
            more = asyncio.get_running_loop().sock_recv(slow[0], 2**20)
            received += await asyncio.wait_for(more, 5)
    assert received.count(content) == times
