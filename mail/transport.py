"""How messages leave: over SMTP, or as files in a directory."""

import asyncio
import contextlib
import os
import ssl
import tempfile
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol

import aiosmtplib

from mail.settings import MailOptions, SmtpServer, parse_mail_url, sender_address
from store.errors import first_line
from store.mail_queue import QueuedMail

TIMEOUT = 20.0
"""Seconds that the server may take for each step of a conversation."""
KEPT_FILES = 1000
"""Messages in a directory; the oldest are removed."""

_OF_SETTINGS = frozenset({530, 534, 535, 538})
"""Codes for a client that is not authenticated, or not well enough: the settings are wrong, not
the recipient."""


class DeliveryError(Exception):
    """A message was not accepted. `reason` holds nothing that the server said about it."""

    def __init__(self, reason: str, code: int = 0) -> None:
        super().__init__(f"{reason}, code {code}" if code else reason)
        self.reason = reason
        self.code = code
        """The code of the server's reply, 0 without one."""


class Rejected(DeliveryError):
    """The server will never accept this message."""


class Unreachable(DeliveryError):
    """No message can be sent now: no connection, no TLS, or no login."""


class Connection(Protocol):
    """Delivers messages one after the other."""

    async def deliver(self, mail: QueuedMail, message: EmailMessage) -> None:
        """Deliver a message; it is accepted when this returns. Raises DeliveryError."""

    async def close(self) -> None:
        """End the connection. A message under way is given up."""


class Transport(Protocol):
    """Opens connections."""

    def open(self) -> Connection:
        """Return a connection, which connects when it is first used."""


def make_transport(options: MailOptions) -> Transport:
    """Return the transport that MAIL_URL names."""
    target = parse_mail_url(options.url)
    if isinstance(target, Path):
        return DirectoryTransport(target)
    return SmtpTransport(target, options.sender)


class SmtpTransport:
    """An SMTP server. TLS with a valid certificate is required, except on loopback."""

    def __init__(self, server: SmtpServer, sender: str, timeout: float = TIMEOUT) -> None:
        self._server, self._sender = server, sender_address(sender)
        self._timeout = timeout
        self._tls = ssl.create_default_context()
        if server.is_loopback:
            self._tls.check_hostname = False
            self._tls.verify_mode = ssl.CERT_NONE

    def open(self) -> Connection:
        """Return a connection, which connects when it is first used."""
        server = self._server
        # On loopback TLS is used if it is offered; elsewhere no message goes without it.
        start_tls = (
            None if server.is_loopback and not server.tls_at_once else not server.tls_at_once
        )
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=server.password,
            local_hostname=self._sender.domain,
            timeout=self._timeout,
            use_tls=server.tls_at_once,
            start_tls=start_tls,
            tls_context=self._tls,
        )
        return SmtpConnection(client, self._sender.addr_spec)


class SmtpConnection:
    """A connection to an SMTP server, which connects again when the server has closed it."""

    def __init__(self, client: aiosmtplib.SMTP, sender: str) -> None:
        self._client, self._sender = client, sender

    async def deliver(self, mail: QueuedMail, message: EmailMessage) -> None:
        """Deliver a message. Raises DeliveryError."""
        if not self._client.is_connected:
            await self._connect()
        recipient = message["To"].addresses[0].addr_spec
        try:
            await self._client.sendmail(self._sender, [recipient], message.as_bytes())
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _rejection("recipient", error.recipients[0].code) from None
        except aiosmtplib.SMTPDataError as error:
            raise _rejection("message", error.code) from None
        except aiosmtplib.SMTPSenderRefused as error:
            raise DeliveryError("sender", error.code) from None
        except aiosmtplib.SMTPResponseException as error:
            raise DeliveryError("response", error.code) from None
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            self._client.close()
            raise DeliveryError(_name_of(error)) from None

    async def _connect(self) -> None:
        try:
            await self._client.connect()
        except aiosmtplib.SMTPAuthenticationError as error:
            self._client.close()
            raise Unreachable("authentication", error.code) from None
        except aiosmtplib.SMTPResponseException as error:
            self._client.close()
            raise Unreachable("greeting", error.code) from None
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            self._client.close()
            # It is about the server: nothing has been said of any message yet.
            raise Unreachable(first_line(error)) from None

    async def close(self) -> None:
        """Say goodbye if that can be done at once, and close the connection."""
        if self._client.is_connected:
            with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                await self._client.quit(timeout=1)
        self._client.close()


def _rejection(what: str, code: int) -> DeliveryError:
    is_permanent = 500 <= code < 600 and code not in _OF_SETTINGS
    return Rejected(what, code) if is_permanent else DeliveryError(what, code)


def _name_of(error: Exception) -> str:
    """Return what went wrong, without the server's own words: they may name the recipient."""
    if isinstance(error, TimeoutError):
        return "timeout"
    return "disconnected" if isinstance(error, OSError) else type(error).__name__


class DirectoryTransport:
    """Writes messages to a directory, as files that only this user may read."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def open(self) -> Connection:
        """Return what writes the files."""
        return self

    async def deliver(self, mail: QueuedMail, message: EmailMessage) -> None:
        """Write a message to its file. Raises Unreachable."""
        try:
            await asyncio.to_thread(self._write, mail, message)
        except OSError as error:
            raise Unreachable(f"the directory cannot be written to: {error.strerror}") from None

    async def close(self) -> None:
        """Do nothing: each file is closed."""

    def _write(self, mail: QueuedMail, message: EmailMessage) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, fresh = tempfile.mkstemp(dir=self._directory, prefix=".")  # mode 0600
        with os.fdopen(descriptor, "wb") as file:
            file.write(message.as_bytes())
        Path(fresh).rename(self._directory / file_name(mail))
        for old in stored(self._directory)[KEPT_FILES:]:
            old.unlink(missing_ok=True)


def file_name(mail: QueuedMail) -> str:
    """Return the name of a message's file: another attempt replaces it."""
    return f"{mail.created:%Y%m%dT%H%M%S}-{mail.id:010d}-{mail.kind}.eml"


def stored(directory: Path) -> list[Path]:
    """Return the messages of a directory, the newest first."""
    return sorted(directory.glob("*.eml"), reverse=True)
