"""Messages from templates: a subject, a text and an HTML version of each kind.

No text that a user has typed goes into a message, apart from the address that it is sent to.
"""

import datetime
import hashlib
from collections.abc import Sequence
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

from jinja2 import (
    Environment,
    FileSystemLoader,
    StrictUndefined,
    Template,
    TemplateError,
    select_autoescape,
)

from mail.settings import MailOptions, sender_address
from store.mail_queue import KINDS, QueuedMail

TEMPLATES = Path(__file__).parent
PARTS = ("subject", "txt", "html")
_POLICY = SMTP.clone(max_line_length=998)  # no header is folded: an address stays in one piece


class BadTemplate(Exception):
    """A template is missing or cannot be used; the text is one line."""


class Messages:
    """Composes messages in one language. Raises BadTemplate when a template cannot be used."""

    def __init__(self, options: MailOptions, kinds: Sequence[str] = KINDS) -> None:
        own = [options.templates] if options.templates else []
        self._environment = Environment(
            loader=FileSystemLoader([*own, TEMPLATES]),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._language = options.language
        self._product = options.product
        self._sender = sender_address(options.sender)
        self._templates = {
            (kind, part): self._load(f"{options.language}/{kind}.{part}")
            for kind in kinds
            for part in PARTS
        }
        for kind in kinds:
            self._try(kind)

    def compose(self, mail: QueuedMail, recipient: str, link: str) -> EmailMessage:
        """Return the message of a row: the same one for each attempt, so that a copy is noticed.

        `recipient` is an address in ASCII; `link` is "" for kinds without one.
        """
        values = {
            "product": self._product,
            "language": self._language,
            "link": link,
            "created": _minute(mail.created),
            "expires": _minute(mail.expires) if mail.expires else "",
        }
        subject, text, html = (
            self._templates[mail.kind, part].render(values).strip() for part in PARTS
        )
        message = EmailMessage(policy=_POLICY)
        message["From"] = self._sender
        message["To"] = Address(addr_spec=recipient)
        message["Subject"] = " ".join(subject.split())
        message["Date"] = mail.created
        message["Message-ID"] = self._message_id(mail)
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(f"{text}\n")
        message.add_alternative(f"{html}\n", subtype="html")
        message["Content-Language"] = self._language
        return message

    def _message_id(self, mail: QueuedMail) -> str:
        """Return an id that is the row's: another attempt has the same, another row never."""
        row = f"{mail.id} {mail.kind} {mail.created.timestamp():.6f} {mail.address}"
        return f"<{hashlib.sha256(row.encode()).hexdigest()[:32]}@{self._sender.domain}>"

    def _load(self, name: str) -> Template:
        try:
            return self._environment.get_template(name)
        except (TemplateError, OSError, UnicodeError) as problem:
            raise BadTemplate(f"the template {name} cannot be used: {problem!r:.200}") from None

    def _try(self, kind: str) -> None:
        """Compose a message that is not sent: an unknown variable is found at the start."""
        now = datetime.datetime.now(datetime.UTC)
        mail = QueuedMail(0, kind, 0, "someone@example.com", None, None, now, now, 1)
        try:
            self.compose(mail, mail.address, "https://app.example/#token")
        except Exception as problem:  # an expression in a template may raise anything
            raise BadTemplate(
                f"a template {self._language}/{kind}.* cannot be used: {problem!r:.200}"
            ) from None


def _minute(moment: datetime.datetime) -> str:
    return f"{moment.astimezone(datetime.UTC):%Y-%m-%d %H:%M} UTC"
