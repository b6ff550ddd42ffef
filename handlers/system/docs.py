"""The page at /docs: the dialects in Swagger UI.

Swagger UI is in openapi/swagger-ui; the page, its script, style and icon are openapi/page.*. The
page loads nothing from other hosts and uses relative URLs, so that it works below a proxy's path.
"""

from collections.abc import Iterable
from functools import partial

from handlers.dialects import drf
from handlers.routes import GET, Checks, Routes
from handlers.system.openapi import DIRECTORY
from handlers.system.static_files import CSS, HTML, SCRIPT, SVG, File, FileCache, make_file, serve

SWAGGER_UI = DIRECTORY / "swagger-ui"
VENDORED = {
    "swagger-ui.css": CSS,
    "swagger-ui-bundle.js": SCRIPT,
    "swagger-ui-standalone-preset.js": SCRIPT,
}
PAGE_FILES = {"page.css": CSS, "page.js": SCRIPT, "page.svg": SVG}


def routes(dialects: Iterable[str]) -> Routes:
    """Return the endpoints of the page for these dialects."""
    files = FileCache(partial(_read_all, " ".join(dialects)))
    paths = ["/docs", "/docs/", *(f"/docs/{name}" for name in [*VENDORED, *PAGE_FILES])]
    found = Routes(drf.render_error, Checks(method_first=True))
    for path in paths:
        found.open(path, methods=GET)(serve(files, path))
    return found


def _read_all(dialects: str) -> dict[str, File]:
    files = {
        name: make_file((directory / name).read_bytes(), media_type)
        for directory, names in ((SWAGGER_UI, VENDORED), (DIRECTORY, PAGE_FILES))
        for name, media_type in names.items()
    }
    html = (DIRECTORY / "page.html").read_text().replace("{dialects}", dialects)
    for name, file in files.items():
        html = html.replace(f'"docs/{name}"', f'"docs/{name}?v={file.tag}"')
    below = html.replace('"docs/', '"')
    pages = {"/docs": make_file(html.encode(), HTML), "/docs/": make_file(below.encode(), HTML)}
    return pages | {f"/docs/{name}": file for name, file in files.items()}
