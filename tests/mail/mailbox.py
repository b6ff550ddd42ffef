"""The messages that a server has written to a directory, as their recipients open them."""

from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from mail.transport import stored
from tests.mail.smtp import link_of, note_links
from tests.program import wait_for_async


class Mailbox:
    """The messages of one directory. Each is taken once, the oldest of its kind first."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.links: list[str] = []
        """The tokens of the links in the messages that were taken."""
        self._taken: set[Path] = set()

    def waiting(self, kind: str = "*") -> list[Path]:
        """Return the messages that were not taken, the oldest first."""
        return [
            file
            for file in stored(self.directory)[::-1]
            if file not in self._taken and file.match(f"*-{kind}.eml")
        ]

    async def take(self, kind: str) -> EmailMessage:
        """Wait for a message of a kind, and return it."""
        [file, *_] = await wait_for_async(lambda: self.waiting(kind))
        self._taken.add(file)
        message: Any = message_from_bytes(file.read_bytes(), policy=policy.default)
        note_links(message)
        return message

    async def token(self, kind: str) -> str:
        """Wait for a message of a kind, and return the token of its link."""
        token = link_of(await self.take(kind)).rpartition("#")[2]
        self.links.append(token)
        return token
