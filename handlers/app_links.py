"""Links into an app, as options name them: {uid} is the account's id, {token} the link's token."""

import re
from urllib.parse import urlsplit

from store.errors import BadValue

_SEEN = re.compile(r"[!-~]+")
_FORBIDDEN_SCHEMES = frozenset({"about", "blob", "data", "file", "javascript", "vbscript"})


def check_app_link(option: str, link: str) -> None:
    """Raise BadValue unless a link is "", or a URL with {uid} and {token} once each.

    Apps read both from the path as well as from the fragment, so the token may be in either.
    """
    if not link:
        return
    url = urlsplit(link)
    bare = link.replace("{uid}", "", 1).replace("{token}", "", 1)
    if (
        not _SEEN.fullmatch(link)
        or set(bare) & set("{}\"<>\\^`|'")
        or not url.scheme
        or url.scheme in _FORBIDDEN_SCHEMES
        or (url.scheme in ("http", "https") and not url.hostname)
        or "{" in url.netloc
    ):
        raise BadValue(
            f"{option} must be a URL, such as https://app.example/reset/{{uid}}/{{token}}"
        )
    if "{uid}" not in link or "{token}" not in link:
        raise BadValue(f"{option} must contain {{uid}} and {{token}} once")
