"""The rules that every name obeys, whatever the dialect: what it may hold, and how it is compared.

Confusable letters (a Cyrillic а for a Latin a) are out of scope: telling them apart needs a policy
for each script, and none of the contracts has one.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping

import idna

MAX_NAME = 254
"""Characters in a username or e-mail, at most. Looked at before anything else touches the string:
NFKC is quadratic in combining marks."""

MAX_HOST = 253
"""Characters in a host name, at most (RFC 1035). Looked at before IDNA sees it."""

MAX_FOLDED = 2048
"""Bytes of a folded name, at most: one character can fold to eighteen, and PostgreSQL's index takes
2 704 bytes a row."""

MAX_TEXT = 10_000
"""Characters of an address or a hash: so much for all that could be meant."""

FOLDING = 2
"""The version of the folding below. A database whose names were folded by an older one is refolded
when it is migrated: raise this with every change."""

_TAILS = "\u180b-\u180d\u180f\u200c\u200d\ufe00-\ufe0f\U000e0100-\U000e01ef"
"""Characters that only shape the one before them: variation selectors and joiners, which emoji and
some scripts are typed with."""

_IGNORABLE = (
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)
"""Unicode's Default_Ignorable_Code_Point: nothing is seen of these, bidi controls among them."""

_CONTROLS = "\x00-\x1f\x7f-\x9f\u2028\u2029"
_BLANK = "\u2800\ufff9-\ufffb\U0001d159"
"""Blank too, though Unicode does not list them as ignorable."""

UNSEEN = f"[{_CONTROLS}{_IGNORABLE}{_BLANK}]"
"""A character that no new name may hold, as a regular expression; see `is_seen` for exceptions."""

REFOLDED = f"[{_IGNORABLE}\u3002\uff61]|xn--"
"""What a name holds, as a regular expression, if the present folding may differ from the first."""

WHITE = "[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
"""A character of white space, as `str.strip` has it, as a regular expression."""

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
    """Tell whether PostgreSQL can keep this string: no NUL, no lone surrogate."""
    return "\0" not in text and _SURROGATE.search(text) is None


def is_valid_name(text: str) -> bool:
    """Tell whether this string may be folded, looked up and indexed."""
    return (
        len(text) <= MAX_NAME
        and is_valid_text(text)
        and len(_caseless(text).encode()) <= MAX_FOLDED
    )


def is_seen(text: str) -> bool:
    """Tell whether a new name may hold these characters: all of them can be seen.

    So no controls, line breaks, bidi controls, zero widths or blank letters. Variation selectors
    and joiners may follow a character that they shape; folding drops them, so they make no second
    name. Only for names of at most `MAX_NAME` characters.
    """
    return (text.isascii() and text.isprintable()) or not _UNSEEN.search(_SHAPED.sub("", text))


def is_askable(text: str) -> bool:
    """Tell whether a login can ask for this name: the dialects trim white space around it."""
    return text == text.strip()


def is_plain_username(text: str) -> bool:
    """Tell whether a username has only letters, digits and `@.+-_`: letters of any script.

    That is Django's rule, and the marks that many scripts write with a letter (vowels of Hindi or
    Thai, a decomposed é), which Django refuses. Only for names of at most `MAX_NAME` characters.
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
    """Return the form in which usernames are compared, whatever the locale.

    Two names have the same one when they are a compatibility caseless match (Unicode, D146) but
    for characters of which nothing is seen (D147). Only for names of at most `MAX_NAME` characters.
    """
    if name.isascii():
        return name.lower()
    return _caseless(_IGNORED.sub("", name)) or _caseless(name)


def fold_email(email: str) -> str:
    """Return the form in which e-mails are compared: `fold`'s, of a host's Unicode form.

    So a host is the same in its Unicode and its ASCII form (`xn--…`), and in every form that IDNA
    maps to one. `straße.de` and `strasse.de` are one as well: IDNA 2003, by which much software
    still sends, makes them one host.
    """
    folded = fold(email)
    local, at, host = folded.rpartition("@")
    if not at or (host.isascii() and "xn--" not in host):
        return folded
    host = ".".join(map(_unicode_label, host.replace("\u3002", ".").split(".")))
    return f"{local}@{host}" if len(f"{local}@{host}".encode()) <= MAX_FOLDED else folded


FOLD: Mapping[str, Callable[[str], str]] = {"username": fold, "email": fold_email}
"""By field, how its names are folded."""


def forms(field: str, name: str) -> list[str]:
    """Return the folded forms under which an account of this name may be kept, likeliest first.

    Mostly there is one. An account whose form the first folding made keeps it where another
    account has what the present one makes, and where a server of an older release wrote it.
    """
    return list(dict.fromkeys((_caseless(name), FOLD[field](name))))


def is_email(text: str) -> bool:
    """Tell whether this looks like an address of RFC 5321: dot-atom or quoted, at a host name.

    A host of other letters counts in its IDNA form (IDNA 2008 after the mapping of UTS 46).
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
    """Fold as the first release did: names kept by it have this form."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFD", name).casefold())
    return unicodedata.normalize("NFKC", folded.casefold())


def _unicode_label(label: str) -> str:
    """Return the folded Unicode form of a label of a host, the label itself if it has none."""
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
