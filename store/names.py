"""The rules for names in all dialects: which characters are allowed, and how names are compared.

Confusable letters (a Cyrillic а for a Latin a) are out of scope. Detecting them needs a policy for
each script, and none of the contracts has one.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping

import idna

MAX_NAME = 254
"""The maximum number of characters in a username or e-mail. Checked first, because NFKC is
quadratic in combining marks."""

MAX_HOST = 253
"""The maximum number of characters in a host name (RFC 1035). Checked before IDNA is applied."""

MAX_FOLDED = 2048
"""The maximum number of bytes of a folded name. One character can fold to eighteen, and a row of
PostgreSQL's index has at most 2 704 bytes."""

MAX_TEXT = 10_000
"""The maximum number of characters of a postal address or a hash: more than any real one has."""

FOLDING = 2
"""The version of the folding below. Raise it with every change: a database whose names were folded
by an older version is refolded when it is migrated."""

_TAILS = "\u180b-\u180d\u180f\u200c\u200d\ufe00-\ufe0f\U000e0100-\U000e01ef"
"""Variation selectors and joiners. They only shape the character before them, and are typed with
emoji and in some scripts."""

_IGNORABLE = (
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)
"""Unicode's Default_Ignorable_Code_Point: invisible characters, bidi controls among them."""

_CONTROLS = "\x00-\x1f\x7f-\x9f\u2028\u2029"
_BLANK = "\u2800\ufff9-\ufffb\U0001d159"
"""Invisible as well, although Unicode does not list them as ignorable."""

UNSEEN = f"[{_CONTROLS}{_IGNORABLE}{_BLANK}]"
"""A regular expression for a character that is not allowed in a new name, but for `is_seen`'s
exceptions."""

REFOLDED = f"[{_IGNORABLE}\u3002\uff61]|xn--"
"""A regular expression that matches in each name whose form the first folding may have made."""

WHITE = "[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
"""A regular expression for a character that `str.strip` removes."""

_IGNORED = re.compile(f"[{_IGNORABLE}]")
_UNSEEN = re.compile(UNSEEN)
_SHAPED = re.compile(rf"(?<=[^\s{_TAILS}])[{_TAILS}]+")
_SURROGATE = re.compile("[\ud800-\udfff]")

_LOCAL = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
_QUOTED = r'"(?:[\x01-\x08\x0b\x0c\x0e-\x1f!#-\[\]-\x7f]|\\[\x01-\x09\x0b\x0c\x0e-\x7f])*"'
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_EMAIL = re.compile(
    rf"(?:{_LOCAL}|{_QUOTED})@(?:localhost|(?:{_LABEL}\.)+(?!-)[a-z0-9-]{{2,63}}(?<!-))",
    re.IGNORECASE | re.ASCII,
)


def is_valid_text(text: str) -> bool:
    """Return whether PostgreSQL can store this string: no NUL, no lone surrogate."""
    return "\0" not in text and _SURROGATE.search(text) is None


def is_valid_name(text: str) -> bool:
    """Return whether this string may be folded, looked up and indexed."""
    return (
        len(text) <= MAX_NAME
        and is_valid_text(text)
        and len(_caseless(text).encode()) <= MAX_FOLDED
    )


def is_seen(text: str) -> bool:
    """Return whether all characters of a new name are visible.

    Controls, line breaks, bidi controls, zero widths and blank letters are not. Variation selectors
    and joiners are allowed after a character that they shape: folding removes them, so they do not
    make another name. Only for names of at most `MAX_NAME` characters.
    """
    return (text.isascii() and text.isprintable()) or not _UNSEEN.search(_SHAPED.sub("", text))


def is_askable(text: str) -> bool:
    """Return whether a login can send this name: the dialects trim white space around it."""
    return text == text.strip()


def is_plain_username(text: str) -> bool:
    """Return whether a username has only letters of any script, digits and `@.+-_`.

    This is Django's rule, except that a mark after a letter is allowed, as many scripts need it
    (vowels of Hindi or Thai, a decomposed é). Only for names of at most `MAX_NAME` characters.
    """
    if len(text) > MAX_NAME or _UNSEEN.search(text):
        return False
    after_letter = False
    for character in unicodedata.normalize("NFC", text):
        kind = unicodedata.category(character)
        if kind in ("Mn", "Mc"):
            if not after_letter:
                return False
        elif character.isalnum() or character in "@.+-_":
            after_letter = kind[0] == "L"
        else:
            return False
    return bool(text)


def fold(name: str) -> str:
    """Return the form in which usernames are compared. It does not depend on a locale.

    Two names have the same form when they are a compatibility caseless match (Unicode, D146) after
    invisible characters are removed (D147). Only for names of at most `MAX_NAME` characters.
    """
    if name.isascii():
        return name.lower()
    return _caseless(_IGNORED.sub("", name)) or _caseless(name)


def fold_email(email: str) -> str:
    """Return the form in which e-mails are compared: `fold`'s, with the host in its Unicode form.

    So the Unicode and the ASCII form (`xn--…`) of a host are equal, and all forms that IDNA maps to
    one. `straße.de` equals `strasse.de`, because much software still uses IDNA 2003, in which they
    are one host.
    """
    folded = fold(email)
    local, at, host = folded.rpartition("@")
    if not at or (host.isascii() and "xn--" not in host):
        return folded
    host = ".".join(map(_unicode_label, host.replace("\u3002", ".").split(".")))
    return f"{local}@{host}" if len(f"{local}@{host}".encode()) <= MAX_FOLDED else folded


def mailbox(email: str) -> str:
    """Return the form in which mailboxes are compared, which ignores nothing but case.

    What `fold_email` maps to one form may be two mailboxes: `straße.de` and `strasse.de` have
    different owners. So it must not decide where a link is sent or which address a link verifies.
    """
    return email.lower()


FOLD: Mapping[str, Callable[[str], str]] = {"username": fold, "email": fold_email}
"""The folding of each field."""


def forms(field: str, name: str) -> list[str]:
    """Return the folded forms under which an account of this name may be stored, likeliest first.

    Usually there is one. An account keeps the form of the first folding if another account has the
    present form, or if a server of an older release wrote it.
    """
    return list(dict.fromkeys((_caseless(name), FOLD[field](name))))


def is_email(text: str) -> bool:
    """Return whether this has the form of RFC 5321: dot-atom or quoted string, at a host name.

    A host that is not ASCII is checked in its IDNA form (IDNA 2008 after the mapping of UTS 46).
    """
    if len(text) > MAX_NAME or _UNSEEN.search(text):
        return False
    local, _, host = text.rpartition("@")
    if not host.isascii():
        if len(host) > MAX_HOST:
            return False
        try:
            host = idna.encode(host, uts46=True).decode("ascii")
        except UnicodeError:  # IDNAError is one
            return False
    return _EMAIL.fullmatch(f"{local}@{host}") is not None


def _caseless(name: str) -> str:
    """Return the form that the first release stored."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFD", name).casefold())
    return unicodedata.normalize("NFKC", folded.casefold())


def _unicode_label(label: str) -> str:
    """Return the folded Unicode form of a host's label, or the label itself if it has none."""
    if not label.startswith("xn--") or not label.isascii():
        return label
    try:
        decoded = label[4:].encode().decode("punycode")
    except UnicodeError:
        return label
    if decoded.isascii() or not is_valid_text(decoded):
        return label
    folded = fold(decoded)
    return label if set(folded) & set(".@\u3002") else folded
