"""How the pages of ui/ look: the name, the logo, the accent colour and the links of the product."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from store.errors import BadValue

ACCENT = "#1f5fbf"
"""The accent colour of style.css, which has its own tint for dark mode."""
CARD, CARD_DARK, INK_DARK = "#ffffff", "#1d2127", "#10141a"
"""The backgrounds of text in the accent colour, and the text on it in dark mode: see style.css."""
MIN_CONTRAST = 4.5
"""WCAG 2.2, 1.4.3: text needs this contrast with its background."""
MAX_LOGO_BYTES = 100 * 1024
ACCENT_FORM = f"a colour such as {ACCENT}, whose contrast with white is {MIN_CONTRAST} or more"
LOGO_FORM = "an SVG, PNG or WebP file of at most 100 KiB"
LINKS_FORM = (
    "names and URLs, such as Imprint https://example.com/imprint | Help mailto:help@example.com"
)

_KINDS = {
    ".svg": ("image/svg+xml", re.compile(rb"\s*<(?:\?xml|!--|!DOCTYPE svg|svg)", re.IGNORECASE)),
    ".png": ("image/png", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ".webp": ("image/webp", re.compile(rb"RIFF....WEBP", re.DOTALL)),
}
_SEEN = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Logo:
    """An image file, as it is served."""

    content: bytes
    media_type: str
    suffix: str


@dataclass(frozen=True, slots=True)
class PageOptions:
    """What the settings say about the pages.

    `links` are names and URLs. `account` is whether the account page is served, `admin` the admin
    page with its API. `passkey_origins` are the origins of web pages that may use passkeys.
    """

    product: str = "Latchkey"
    accent: str = ACCENT
    logo: Logo | None = None
    links: tuple[tuple[str, str], ...] = ()
    account: bool = True
    admin: bool = False
    passkey_origins: tuple[str, ...] = ()

    @property
    def style(self) -> str:
        """Return the CSS that sets the accent colour: in dark mode, a lighter tint of it."""
        if self.accent == ACCENT:
            return ""
        dark = tint(self.accent)
        return (
            f":root {{ --accent: {self.accent}; --on-accent: {CARD}; }}\n"
            "@media (prefers-color-scheme: dark) { "
            f":root {{ --accent: {dark}; --on-accent: {INK_DARK}; }} }}\n"
        )


def parse_accent(text: str) -> str:
    """Return a colour that can be read on white, and behind white. Raises ValueError."""
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        raise ValueError
    found = contrast(text, CARD)
    if found < MIN_CONTRAST:
        raise BadValue(f"its contrast with white is {found:.1f}")
    return text.lower()


def parse_logo(text: str) -> Logo:
    """Return the logo in a file. Raises BadValue with the reason."""
    file = Path(text)
    if file.suffix not in _KINDS:
        raise BadValue("its name must end with .svg, .png or .webp")
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_LOGO_BYTES + 1)
    except OSError as error:
        raise BadValue(f"it cannot be read: {error.strerror}") from None
    media_type, begin = _KINDS[file.suffix]
    if len(content) > MAX_LOGO_BYTES:
        raise BadValue("it is too large")
    if not begin.match(content):
        raise BadValue(f"it does not begin as a file of the type {media_type}")
    return Logo(content, media_type, file.suffix)


def parse_links(text: str) -> tuple[tuple[str, str], ...]:
    """Return names and URLs; `|` separates the links. Raises BadValue with the reason."""
    return tuple(_parse_link(each.strip()) for each in text.split("|"))


def _parse_link(text: str) -> tuple[str, str]:
    name, _, url = text.rpartition(" ")
    name = name.strip()
    if not name or len(name) > 60 or not name.isprintable():
        raise BadValue(f"{text[:80]!a} must be a name of at most 60 characters, a space and a URL")
    if not _SEEN.fullmatch(url) or not _is_safe(url):
        raise BadValue(f"{url[:80]!a} must begin with https://, http:// or mailto:")
    return name, url


def _is_safe(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if parts.scheme == "mailto":
        return bool(parts.path)
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as WCAG 2.2 defines it, from 1 to 21."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def tint(colour: str) -> str:
    """Return a colour mixed with as much white as text on a dark card needs."""
    channels = _channels(colour)
    for percent in range(0, 101, 5):
        mixed = [round(each + (255 - each) * percent / 100) for each in channels]
        mixed_colour = "#{:02x}{:02x}{:02x}".format(*mixed)
        if contrast(mixed_colour, CARD_DARK) >= 1.3 * MIN_CONTRAST:
            break
    return mixed_colour


def _channels(colour: str) -> list[int]:
    return [int(colour[start : start + 2], 16) for start in (1, 3, 5)]


def _luminance(colour: str) -> float:
    shares = [each / 255 for each in _channels(colour)]
    linear = [
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in shares
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
