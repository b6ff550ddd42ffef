"""The relying party of passkeys (Web Authentication, 4)."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PasskeyRules:
    """The relying party: its domain, its name, and from where authenticators are asked."""

    rp_id: str = ""
    name: str = ""
    origins: Sequence[str] = ()
    """None if there are no passkeys."""
