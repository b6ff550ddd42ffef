"""What an authenticator is asked, and the check of what it has made or signed.

The library `webauthn` does both (Web Authentication, 7.1 and 7.2). It takes 20 MB, so only a
process that uses passkeys imports this module.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import options_to_json_dict
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from store.account import Account
from store.challenges import SECONDS
from store.errors import BadPasskey
from store.passkey_rules import PasskeyRules


class MadeCredential(NamedTuple):
    """A new credential: its id, its public key (COSE) and its counter of signatures."""

    id: bytes
    public_key: bytes
    sign_count: int


def creation_options(
    rules: PasskeyRules, account: Account, challenge: bytes, known: Sequence[bytes]
) -> dict[str, Any]:
    """Return PublicKeyCredentialCreationOptionsJSON; `known` are the account's credentials."""
    options = generate_registration_options(
        rp_id=rules.rp_id,
        rp_name=rules.name,
        user_id=str(account.id).encode(),
        user_name=account.username or account.email or str(account.id),
        challenge=challenge,
        timeout=SECONDS * 1000,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=each) for each in known],
    )
    return options_to_json_dict(options)


def request_options(rules: PasskeyRules, challenge: bytes) -> dict[str, Any]:
    """Return PublicKeyCredentialRequestOptionsJSON for any discoverable credential."""
    options = generate_authentication_options(
        rp_id=rules.rp_id,
        challenge=challenge,
        timeout=SECONDS * 1000,
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return options_to_json_dict(options)


def verify_creation(
    rules: PasskeyRules, credential: Mapping[str, Any], challenge: bytes
) -> MadeCredential:
    """Return the credential of a RegistrationResponseJSON. Raises BadPasskey."""
    try:
        verified = verify_registration_response(
            credential=dict(credential),
            expected_challenge=challenge,
            expected_rp_id=rules.rp_id,
            expected_origin=list(rules.origins),
            require_user_verification=True,
        )
    except Exception as problem:  # some values make the library raise anything
        raise BadPasskey(str(problem)) from None
    return MadeCredential(
        verified.credential_id, verified.credential_public_key, verified.sign_count
    )


def verify_assertion(
    rules: PasskeyRules, credential: Mapping[str, Any], challenge: bytes, public_key: bytes
) -> int:
    """Return the counter of signatures of an AuthenticationResponseJSON. Raises BadPasskey.

    The caller compares it with the last one.
    """
    try:
        verified = verify_authentication_response(
            credential=dict(credential),
            expected_challenge=challenge,
            expected_rp_id=rules.rp_id,
            expected_origin=list(rules.origins),
            credential_public_key=public_key,
            credential_current_sign_count=0,
            require_user_verification=True,
        )
    except Exception as problem:  # some values make the library raise anything
        raise BadPasskey(str(problem)) from None
    return verified.new_sign_count
