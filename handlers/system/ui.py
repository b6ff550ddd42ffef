"""The pages that links in e-mails lead to, unless VERIFY_URL and RESET_URL name others.

Their files are in ui/: plain HTML, CSS and ES modules that use the dialect latchkey.
"""

import html
from functools import partial
from pathlib import Path

from handlers.dialects import drf
from handlers.routes import GET, Checks, Routes
from handlers.system.static_files import CSS, HTML, SCRIPT, SVG, File, FileCache, make_file, serve

DIRECTORY = Path(__file__).parents[2] / "ui"
PAGES = ("verify-email", "reset-password")
TYPES = {".css": CSS, ".js": SCRIPT, ".svg": SVG}
FILES = ("api.js", "icon.svg", "reset-password.js", "style.css", "verify-email.js")


def routes(product: str) -> Routes:
    """Return the endpoints of the pages, which name the product."""
    files = FileCache(partial(_read_all, product))
    found = Routes(drf.render_error, Checks(method_first=True))
    for name in (*PAGES, *FILES):
        found.open(f"/ui/{name}", methods=GET, cors=False)(serve(files, f"/ui/{name}"))
    return found


def _read_all(product: str) -> dict[str, File]:
    files = {
        f"/ui/{name}": make_file((DIRECTORY / name).read_bytes(), TYPES[Path(name).suffix])
        for name in FILES
    }
    for name in PAGES:
        page = (DIRECTORY / f"{name}.html").read_text("utf-8")
        content = page.replace("{product}", html.escape(product)).encode()
        files[f"/ui/{name}"] = make_file(content, HTML)
    return files
