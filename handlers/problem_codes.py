"""The codes of problem details, and what an app should do about each.

docs/errors.md has the same tables, and /docs/errors shows them.
"""

from typing import NamedTuple


class Problem(NamedTuple):
    """A row of the table of errors."""

    status: int
    title: str
    advice: str
    """What an app should do."""


PROBLEMS = {
    "invalid_json": Problem(400, "The body is not valid JSON.", "Fix the app."),
    "invalid_body": Problem(
        400,
        "The body is cut off or not what its type says, or a header occurs twice.",
        "Send the request again once.",
    ),
    "link_invalid": Problem(
        400,
        "The link was used, or is not valid any more.",
        "Offer to send a new link.",
    ),
    "link_expired": Problem(400, "The link has expired.", "Offer to send a new link."),
    "invalid_credentials": Problem(
        401, "The login or the password is wrong.", "Let the user try again, or reset the password."
    ),
    "second_factor_required": Problem(
        401,
        "A code of the second factor is required.",
        "Ask for the code, and send it with `challenge`, or the request again with `code`.",
    ),
    "challenge_invalid": Problem(
        401, "The login took too long, or was ended.", "Let the user log in again."
    ),
    "token_missing": Problem(401, "The request has no token.", "Fix the app, or show the login."),
    "token_unknown": Problem(
        401, "The token is not one of this server.", "Delete the token and show the login."
    ),
    "token_expired": Problem(
        401, "The session has expired.", "Delete the token and show the login."
    ),
    "token_revoked": Problem(401, "The session was ended.", "Delete the token and show the login."),
    "account_disabled": Problem(
        403, "The account has been disabled.", "Tell the user to contact support."
    ),
    "email_not_verified": Problem(
        403, "The e-mail address is not verified.", "Ask the user to open the link in the e-mail."
    ),
    "insufficient_scope": Problem(
        403, "The service key may not do this.", "Use a service key with a wider scope."
    ),
    "superuser_required": Problem(
        403,
        "Only a superuser who logged in through this API may do this.",
        "Tell the user that the account has no such rights.",
    ),
    "fresh_login_required": Problem(
        403,
        "This requires a login within the last 10 minutes.",
        "Ask for the password, log in again, then repeat the request with the new token.",
    ),
    "own_account": Problem(
        403,
        "Superusers cannot delete, disable or demote themselves.",
        "Tell the user to ask another superuser.",
    ),
    "not_found": Problem(404, "There is nothing here.", "Fix the app, or reload the list."),
    "method_not_allowed": Problem(405, "The path does not support this method.", "Fix the app."),
    "timeout": Problem(408, "The body did not arrive in time.", "Send the request again."),
    "taken": Problem(
        409, "The username or the e-mail is taken.", "Show `errors` beside the fields."
    ),
    "second_factor_exists": Problem(
        409, "The account has a second factor already.", "Reload the account's factors."
    ),
    "no_second_factor": Problem(
        409, "The account has no such second factor.", "Reload the account's factors."
    ),
    "too_many_passkeys": Problem(
        409, "The account has as many passkeys as it may have.", "Offer to remove one."
    ),
    "account_exists": Problem(
        409,
        "An account has this e-mail address, and is not linked to this identity.",
        "Let the user log in with the password, then link the identity with the same ID token.",
    ),
    "identity_taken": Problem(
        409,
        "The identity is linked to another account, or the account to another identity.",
        "Let the user choose another identity, or unlink the old one first.",
    ),
    "last_way_in": Problem(
        409,
        "The account has no other way to log in.",
        "Ask the user to set a password, or to add a passkey, before.",
    ),
    "idempotency_key_in_use": Problem(
        409,
        "The request with this Idempotency-Key is still being processed.",
        "Wait for `Retry-After` seconds, then try again.",
    ),
    "cursor_expired": Problem(
        410,
        "Events after this cursor were deleted.",
        "Read all accounts again, then the events without a cursor.",
    ),
    "precondition_failed": Problem(
        412,
        "It was changed after it was read.",
        "Read it again, and let the user decide.",
    ),
    "payload_too_large": Problem(
        413, "The body is too large.", "Send less; shrink a picture before you send it."
    ),
    "uri_too_long": Problem(414, "The request line is too long.", "Fix the app."),
    "unsupported_media_type": Problem(
        415, "The body has an unsupported content type or encoding.", "Fix the app."
    ),
    "invalid_fields": Problem(
        422, "Some fields are not valid.", "Show `errors` beside the fields."
    ),
    "invalid_id_token": Problem(
        422,
        "The ID token is not valid, has expired, or was used before.",
        "Let the user sign in at the provider again, with a new nonce.",
    ),
    "wrong_code": Problem(
        422, "The code is wrong, or was used before.", "Let the user try the next code."
    ),
    "wrong_password": Problem(
        422, "The current password is wrong.", "Let the user type the password again."
    ),
    "idempotency_key_reused": Problem(
        422,
        "Another request was sent with this Idempotency-Key.",
        "Use a new key for each request that is not a repetition.",
    ),
    "rate_limited": Problem(
        429, "There were too many attempts.", "Wait for `Retry-After` seconds, then try again."
    ),
    "headers_too_large": Problem(431, "The headers are too large.", "Fix the app."),
    "internal": Problem(500, "The server failed.", "Report it with the response's `X-Request-ID`."),
    "unavailable": Problem(
        503,
        "The service is temporarily unavailable.",
        "Keep the token. Wait for `Retry-After` seconds, then try again.",
    ),
}
"""Every code, in the order of its status."""

FIELD_CODES = {
    "required": "The field is missing, null or empty.",
    "unknown": "The endpoint has no such field.",
    "invalid": "The value has the wrong type, form or characters.",
    "too_long": "The value has too many characters.",
    "too_short": "The new password has too few characters.",
    "too_common": "The new password is one of the most common.",
    "too_similar": "The new password is too similar to the username or the e-mail.",
    "breached": "The new password is known from a data breach.",
    "taken": "Another account has this username or this e-mail.",
    "not_found": "The gallery has no such picture, or the search no such account.",
    "unsupported": "The image has a format that is not supported.",
    "damaged": "The image is damaged or cut off.",
    "too_large": "The image has too many pixels, or takes too long to read.",
}
"""The codes of fields in `errors`, each with its meaning."""
