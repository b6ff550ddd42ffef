"""The options of a mount of fardel, and the sessions that it opens."""

from dataclasses import dataclass, replace

from aiohttp import web

from store.session_record import SessionSpec

FRESH_SESSION = SessionSpec("fardel", "fresh")
REFRESH_SESSION = SessionSpec("fardel", "refresh")
ACCESS_SESSION = SessionSpec("fardel", "access", reuse=False)
PER_LOGIN = [replace(FRESH_SESSION, reuse=False), replace(REFRESH_SESSION, reuse=False)]


@dataclass(frozen=True, slots=True)
class Options:
    """The options of this dialect's mount.

    With `keep_session`, a new password leaves the access token of its request valid, and each login
    has separate sessions. See docs/contracts/fardel.md#keeping-the-session.
    """

    keep_session: bool = False


OPTIONS = web.AppKey("fardel_options", Options)


def session_specs(request: web.Request) -> list[SessionSpec]:
    """Return the two sessions that a registration or a login opens."""
    keep = request.app[OPTIONS].keep_session
    return PER_LOGIN if keep else [FRESH_SESSION, REFRESH_SESSION]
