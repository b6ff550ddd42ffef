"""The links in messages. They begin as the settings say, never as a request says."""

import base64
from collections.abc import Mapping

from mail.settings import PORT, TOKEN, MailOptions

VERIFY_PAGE = f"/ui/verify-email#{TOKEN}"
RESET_PAGE = f"/ui/reset-password#{TOKEN}"


class Links:
    """Makes the link of a message from its token.

    `port` replaces `{port}` in the options' PUBLIC_URL: with PORT=0 it is set once the server
    listens. `of_dialects` has the links that a dialect's options give, by dialect and kind, with
    {uid} or {uid36}, and {token}.
    """

    def __init__(
        self,
        options: MailOptions,
        port: int,
        of_dialects: Mapping[tuple[str, str], str] | None = None,
    ) -> None:
        self.port = port
        self._of_dialects = of_dialects or {}
        verify = options.verify_url or f"{options.public_url}{VERIFY_PAGE}"
        reset = options.reset_url or f"{options.public_url}{RESET_PAGE}"
        self._urls = {"verify": verify, "change": verify, "reset": reset}

    @property
    def is_ready(self) -> bool:
        """Whether the port is known, if links need it."""
        return self.port != 0 or not any(PORT in url for url in self._urls.values())

    def link(
        self, kind: str, token: str, account_id: int, dialect: str | None = None
    ) -> str | None:
        """Return the link of a message of this kind, None if no option names one.

        Where a dialect's option names none, it is that of the settings.
        """
        if template := self._of_dialects.get((dialect or "", kind)):
            uids = template.replace("{uid}", uid_of(account_id))
            return uids.replace("{uid36}", base36(account_id)).replace(TOKEN, token)
        if kind not in self._urls:
            return None
        return self._urls[kind].replace(PORT, str(self.port)).replace(TOKEN, token)


def base36(number: int) -> str:
    """Return a number as django-allauth writes an account's id in links."""
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits or "0"


def uid_of(account_id: int) -> str:
    """Return an account's id as Django writes it in links: base64url of its decimal digits."""
    return base64.urlsafe_b64encode(str(account_id).encode()).rstrip(b"=").decode()
