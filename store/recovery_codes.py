"""Recovery codes: how they are made, typed and compared."""

import base64
import hashlib
import re
import secrets

AMOUNT = 10
_BYTES = 10


def new_codes() -> tuple[list[str], list[bytes]]:
    """Return new codes as they are shown, and their digests."""
    codes = [base64.b32encode(secrets.token_bytes(_BYTES)).decode().lower() for _ in range(AMOUNT)]
    shown = ["-".join(code[at : at + 4] for at in range(0, len(code), 4)) for code in codes]
    return shown, [digest_of(code) for code in codes]


def digest_of(code: str) -> bytes:
    """Return the digest of a code without separators."""
    return hashlib.sha256(code.lower().encode(errors="replace")).digest()


def compact(code: str) -> str:
    """Return a code without what people and apps put between its characters."""
    return re.sub(r"[\s-]", "", code)
