import pytest

from store.errors import BadValue
from store.password_rules import PasswordProblem, PasswordRules, parse_password_rules

SHORT, COMMON = PasswordProblem.TOO_SHORT, PasswordProblem.TOO_COMMON
SIMILAR = PasswordProblem.TOO_SIMILAR
NAMES = ("ada.lovelace", "ada@analytical.example")


@pytest.mark.parametrize(
    ("password", "problems"),
    [
        ("correct horse battery", []),
        ("zq9Kw2px", []),
        ("zq9Kw2p", [SHORT]),
        ("", [SHORT]),
        ("\U0001f600" * 8, []),  # eight characters, whatever they take in UTF-8
        ("password", [COMMON]),
        (" PassWord ", [COMMON]),
        ("12345", [SHORT, COMMON]),
        ("jennifer", [COMMON]),
        ("zzqqkkwwvv", []),  # no composition rules: no digit, no capital
        ("1029384756", [COMMON]),
        ("ada.lovelace", [SIMILAR]),
        ("ADA.Lovelace1", [SIMILAR]),
        ("lovelace1", [SIMILAR]),
        ("ada@analytical.example", [SIMILAR]),
        ("a" * 5000, []),
    ],
)
def test_default_rules(password, problems):
    assert PasswordRules().problems(password, NAMES) == problems


def test_an_account_without_names_has_none_to_be_similar_to():
    assert PasswordRules().problems("ada.lovelace", ()) == []


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("length=8 common similar", PasswordRules()),
        ("similar  length=12", PasswordRules(12, common=False)),
        ("common", PasswordRules(1, similar=False)),
        ("length=1024", PasswordRules(1024, common=False, similar=False)),
    ],
)
def test_rules_are_parsed(text, rules):
    assert parse_password_rules(text) == rules


@pytest.mark.parametrize(
    "text", ["digits", "length", "length=", "length=x", "length=-8", "length=99999", "Common"]
)
def test_unknown_rules(text):
    with pytest.raises(ValueError, match=text):
        parse_password_rules(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("length=0", "length must be from 1 to 1024"),
        ("length=1025", "length must be from 1 to 1024"),
        ("common common", "a rule is there twice"),
        ("length=8 length=9", "a rule is there twice"),
    ],
)
def test_rules_that_cannot_be_used(text, reason):
    with pytest.raises(BadValue, match=reason):
        parse_password_rules(text)


@pytest.mark.parametrize("rule", ["length=30", "common", "similar"])
def test_a_rule_that_is_left_out_is_not_applied(rule):
    password = "jennifer"
    found = parse_password_rules(rule).problems(password, ["jennifer"])
    assert found == [{"length=30": SHORT, "common": COMMON, "similar": SIMILAR}[rule]]
