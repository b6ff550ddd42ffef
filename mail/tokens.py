"""The tokens of links: which one a message carries, and whether it would still do what it says."""

from store.account import Account
from store.mail_queue import ACTIVATE, RENAME, RESET, QueuedMail
from store.names import forms, mailbox
from store.one_time_tokens import OneTimeTokens, Purpose

_PURPOSES = {
    "verify": Purpose.VERIFY,
    "change": Purpose.CHANGE,
    RESET: Purpose.RESET,
    ACTIVATE: Purpose.ACTIVATE,
    RENAME: Purpose.USERNAME,
}


def make_token(tokens: OneTimeTokens, mail: QueuedMail, account: Account) -> str | None:
    """Return the token of a message, None for a kind without a link."""
    purpose = _PURPOSES.get(mail.kind)
    if purpose is None or mail.expires is None:
        return None
    expires = mail.expires.timestamp()
    if purpose is Purpose.CHANGE:
        return tokens.make(purpose, account, expires, mail.address, mail.created.timestamp())
    return tokens.make(purpose, account, expires)


def still_fits(mail: QueuedMail, account: Account) -> bool:
    """Return whether a message would still do what it says.

    An account that is not activated gets the link that activates it, and nothing else.
    """
    if account.activated is (mail.kind == ACTIVATE):
        return False
    if mail.kind == "verify" and account.email_verified:
        return False
    if mail.kind in ("verify", ACTIVATE) and mail.account_id is not None:
        return account.email is not None and mailbox(account.email) == mailbox(mail.address)
    if mail.kind == "change":
        addresses = forms("email", account.email) if account.email else [None]
        return mail.session_epoch == account.epoch and mail.previous in addresses
    return True
