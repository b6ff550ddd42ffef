"""The settings of e-mail: where it is sent, from whom, and what its links begin with."""

import re
from dataclasses import dataclass, field
from email.headerregistry import Address, AddressHeader, HeaderRegistry
from ipaddress import ip_address
from pathlib import Path
from typing import cast
from urllib.parse import unquote, urlsplit

import idna

from store.errors import BadValue
from store.names import is_email

PORTS = {"smtp": 587, "smtps": 465}
"""The port of a URL that names none: that of submission, with STARTTLS and with TLS at once."""
TOKEN = "{token}"  # noqa: S105  # where the token goes
PORT = "{port}"
"""Stands in PUBLIC_URL's default for the port, which may be known only once the server listens."""

LINK_FORM = (
    f"a URL that contains {TOKEN} once, behind a # if it begins with http:// or https://, "
    f"such as https://app.example/reset#{TOKEN} or myapp://reset/{TOKEN}"
)

_SEEN = re.compile(r"[!-~]+")
_FORBIDDEN_SCHEMES = frozenset({"about", "blob", "data", "file", "javascript", "vbscript"})


@dataclass(frozen=True)
class SmtpServer:
    """An SMTP server that takes messages."""

    host: str
    port: int
    tls_at_once: bool
    """Whether TLS begins with the connection (smtps), not with STARTTLS."""
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def is_loopback(self) -> bool:
        """Whether the server is on this machine, so that nobody else sees what is sent."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


@dataclass(frozen=True)
class MailOptions:
    """What messages are made of and how they are sent, as the settings give it."""

    url: str = field(repr=False)
    sender: str
    templates: str
    language: str
    product: str
    verify_url: str
    reset_url: str
    public_url: str

    @property
    def problem(self) -> str | None:
        """Why no mail can be sent, as one line; None when it can."""
        if not self.url:
            return "MAIL_URL is not set"
        if not self.public_url and not (self.verify_url and self.reset_url):
            return "none of PUBLIC_URL, or VERIFY_URL and RESET_URL, is set: links need one"
        return None


def parse_mail_url(text: str) -> SmtpServer | Path:
    """Return the SMTP server, or the directory, that MAIL_URL names. Raises ValueError."""
    scheme, _, path = text.partition(":")
    if scheme == "file":
        path = path.removeprefix("//")
        if not path or not path.isprintable():
            raise BadValue("it names no directory")
        return Path(path)
    if not _SEEN.fullmatch(text):
        raise ValueError
    url = urlsplit(text)
    if url.scheme not in PORTS or not url.hostname or url.path not in ("", "/"):
        raise ValueError
    if url.query or url.fragment:
        raise BadValue("it has a query or a fragment")
    if (url.username is None) != (url.password is None):
        raise BadValue("a user needs a password, and a password a user")
    if url.port == 0:
        raise ValueError
    user, password = (
        None if each is None else unquote(each, errors="strict")
        for each in (url.username, url.password)
    )
    host = url.hostname
    if ":" not in host and not re.fullmatch(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?", host):
        raise ValueError
    return SmtpServer(host, url.port or PORTS[url.scheme], url.scheme == "smtps", user, password)


def directory_url(directory: Path) -> str:
    """Return the MAIL_URL that names a directory."""
    return f"{'file'}:{directory}"


def check_mail_url(text: str) -> str:
    """Return a MAIL_URL that can be used. Raises ValueError."""
    parse_mail_url(text)
    return text


def check_mail_from(text: str) -> str:
    """Return a sender: an address, or a name and an address in angle brackets. Raises ValueError.

    Headers keep the name as it is written, so it has no control characters.
    """
    sender_address(text)
    return text


def sender_address(text: str) -> Address:
    """Return the sender that MAIL_FROM names. Raises ValueError."""
    if not text.isprintable():
        raise ValueError
    try:
        header = HeaderRegistry()("From", text)
        [address] = cast(AddressHeader, header).addresses
    except IndexError:  # email's own, for an address without a domain
        raise ValueError from None
    ascii_address = deliverable(address.addr_spec)
    if header.defects or ascii_address is None:
        raise ValueError
    return Address(display_name=address.display_name, addr_spec=ascii_address)


def check_product_name(text: str) -> str:
    """Return a name that fits in a subject. Raises ValueError."""
    if not text.isprintable() or len(text) > 60:
        raise ValueError
    return text


def check_language(text: str) -> str:
    """Return the name of a directory of templates. Raises ValueError."""
    if not re.fullmatch(r"[a-zA-Z]{2,8}([-_][a-zA-Z0-9]{1,8})*", text):
        raise ValueError
    return text


def check_link_url(text: str) -> str:
    """Return a URL that a token is put into. Raises ValueError.

    On the web the token must be in the fragment: then no server, proxy or Referer sees it.
    """
    if not _SEEN.fullmatch(text) or set(text) & set("\"<>\\^`|'"):
        raise ValueError
    if text.count(TOKEN) != 1 or set(text.replace(TOKEN, "")) & set("{}"):
        raise BadValue(f"it must contain {TOKEN} once")
    url = urlsplit(text)
    if not url.scheme or url.scheme in _FORBIDDEN_SCHEMES or TOKEN in url.netloc:
        raise ValueError
    if url.scheme in ("http", "https"):
        if not url.hostname:
            raise ValueError
        if TOKEN not in url.fragment:
            raise BadValue(f"{TOKEN} must be behind a #, where servers and proxies do not see it")
    return text


def deliverable(address: str) -> str | None:
    """Return an address in ASCII, as SMTP and headers take it; None when it has no such form.

    The domain is written in its IDNA form. What is returned has no control character, no space
    outside quotes and one recipient only, whatever a client has registered.
    """
    if not is_email(address):
        return None
    local, _, host = address.rpartition("@")
    try:
        host = host if host.isascii() else idna.encode(host, uts46=True).decode("ascii")
        parsed = Address(addr_spec=f"{local}@{host}")
    except (UnicodeError, ValueError, IndexError):
        return None
    return parsed.addr_spec if parsed.addr_spec.isascii() else None
