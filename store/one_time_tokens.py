"""One-time tokens: what the links in e-mails carry.

token = base64url(purpose ‖ account id ‖ expiry ‖ time of the request ‖ digest of the old address
                  ‖ new address ‖ MAC)

Only a change of address fills the last three fields before the MAC, and a login that links an
identity the last one. Nothing is stored. The MAC is a
HMAC-SHA256, cut to 16 bytes, under a key that is derived from a secret key. It covers the fields
and what the account must still have when the token is used:

VERIFY   its address. A new password leaves the token valid; another address does not.
ACTIVATE its address, too. It has an effect while the account is not activated.
CHANGE   its session epoch. The address is the old one, or the new one already. The old one must
         not have been verified since the request, nor have ceased to be: else the account was
         changed to the new one and back. The time is checked where the change is made.
RESET    its address and its session epoch, so it works once: a reset raises the epoch.
USERNAME its address, its session epoch and its username, so it works once.
LOGIN    its address and its session epoch. It continues a login whose password was right, together
         with a code, which works once.

So a token for one purpose never serves another, and restored data in Redis revives none. The hash
of the password is not covered: a login may replace it by a stronger hash of the same password.
"""

import base64
import binascii
import enum
import hmac
import struct
import time
from collections.abc import Sequence
from typing import NamedTuple

from store.account import Account
from store.errors import LinkExpired, LinkInvalid
from store.names import MAX_NAME, mailbox

_HEAD = struct.Struct(">BQQQ8s")
_STATE = struct.Struct(">QH")
_MAC_BYTES = 16
_MAX_TOKEN = 4 * (_HEAD.size + 4 * MAX_NAME + _MAC_BYTES) // 3 + 4


class Purpose(enum.Enum):
    """What a token is for."""

    VERIFY = 1
    CHANGE = 2
    RESET = 3
    ACTIVATE = 4
    USERNAME = 5
    LOGIN = 6


class OneTimeToken(NamedTuple):
    """A token's fields. Nothing is proved until `OneTimeTokens.check` has seen the account."""

    purpose: Purpose
    account_id: int
    expires: int
    """In seconds since 1970."""
    requested: int
    """When a change was requested, in seconds since 1970; 0 for other purposes."""
    previous: bytes
    """A keyed digest of the address that a change replaces."""
    address: str
    """The new address of a change; for a login, the identity that it links: provider and subject.

    "" for other purposes."""
    mac: bytes
    signed: bytes


class OneTimeTokens:
    """Makes and checks one-time tokens under a list of secret keys: the first signs, all verify."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Derive a key for these tokens from each secret key."""
        self._keys = [hmac.digest(key, b"latchkey one-time token", "sha256") for key in keys]

    def make(
        self,
        purpose: Purpose,
        account: Account,
        expires: float,
        address: str = "",
        requested: float = 0,
    ) -> str:
        """Return a token for an account as it is now.

        `address` is the new address of a change, or the identity that a login links; `requested` is
        when a change was requested. Times are in
        seconds since 1970.
        """
        previous = _previous(self._keys[0], account) if purpose is Purpose.CHANGE else b""
        head = _HEAD.pack(purpose.value, account.id, int(expires), int(requested), previous)
        signed = head + address.encode()
        return _encode(signed + _mac(self._keys[0], purpose, signed, account))

    def parse(self, token: str, *purposes: Purpose) -> OneTimeToken:
        """Return the fields of a token for one of these purposes, without I/O.

        Raises LinkInvalid.
        """
        try:
            if len(token) > _MAX_TOKEN:
                raise ValueError
            data = _decode(token)
            signed, mac = data[:-_MAC_BYTES], data[-_MAC_BYTES:]
            number, account_id, expires, requested, previous = _HEAD.unpack_from(signed)
            purpose = Purpose(number)
            address = signed[_HEAD.size :].decode()
        except (ValueError, struct.error):  # binascii's and Unicode's errors are ValueErrors
            raise LinkInvalid from None
        if purpose not in purposes:
            raise LinkInvalid
        return OneTimeToken(purpose, account_id, expires, requested, previous, address, mac, signed)

    def check(self, token: OneTimeToken, account: Account | None) -> None:
        """Check a token against its account as it is now.

        Raises LinkInvalid when the token was not made here, or no longer fits the account, and
        LinkExpired when it is genuine and its time has passed.
        """
        if account is None or account.id != token.account_id:
            raise LinkInvalid
        fits = False
        for key in self._keys:  # all of them, whichever made it
            fits |= _fits(key, token, account)
        if not fits:
            raise LinkInvalid
        if token.expires <= time.time():
            raise LinkExpired


def _mac(key: bytes, purpose: Purpose, signed: bytes, account: Account) -> bytes:
    epoch = 0 if purpose in (Purpose.VERIFY, Purpose.ACTIVATE) else account.epoch
    address = b"" if purpose is Purpose.CHANGE else _mailbox(account).encode()
    state = _STATE.pack(epoch, len(address)) + address
    if purpose is Purpose.USERNAME:
        name = (account.username or "").encode()
        state += _STATE.pack(0, len(name)) + name
    return hmac.digest(key, state + signed, "sha256")[:_MAC_BYTES]


def _fits(key: bytes, token: OneTimeToken, account: Account) -> bool:
    mac = _mac(key, token.purpose, token.signed, account)
    if not hmac.compare_digest(mac, token.mac):
        return False
    if token.purpose is not Purpose.CHANGE or mailbox(token.address) == _mailbox(account):
        return True
    return hmac.compare_digest(token.previous, _previous(key, account))


def _previous(key: bytes, account: Account) -> bytes:
    """Return what stands for the old address and whether it was verified.

    It is keyed, since the new address's owner reads it.
    """
    state = f"previous address {account.email_verified:d} {_mailbox(account)}"
    return hmac.digest(key, state.encode(), "sha256")[:8]


def _mailbox(account: Account) -> str:
    return mailbox(account.email) if account.email else ""


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(token: str) -> bytes:
    """Decode base64url of exactly one spelling: a token has no second form."""
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(token) from error
    if _encode(data) != token:
        raise ValueError(token)
    return data
