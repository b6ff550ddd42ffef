"""Serves files: read once, compressed, with an ETag and strict headers.

A page loads nothing from other hosts, runs no inline script, and cannot be framed.
"""

import asyncio
import gzip
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import hdrs, web

from handlers.http.response import Response
from handlers.routes import Handler

HTML, CSS, SCRIPT = (f"text/{kind}; charset=utf-8" for kind in ("html", "css", "javascript"))
SVG = "image/svg+xml"
JSON = "application/json"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; form-action 'none'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Referrer-Policy": "no-referrer",
    hdrs.X_CONTENT_TYPE_OPTIONS: "nosniff",
    hdrs.VARY: hdrs.ACCEPT_ENCODING,
}
UNCHANGED = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class File:
    """The file of one path; `tag` changes with its content."""

    content: bytes
    compressed: bytes
    media_type: str
    tag: str


class FileCache:
    """The files by their paths. The first request reads them; most workers never get one.

    Together they have 2.7 MB and take 0.1 s to compress.
    """

    def __init__(self, read: Callable[[], dict[str, File]]) -> None:
        self._read = read
        self._files: dict[str, File] = {}
        self._reading = asyncio.Lock()

    async def get(self, path: str) -> File:
        """Return the file of a path."""
        async with self._reading:
            if not self._files:
                self._files = await asyncio.to_thread(self._read)
        return self._files[path]


def make_file(content: bytes, media_type: str) -> File:
    """Return a file with its compressed content and its tag."""
    tag = hashlib.sha256(content).hexdigest()[:16]
    return File(content, gzip.compress(content, mtime=0), media_type, tag)


def serve(files: FileCache, path: str, policy: str = POLICY) -> Handler:
    """Return a handler of GET that serves one of the files under a Content-Security-Policy."""

    async def show(request: web.Request) -> Response:
        return _respond(request, await files.get(path), policy)

    return show


def _respond(request: web.Request, file: File, policy: str) -> Response:
    # During an update, a page of one version may load a file of the other: do not cache that.
    caching = UNCHANGED if request.query.get("v") == file.tag else "no-cache"
    headers = {
        **HEADERS,
        "Content-Security-Policy": policy,
        hdrs.ETAG: f'W/"{file.tag}"',
        hdrs.CACHE_CONTROL: caching,
    }
    if any(known.value in (file.tag, "*") for known in request.if_none_match or ()):
        return Response(304, headers=headers)
    if not _takes_gzip(request):
        return Response(body=file.content, media_type=file.media_type, headers=headers)
    headers[hdrs.CONTENT_ENCODING] = "gzip"
    return Response(body=file.compressed, media_type=file.media_type, headers=headers)


def _takes_gzip(request: web.Request) -> bool:
    for coding in request.headers.get(hdrs.ACCEPT_ENCODING, "").lower().split(","):
        name, _, weight = coding.replace(" ", "").partition(";")
        if name == "gzip":
            return weight.rstrip("0.") != "q="
    return False
