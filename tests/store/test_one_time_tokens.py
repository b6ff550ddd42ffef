import base64
import datetime
import time

import pytest

from store.account import Account
from store.errors import LinkExpired, LinkInvalid
from store.names import MAX_NAME
from store.one_time_tokens import OneTimeTokens, Purpose

OLD, NEW, OTHER = b"old " * 8, b"new " * 8, b"else" * 8
TOKENS = OneTimeTokens([OLD])
SOON = time.time() + 3600

ACCOUNT = Account(
    id=7,
    username="ada",
    email="Ada@example.org",
    first_name=None,
    last_name=None,
    is_active=True,
    is_staff=False,
    is_admin=False,
    group_name=None,
    epoch=1_790_000_000_000_000,
    created=datetime.datetime(2026, 11, 26, tzinfo=datetime.UTC),
    picture_id=None,
    kept_session=None,
)
PURPOSES = pytest.mark.parametrize("purpose", Purpose)


def make(purpose, account=ACCOUNT, *, tokens=TOKENS, expires=SOON):
    address = "new@example.org" if purpose is Purpose.CHANGE else ""
    return tokens.make(purpose, account, expires, address)


def check(token, purpose, account=ACCOUNT, *, tokens=TOKENS):
    parsed = tokens.parse(token, purpose)
    tokens.check(parsed, account)
    return parsed


@PURPOSES
def test_a_token_has_its_fields(purpose):
    parsed = check(make(purpose), purpose)
    assert (parsed.purpose, parsed.account_id, parsed.expires) == (purpose, 7, int(SOON))
    assert parsed.address == ("new@example.org" if purpose is Purpose.CHANGE else "")


@PURPOSES
def test_a_token_serves_no_other_purpose(purpose):
    for other in set(Purpose) - {purpose}:
        with pytest.raises(LinkInvalid):
            TOKENS.parse(make(purpose), other)
        data = bytearray(base64.urlsafe_b64decode(make(purpose) + "=="))
        data[0] = other.value
        relabelled = base64.urlsafe_b64encode(data).rstrip(b"=").decode()
        with pytest.raises(LinkInvalid):
            check(relabelled, other)


@PURPOSES
def test_a_token_with_one_bit_changed_is_invalid(purpose):
    token = make(purpose)
    data = base64.urlsafe_b64decode(token + "==")
    for at in range(8 * len(data)):
        changed = bytearray(data)
        changed[at // 8] ^= 1 << at % 8
        with pytest.raises(LinkInvalid):
            check(base64.urlsafe_b64encode(changed).rstrip(b"=").decode(), purpose)


@PURPOSES
@pytest.mark.parametrize(
    "text", ["", "=", "a", "é", "\ud800", "a" * 5_000_000, "AAAA", " ", "A" * 39, "\0"]
)
def test_what_is_no_token_is_invalid(purpose, text):
    with pytest.raises(LinkInvalid):
        TOKENS.parse(text, purpose)


@PURPOSES
def test_a_token_has_one_spelling(purpose):
    token = make(purpose)
    for other in (token + "=", token + "\n", " " + token, token.replace("-", "+") + "+"):
        with pytest.raises(LinkInvalid):
            TOKENS.parse(other, purpose)


@PURPOSES
def test_a_token_of_another_account_or_of_none_is_invalid(purpose):
    for account in (None, ACCOUNT._replace(id=8)):
        with pytest.raises(LinkInvalid):
            check(make(purpose), purpose, account)


@PURPOSES
def test_a_token_ends(purpose):
    with pytest.raises(LinkExpired):
        check(make(purpose, expires=time.time() - 1), purpose)


@PURPOSES
def test_an_expired_token_that_fits_no_more_is_invalid(purpose):
    """`link_expired` invites the user to ask for another link, so it must be true."""
    expired = make(purpose, expires=time.time() - 1)
    with pytest.raises(LinkInvalid):
        check(expired, purpose, ACCOUNT._replace(email="b@example.org", epoch=ACCOUNT.epoch + 1))


@PURPOSES
def test_every_listed_key_verifies_and_no_other(purpose):
    token = make(purpose)
    check(token, purpose, tokens=OneTimeTokens([NEW, OLD]))
    with pytest.raises(LinkInvalid):
        check(token, purpose, tokens=OneTimeTokens([NEW, OTHER]))


@PURPOSES
def test_a_raised_epoch_ends_all_but_verification(purpose):
    """A reset or another new password ends pending resets and changes of address."""
    raised = ACCOUNT._replace(epoch=ACCOUNT.epoch + 1)
    if purpose in (Purpose.VERIFY, Purpose.ACTIVATE):
        check(make(purpose), purpose, raised)
    else:
        with pytest.raises(LinkInvalid):
            check(make(purpose), purpose, raised)


def test_another_username_ends_the_link_to_choose_one():
    token = make(Purpose.USERNAME)
    for other in ("lovelace", None):
        with pytest.raises(LinkInvalid):
            check(token, Purpose.USERNAME, ACCOUNT._replace(username=other))


@PURPOSES
@pytest.mark.parametrize("email", ["b@example.org", None])
def test_another_address_ends_every_token(purpose, email):
    with pytest.raises(LinkInvalid):
        check(make(purpose), purpose, ACCOUNT._replace(email=email))


@PURPOSES
def test_an_address_is_compared_in_any_case(purpose):
    check(make(purpose), purpose, ACCOUNT._replace(email="ADA@EXAMPLE.ORG"))


@PURPOSES
@pytest.mark.parametrize("other", ["ada@straße.example", "ada@stras\u200dse.example"])
def test_an_address_with_the_same_folded_form_is_another_mailbox(purpose, other):
    """Such hosts have different owners. An account may change from one to the other."""
    one = ACCOUNT._replace(email="ada@strasse.example")
    with pytest.raises(LinkInvalid):
        check(make(purpose, one), purpose, one._replace(email=other))


def test_a_change_is_accepted_once_it_is_made():
    """A second click on the link is not an error; two accounts without an address can change."""
    token = make(Purpose.CHANGE)
    check(token, Purpose.CHANGE, ACCOUNT._replace(email="NEW@example.org"))
    nameless = ACCOUNT._replace(email=None)
    check(make(Purpose.CHANGE, nameless), Purpose.CHANGE, nameless)


def test_a_token_says_nothing_about_the_old_address():
    """The owner of the new address reads it, and could try addresses against a plain digest."""
    data = base64.urlsafe_b64decode(make(Purpose.CHANGE) + "==")
    other = base64.urlsafe_b64decode(make(Purpose.CHANGE, tokens=OneTimeTokens([NEW])) + "==")
    assert data[25:33] != other[25:33]


def test_the_longest_address_fits_in_a_token():
    address = "\U0001f600" * (MAX_NAME - 12) + "@example.org"
    token = TOKENS.make(Purpose.CHANGE, ACCOUNT, SOON, address)
    assert check(token, Purpose.CHANGE).address == address
