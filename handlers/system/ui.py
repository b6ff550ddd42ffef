"""The pages for people: the account page, and the pages that links in e-mails lead to.

Their files are in ui/: CSS and ES modules that use the dialect latchkey, and ui/page.html, which
all pages share. Each page runs the script with its name. VERIFY_URL and RESET_URL may make links
lead elsewhere.
"""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aiohttp import hdrs, web

from handlers.dialects import drf
from handlers.http.response import Response
from handlers.routes import GET, Checks, Routes
from handlers.system.branding import ACCENT, PageOptions
from handlers.system.static_files import (
    CSS,
    HTML,
    JSON,
    SCRIPT,
    SVG,
    File,
    FileCache,
    make_file,
    serve,
)

DIRECTORY = Path(__file__).parents[2] / "ui"
TYPES = {".css": CSS, ".js": SCRIPT, ".json": JSON, ".svg": SVG}
LANGUAGES = ("en", "de")
SHARED = (
    "api.js",
    "dialogs.js",
    "elements.js",
    "forms.js",
    "frame.js",
    "icon.svg",
    "language.js",
    "session.js",
    "storage.js",
    "style.css",
    *(f"languages/{language}.json" for language in LANGUAGES),
)
"""The files that every page may use."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""No page turns text into markup or code: a browser that knows trusted types refuses it."""


@dataclass(frozen=True)
class Page:
    """A page: its path below /ui/, its script, its title in English, and its other files.

    `home` is where the name of the product leads to.
    """

    path: str
    script: str
    title: str
    files: Sequence[str] = ()
    home: str = "."


ACCOUNT = Page(
    "",
    "account.js",
    "Your account",
    (
        "confirm-session.js",
        "devices.js",
        "passkeys.js",
        "picture.js",
        "profile.js",
        "second-factor.js",
        "security.js",
        "sign-in.js",
    ),
)
ADMIN = Page(
    "admin",
    "admin.js",
    "Administration",
    (
        "admin.css",
        "admin-account.js",
        "admin-accounts.js",
        "admin-api.js",
        "admin-events.js",
        "admin-factors.js",
        "admin-gallery.js",
        "admin-live.js",
        "confirm-session.js",
        *(f"languages/admin/{language}.json" for language in LANGUAGES),
    ),
    home="admin",
)
LINKED = (
    Page("verify-email", "verify-email.js", "Verify your e-mail address"),
    Page("reset-password", "reset-password.js", "Reset your password"),
)


def routes(options: PageOptions) -> Routes:
    """Return the endpoints of the pages."""
    pages = [
        *LINKED,
        *([ACCOUNT] if options.account else []),
        *([ADMIN] if options.admin else []),
    ]
    names = {*SHARED, *(name for page in pages for name in (page.script, *page.files))}
    files = FileCache(partial(_read_all, options, pages, names))
    paths = [*(page.path for page in pages), *names]
    if options.logo:
        paths.append(f"logo{options.logo.suffix}")
    found = Routes(drf.render_error, Checks(method_first=True))
    for path in paths:
        handler = serve(files, f"/ui/{path}", POLICY)
        found.open(f"/ui/{path}", methods=GET, cors=False)(handler)
    if options.account:
        found.open("/ui", methods=GET, cors=False)(_add_slash)
    return found


async def _add_slash(request: web.Request) -> Response:
    """GET /ui: redirect to /ui/, also below a proxy's path."""
    return Response(308, headers={hdrs.LOCATION: "ui/"})


def _read_all(options: PageOptions, pages: Sequence[Page], names: set[str]) -> dict[str, File]:
    contents = {name: (DIRECTORY / name).read_bytes() for name in names}
    contents["style.css"] += options.style.encode()
    contents["icon.svg"] = contents["icon.svg"].replace(ACCENT.encode(), options.accent.encode())
    files = {
        f"/ui/{name}": make_file(content, TYPES[Path(name).suffix])
        for name, content in contents.items()
    }
    if logo := options.logo:
        files[f"/ui/logo{logo.suffix}"] = make_file(logo.content, logo.media_type)
    template = (DIRECTORY / "page.html").read_text("utf-8")
    for page in pages:
        content = _fill(template, _parts(options, page))
        files[f"/ui/{page.path}"] = make_file(content.encode(), HTML)
    return files


def _parts(options: PageOptions, page: Page) -> dict[str, str]:
    icon = f"logo{options.logo.suffix}" if options.logo else "icon.svg"
    files = (*SHARED, *page.files)
    styles = [name for name in files if name.endswith(".css")]
    scripts = [name for name in files if name.endswith(".js")]
    home = "" if page.home == "." and not options.account else page.home
    image = f'<img src="{icon}" alt="" height="32">'
    name = f"{image}<span>{html.escape(options.product)}</span>"
    return {
        "languages": " ".join(LANGUAGES),
        "passkeys": " ".join(options.passkey_origins),
        "title": page.title,
        "product": html.escape(options.product),
        "icon": icon,
        "styles": "\n".join(f'<link rel="stylesheet" href="{each}">' for each in styles),
        "preloads": "\n".join(f'<link rel="modulepreload" href="{each}">' for each in scripts),
        "script": page.script,
        "home": f'<a id="home" href="{home}">{name}</a>' if home else name,
        "links": "".join(
            f'<a href="{html.escape(url)}" rel="noreferrer">{html.escape(text)}</a>'
            for text, url in options.links
        ),
    }


def _fill(template: str, parts: Mapping[str, str]) -> str:
    """Return the template with its parts, in one pass: a name may have braces in it."""
    return re.sub(r"\{(\w+)\}", lambda found: parts[found[1]], template)
