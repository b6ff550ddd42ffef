"""A real SMTP server for the tests, which accepts, delays, refuses or breaks off as it is told."""

import asyncio
import contextlib
import ssl
import subprocess
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from tests.secrecy import WATCH

USER, PASSWORD = "mailer", "pass @/word#1"


@dataclass
class Inbox:
    """What the server has accepted, and how it behaves."""

    port: int = 0
    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    senders: list[str] = field(default_factory=list)
    secure: list[bool] = field(default_factory=list)
    """Of each message, whether it came over TLS."""
    connections: int = 0
    begun: int = 0
    """Messages that have been received, and may be neither accepted nor refused yet."""
    delay: float = 0
    on_sender: Callable[[str], str] = lambda _: ""
    on_recipient: Callable[[str], str] = lambda _: ""
    """Returns the reply to an address, "" to accept it."""
    on_message: Callable[[EmailMessage], str] = lambda _: ""
    """Returns the reply to a message, "" to accept it, "abort" to break off without one."""

    @property
    def ids(self) -> list[str]:
        return [each["Message-ID"] for each in self.messages]

    async def handle_EHLO(
        self, server: SMTP, session: Session, _: Envelope, host: str, responses: list[str]
    ) -> list[str]:
        session.host_name = host
        self.connections += 1
        return responses

    async def handle_MAIL(
        self, _: SMTP, __: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if reply := self.on_sender(address):
            return reply
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(
        self, _: SMTP, __: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if reply := self.on_recipient(address):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        message: Any = message_from_bytes(envelope.content, policy=policy.default)
        note_links(message)
        self.begun += 1
        await asyncio.sleep(self.delay)
        reply = self.on_message(message)
        if reply == "abort":
            server.transport.abort()
            return "451 too late"
        if reply:
            return reply
        self.messages.append(message)
        self.recipients += envelope.rcpt_tos
        self.senders.append(envelope.mail_from)
        self.secure.append(session.ssl is not None)
        return "250 accepted"


@contextlib.asynccontextmanager
async def smtp_server(
    *,
    tls: ssl.SSLContext | None = None,
    tls_at_once: bool = False,
    with_login: bool = False,
    host: str = "127.0.0.1",
    port: int = 0,
) -> AsyncIterator[Inbox]:
    """Run a server on this event loop; `tls` is offered by STARTTLS, or begins at once."""
    inbox = Inbox()

    def authenticate(*arguments: Any) -> AuthResult:
        given = arguments[-1]
        right = (given.login, given.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=right, handled=right)

    def connect() -> SMTP:
        with warnings.catch_warnings(action="ignore"):  # of a login without TLS
            return SMTP(
                inbox,
                hostname="mail.example",
                tls_context=None if tls_at_once else tls,
                authenticator=authenticate if with_login else None,
                auth_required=with_login,
                auth_require_tls=False,
            )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(connect, host, port, ssl=tls if tls_at_once else None)
    inbox.port = server.sockets[0].getsockname()[1]
    try:
        yield inbox
    finally:
        server.close()


def make_certificate(directory: Path, name: str) -> Path:
    """Make a certificate for a DNS name or an address, and its key, in one file."""
    file = directory / f"{name}.pem"
    kind = "IP" if name.replace(".", "").isdigit() else "DNS"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=tests", "-addext", f"subjectAltName={kind}:{name}"]
    command += ["-keyout", str(file), "-out", f"{file}.crt"]
    subprocess.run(command, check=True, capture_output=True)
    with file.open("a") as both:
        both.write(Path(f"{file}.crt").read_text())
    return file


def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def texts(message: EmailMessage) -> Iterator[str]:
    """Return the text and the HTML of a message."""
    for kind in ("plain", "html"):
        yield message.get_body((kind,)).get_content().replace("\r\n", "\n")


def link_of(message: EmailMessage) -> str:
    """Return the link in a message's text, "" for none."""
    text = next(iter(texts(message)))
    return next((line.strip() for line in text.splitlines() if line.startswith("    ")), "")


def note_links(message: EmailMessage) -> None:
    """Have the watch over all logs know the token of a message."""
    if link := link_of(message):
        WATCH.links.add(link.rpartition("#")[2])
