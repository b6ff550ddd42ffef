"""The links in messages. They begin as the settings say, never as a request says."""

from mail.settings import PORT, TOKEN, MailOptions

VERIFY_PAGE = f"/ui/verify-email#{TOKEN}"
RESET_PAGE = f"/ui/reset-password#{TOKEN}"


class Links:
    """Makes the link of a message from its token.

    `port` replaces `{port}` in the options' PUBLIC_URL: with PORT=0 it is set once the server
    listens.
    """

    def __init__(self, options: MailOptions, port: int) -> None:
        self.port = port
        verify = options.verify_url or f"{options.public_url}{VERIFY_PAGE}"
        reset = options.reset_url or f"{options.public_url}{RESET_PAGE}"
        self._urls = {"verify": verify, "change": verify, "reset": reset}

    @property
    def is_ready(self) -> bool:
        """Whether the port is known, if links need it."""
        return self.port != 0 or not any(PORT in url for url in self._urls.values())

    def link(self, kind: str, token: str) -> str:
        """Return the link of a message of this kind."""
        return self._urls[kind].replace(PORT, str(self.port)).replace(TOKEN, token)
