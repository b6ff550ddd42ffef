import unicodedata
from functools import cache

import idna
import pytest

from store import names
from store.names import (
    MAX_FOLDED,
    MAX_NAME,
    fold,
    fold_email,
    forms,
    is_email,
    is_plain_username,
    is_seen,
    is_valid_name,
    is_valid_text,
)

COMBINING = "a" + "\N{COMBINING ACUTE ACCENT}" * 2**20


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("KIM", "kim"),
        ("ÉLODIE", "élodie"),
        ("STRASSE", "straße"),
        ("ẞ", "ß"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("ЖЕНЯ", "женя"),
        ("Ａｎａ", "ana"),  # full width
        ("ﬁn", "FIN"),  # a ligature
        ("\N{KELVIN SIGN}", "k"),
        ("cafe\N{COMBINING ACUTE ACCENT}", "CAFÉ"),
        ("ᾼ", "ᾳ"),
    ],
)
def test_names_that_differ_in_case_or_form_are_one_name(one, other):
    assert fold(one) == fold(other)


def test_every_letter_is_the_same_name_in_any_case():
    """Names are unique whatever their case, in every script.

    Only the Turkish dotless ı is a separate letter, although its capital is the Latin one.
    """
    letters = (chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    forms = ({letter, letter.upper(), letter.lower(), letter.title()} for letter in letters)
    apart = [cases for cases in forms if len(cases) > 1 and len({*map(fold, cases)}) > 1]
    assert apart == [{"ı", "I"}]


@pytest.mark.parametrize(("one", "other"), [("kim", "kin"), ("élodie", "elodie"), ("o", "0")])
def test_other_names_stay_apart(one, other):
    assert fold(one) != fold(other)


@pytest.mark.parametrize("check", [is_valid_name, is_email, is_plain_username])
def test_a_mebibyte_of_combining_marks_is_never_folded(check, monkeypatch):
    """NFKC is quadratic in them: the length is looked at first."""
    touched = []
    with monkeypatch.context() as patch:
        patch.setattr(unicodedata, "normalize", lambda form, text: touched.append(text))
        patch.setattr(idna, "encode", lambda host, **_: touched.append(host))
        results = [check(COMBINING), check(COMBINING + "@b.com"), check("a@" + COMBINING + ".com")]
    assert results == [False] * 3
    assert touched == []


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("a" * MAX_NAME, True),
        ("a" * (MAX_NAME + 1), False),
        ("\U0001f511" * MAX_NAME, True),
        ("\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}" * MAX_NAME, False),
        ("a\0b", False),
        ("\ud83d", False),
    ],
)
def test_a_name_has_a_length_before_and_after_it_is_folded(name, allowed):
    assert is_valid_name(name) is allowed


def test_the_folded_limit_counts_bytes():
    """Three bytes a character, and one character that folds to eighteen."""
    ligature = "\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}"
    most = next(n for n in range(MAX_NAME) if len(fold(ligature * n).encode()) > MAX_FOLDED) - 1
    assert is_valid_name(ligature * most)
    assert not is_valid_name(ligature * (most + 1))


@pytest.mark.parametrize(
    ("text", "storable"),
    [
        ("", True),
        ("plain", True),
        ("\x01\x7f\n\r\t", True),
        ("\ufffe\uffff\U0010ffff", True),
        ("\U0001f511", True),
        ("\0", False),
        ("a\0", False),
        ("\ud800", False),
        (chr(0xDFFF), False),
        ("\ud83d\udd11", False),  # two surrogates that were not decoded as a pair
    ],
)
def test_what_postgresql_can_keep(text, storable):
    assert is_valid_text(text) is storable


@pytest.mark.parametrize(
    "email",
    [
        "test@test.com",
        "first.last+tag@sub.example.co.uk",
        "TEST@EXAMPLE.COM",
        "!#$%&'*+/=?^_`{|}~-@example.com",
        "1@2.33",
        "a@localhost",
        '"quoted"@example.com',
        '"quo\\ ted@home"@example.com',
        "a@bücher.example",
        "a@xn--bcher-kva.example",
        "a@" + "b" * 63 + ".com",
        "a" * 242 + "@example.com",
    ],
)
def test_these_look_like_an_email(email):
    assert is_email(email)


@pytest.mark.parametrize(
    "email",
    [
        "",
        "@",
        "test",
        "test@",
        "@test.com",
        "test@test",
        "te st@test.com",
        "test@te st.com",
        "test@test.com ",
        "test@test.com\n",
        "test@test.com\0",
        "test\0@test.com",
        "a@b@c.com",
        ".a@b.com",
        "a.@b.com",
        "a..b@c.com",
        "élodie@example.com",
        "a@-b.com",
        "a@b-.com",
        "a@b..com",
        "a@.com",
        "a@b.c",
        "a@b.-om",
        "a@b_c.com",
        "a@" + "b" * 64 + ".com",
        "a@ü" + "b" * 64 + ".com",
        "a@b.com, c@d.com",
        "Kim <kim@example.com>",
        "a@\ud800.com",
        "\ud800@example.com",
        '"open@example.com',
        "a" * 243 + "@example.com",
        "victim@exam\xadple.com",
        "victim@example\u200b.com",
        "victim@exa\u200dmple.com",
        "victim@exam\u3164ple.com",
        "victim@\u202eexample.com",
        '"\x1b[31mred"@x.com',
        '"a\x7f"@x.com',
        "a@" + "\u00fc" * 254 + ".com",
        "\u00fc" * 254,
    ],
)
def test_these_do_not_look_like_an_email(email):
    assert not is_email(email)


