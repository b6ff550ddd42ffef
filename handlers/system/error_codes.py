"""The page at /docs/errors: the error codes of the dialect latchkey.

The `type` of each problem is the URL of its row. The page is served wherever the dialect is
mounted, with DOCS=off too, because responses refer to it.
"""

import html
import re

from handlers.dialects import drf
from handlers.problem_codes import FIELD_CODES, PROBLEMS
from handlers.routes import GET, Checks, Routes
from handlers.system.openapi import DIRECTORY
from handlers.system.static_files import CSS, HTML, File, FileCache, make_file, serve

PATHS = ("/docs/errors", "/docs/errors.css")


def routes() -> Routes:
    """Return the endpoints of the page and its style sheet."""
    files = FileCache(_read_all)
    found = Routes(drf.render_error, Checks(method_first=True))
    for path in PATHS:
        found.open(path, methods=GET, cors=False)(serve(files, path))
    return found


def _read_all() -> dict[str, File]:
    problems = [
        _row(code, code, status, title, advice)
        for code, (status, title, advice) in PROBLEMS.items()
    ]
    fields = [_row(f"field-{code}", code, meaning) for code, meaning in FIELD_CODES.items()]
    page = (DIRECTORY / "errors.html").read_text()
    for name, rows in (("{problems}", problems), ("{fields}", fields)):
        page = page.replace(name, "\n".join(rows))
    style = (DIRECTORY / "errors.css").read_bytes()
    return dict(zip(PATHS, (make_file(page.encode(), HTML), make_file(style, CSS)), strict=True))


def _row(anchor: str, code: str, *cells: object) -> str:
    columns = [f"<code>{code}</code>", *map(_cell, cells)]
    return f'<tr id="{anchor}">{"".join(f"<td>{column}</td>" for column in columns)}</tr>'


def _cell(text: object) -> str:
    return re.sub("`(.+?)`", r"<code>\1</code>", html.escape(str(text)))
