"""The page at /docs: the dialects in Swagger UI, to be read and tried out.

Swagger UI is in openapi/swagger-ui; the page itself, its script, style and icon are openapi/page.*.
The page loads nothing from anywhere else, and names everything by relative URLs, so that it works
below a proxy's path, too.
"""

import asyncio
import gzip
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from aiohttp import hdrs, web

from handlers.dialects import drf
from handlers.http.response import Response
from handlers.routes import GET, Checks, Handler, Routes
from handlers.system.openapi import DIRECTORY

HTML, CSS, SCRIPT = (f"text/{kind}; charset=utf-8" for kind in ("html", "css", "javascript"))
SWAGGER_UI = DIRECTORY / "swagger-ui"
VENDORED = {
    "swagger-ui.css": CSS,
    "swagger-ui-bundle.js": SCRIPT,
    "swagger-ui-standalone-preset.js": SCRIPT,
}
OURS = {"page.css": CSS, "page.js": SCRIPT, "page.svg": "image/svg+xml"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; form-action 'none'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    hdrs.X_CONTENT_TYPE_OPTIONS: "nosniff",
    hdrs.VARY: hdrs.ACCEPT_ENCODING,
}
FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class File:
    """What is served at one path; `tag` changes with its content."""

    content: bytes
    packed: bytes
    media_type: str
    tag: str


class Shelf:
    """The files by their paths. They are read when the first is asked for: most workers never are.

    Together they take 2.7 MB, and a tenth of a second to pack.
    """

    def __init__(self, read: Callable[[], dict[str, File]]) -> None:
        self._read = read
        self._files: dict[str, File] = {}
        self._reading = asyncio.Lock()

    async def take(self, path: str) -> File:
        """Return the file that is served at a path."""
        async with self._reading:
            if not self._files:
                self._files = await asyncio.to_thread(self._read)
        return self._files[path]


def routes(dialects: Iterable[str]) -> Routes:
    """Return the endpoints of the page of these dialects."""
    shelf = Shelf(partial(_read_all, " ".join(dialects)))
    paths = ["/docs", "/docs/", *(f"/docs/{name}" for name in [*VENDORED, *OURS])]
    found = Routes(drf.render_error, Checks(method_first=True))
    for path in paths:
        found.open(path, methods=GET)(_serve(shelf, path))
    return found


def _read_all(dialects: str) -> dict[str, File]:
    files = {
        name: _file((directory / name).read_bytes(), media_type)
        for directory, names in ((SWAGGER_UI, VENDORED), (DIRECTORY, OURS))
        for name, media_type in names.items()
    }
    html = (DIRECTORY / "page.html").read_text().replace("{dialects}", dialects)
    for name, file in files.items():
        html = html.replace(f'"docs/{name}"', f'"docs/{name}?v={file.tag}"')
    below = html.replace('"docs/', '"')
    pages = {"/docs": _file(html.encode(), HTML), "/docs/": _file(below.encode(), HTML)}
    return pages | {f"/docs/{name}": file for name, file in files.items()}


def _file(content: bytes, media_type: str) -> File:
    tag = hashlib.sha256(content).hexdigest()[:16]
    return File(content, gzip.compress(content, mtime=0), media_type, tag)


def _serve(shelf: Shelf, path: str) -> Handler:
    async def show(request: web.Request) -> Response:
        return _answer(request, await shelf.take(path))

    return show


def _answer(request: web.Request, file: File) -> Response:
    # While versions change, a page of one may ask a server of the other: that is not to be kept.
    caching = FOR_EVER if request.query.get("v") == file.tag else "no-cache"
    headers = {**HEADERS, hdrs.ETAG: f'W/"{file.tag}"', hdrs.CACHE_CONTROL: caching}
    if any(known.value in (file.tag, "*") for known in request.if_none_match or ()):
        return Response(304, headers=headers)
    if not _takes_gzip(request):
        return Response(body=file.content, media_type=file.media_type, headers=headers)
    headers[hdrs.CONTENT_ENCODING] = "gzip"
    return Response(body=file.packed, media_type=file.media_type, headers=headers)


def _takes_gzip(request: web.Request) -> bool:
    for coding in request.headers.get(hdrs.ACCEPT_ENCODING, "").lower().split(","):
        name, _, weight = coding.replace(" ", "").partition(";")
        if name == "gzip":
            return weight.rstrip("0.") != "q="
    return False