def test_what_looks_like_an_email_is_storable():
    """Whatever else the rule lets through, no NUL and no half of a character."""
    for code in (0, *range(0xD800, 0xE000, 64)):
        for form in ("{}@example.com", '"{}"@example.com', '"\\{}"@example.com', "a@{}.com"):
            assert not names.is_email(form.format(chr(code)))


@cache
def changed():
    """Return the characters that folding may do something to, but for Hangul, which has a rule."""
    return [
        each
        for each in map(chr, (*range(0x80, 0xD800), *range(0xE000, 0x110000)))
        if unicodedata.decomposition(each) or each.casefold() != each or not is_seen(f"b{each}c")
    ]


def test_what_is_folded_stays_as_it_is_when_it_is_folded_again():
    for each in changed():
        folded, email = fold(f"a{each}"), fold_email(f"a@b{each}c.com")
        assert fold(folded) == folded, ascii(each)
        assert fold_email(email) == email, ascii(each)


UTS_46_IS_ANOTHER = set(
    "\u1e9e"  # it maps the capital of ß to ß; casefolding both to ss
    "\u200c\u200d\u06dd"
)
"""Characters whose host UTS #46 maps to another one than fold_email does."""


def test_hosts_that_uts_46_maps_to_one_are_one():
    apart = set()
    for each in changed():
        if unicodedata.category(each) == "Cn":  # newer than this Python
            continue
        try:
            mapped = idna.uts46_remap(f"b{each}c.com", std3_rules=False)
        except idna.IDNAError:  # no host has it
            continue
        if fold_email(f"a@b{each}c.com") != fold_email(f"a@{mapped}"):
            apart.add(each)
    assert apart <= UTS_46_IS_ANOTHER, ascii(apart)


ASCII_FORMS = {
    "a@xn--exmple-cua.com": "a@ex\u00e4mple.com",
    "a@XN--EXMPLE-CUA.com": "a@ex\u00e4mple.com",
    "a@x.xn--exmple-cua.xn--p1ai": "a@x.ex\u00e4mple.\u0440\u0444",
    "xn--exmple-cua@xn--.com": "xn--exmple-cua@xn--.com",
    "a@xn--abc-.com": "a@xn--abc-.com",  # nothing but ASCII
    "a@xn--99999999999.com": "a@xn--99999999999.com",  # beyond Unicode
    "a@xn--a-0hq.com": fold_email("a@xn--a-0hq.com"),
}


@pytest.mark.parametrize(("email", "folded"), ASCII_FORMS.items())
def test_the_ascii_form_of_a_host_is_its_unicode_form(email, folded):
    assert fold_email(email) == folded
    assert forms("email", email)[-1] == folded


def test_no_host_is_decoded_into_another_address():
    """Punycode can hold anything: a dot, an @, half a character."""
    for character in ("\uff20", "\uff0e", "\u3002", "\ud800", "\u2024"):
        label = "xn--" + f"a{character}b".encode("punycode", "surrogatepass").decode()
        assert fold_email(f"a@{label}.com") == f"a@{label}.com"


UNSEEN_NAMES = [
    *(f"a{chr(code)}b" for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)),
    *(f"a{chr(code)}b" for code in (0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), 0x2066, 0x2069)),
    *(f"admin{letter}" for letter in "\u3164\u115f\u1160\uffa0\u2800\xad\u200b\u2060\ufeff"),
    "\u200d",
    "\ufe0fa",
    "a \u200db",
    "\U000e0041a",
]


def test_what_a_new_name_may_not_hold():
    assert [ascii(name) for name in UNSEEN_NAMES if is_seen(name)] == []
    assert [ascii(name) for name in UNSEEN_NAMES if is_plain_username(name)] == []
    assert [ascii(name) for name in UNSEEN_NAMES if is_email(f"a@{name}.com")] == []


def test_every_ignorable_character_is_unseen_and_makes_no_second_name():
    """By Unicode's own list, as far as Python can tell: format characters without a glyph."""
    shown = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
    shown |= {*range(0xFFF9, 0xFFFC), *range(0x13430, 0x13440)}
    for code in range(0x110000):
        if unicodedata.category(chr(code)) == "Cf" and code not in shown:
            assert not is_seen(f"{chr(code)}a"), hex(code)
            assert fold(f"a{chr(code)}b") == "ab", hex(code)


def test_letters_of_any_script():
    names = (
        # Hindi, Thai
        "\u0939\u093f\u0928\u094d\u0926\u0940 \u0e44\u0e17\u0e22\u0e43\u0e2b\u0e21\u0e48 "
        "\u0ba4\u0bae\u0bbf\u0bb4\u0bcd \u09ac\u09be\u0982\u09b2\u09be "  # Tamil, Bengali
        "\u1019\u103c\u1014\u103a\u1019\u102c Jose\u0301 Jos\u00e9 "  # Burmese, decomposed
        "\u0416\u0435\u043d\u044f \u6f22\u5b57 kim.lee+1@x-y_z \u0661\u0662"
    )
    assert [name for name in names.split() if not is_plain_username(name)] == []
    others = (
        "",
        "\u0301a",
        "1\u0301",
        "_\u0301",
        "a b",
        "a/b",
        "kim\n",
        "a\u20dd",
        "\u2764",
        "a\ufe0f",
    )
    assert [name for name in others if is_plain_username(name)] == []
