"""Links into an app, as options name them: {uid} is the account's id, {token} the link's token."""

import base64
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from store.errors import BadValue

_SEEN = re.compile(r"[!-~]+")
_FORBIDDEN_SCHEMES = frozenset({"about", "blob", "data", "file", "javascript", "vbscript"})


def check_app_link(option: str, link: str, holes: Sequence[str] = ("{uid}", "{token}")) -> None:
    """Raise BadValue unless a link is "", or a URL with each of the holes once.

    Apps read them from the path as well as from the fragment, so the token may be in either.
    """
    if not link:
        return
    url, bare = urlsplit(link), link
    for hole in holes:
        bare = bare.replace(hole, "", 1)
    if (
        not _SEEN.fullmatch(link)
        or set(bare) & set("{}\"<>\\^`|'")
        or not url.scheme
        or url.scheme in _FORBIDDEN_SCHEMES
        or (url.scheme in ("http", "https") and not url.hostname)
        or "{" in url.netloc
    ):
        example = "/".join(holes)
        raise BadValue(f"{option} must be a URL, such as https://app.example/reset/{example}")
    if not all(hole in link for hole in holes):
        raise BadValue(f"{option} must contain {' and '.join(holes)} once")


def parse_uid(uid: str) -> int | None:
    """Return the account's id of a uid, base64url of its decimal digits; None if it has none."""
    try:
        digits = base64.b64decode(uid + "=" * (-len(uid) % 4), b"-_", validate=True)
    except ValueError:
        return None
    return int(digits) if re.fullmatch(rb"[0-9]{1,18}", digits) else None


def parse_uid36(uid: str) -> int | None:
    """Return the account's id of a uid in base 36, None if it is none."""
    return int(uid, 36) if re.fullmatch(r"[0-9A-Za-z]{1,12}", uid) else None
