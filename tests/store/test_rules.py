import unicodedata
from encodings import idna

import pytest

from store import rules
from store.rules import MAX_FOLDED, MAX_NAME, fold, is_email, is_nameable, is_storable

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

    Only the Turkish dotless ı is a letter of its own: its capital is the Latin one.
    """
    letters = (chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    forms = ({letter, letter.upper(), letter.lower(), letter.title()} for letter in letters)
    apart = [cases for cases in forms if len(cases) > 1 and len({*map(fold, cases)}) > 1]
    assert apart == [{"ı", "I"}]


@pytest.mark.parametrize(("one", "other"), [("kim", "kin"), ("élodie", "elodie"), ("o", "0")])
def test_other_names_stay_apart(one, other):
    assert fold(one) != fold(other)


@pytest.mark.parametrize("judge", [is_nameable, is_email])
def test_a_mebibyte_of_combining_marks_is_never_folded(judge, monkeypatch):
    """NFKC is quadratic in them: the length is looked at first."""
    touched = []
    with monkeypatch.context() as patch:
        patch.setattr(unicodedata, "normalize", lambda form, text: touched.append(text))
        patch.setattr(idna, "nameprep", touched.append)
        answers = [judge(COMBINING), judge(COMBINING + "@b.com"), judge("a@" + COMBINING + ".com")]
    assert answers == [False] * 3
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
    assert is_nameable(name) is allowed


def test_the_folded_limit_counts_bytes():
    """Three bytes a character, and one character that folds to eighteen."""
    ligature = "\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}"
    most = next(n for n in range(MAX_NAME) if len(fold(ligature * n).encode()) > MAX_FOLDED) - 1
    assert is_nameable(ligature * most)
    assert not is_nameable(ligature * (most + 1))


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
        ("\ud83d\udd11", False),  # two halves that nobody put together
    ],
)
def test_what_postgresql_can_keep(text, storable):
    assert is_storable(text) is storable


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
    ],
)
def test_these_do_not_look_like_an_email(email):
    assert not is_email(email)


def test_what_looks_like_an_email_is_storable():
    """Whatever else the rule lets through, no NUL and no half of a character."""
    for code in (0, *range(0xD800, 0xE000, 64)):
        for form in ("{}@example.com", '"{}"@example.com', '"\\{}"@example.com', "a@{}.com"):
            assert not rules.is_email(form.format(chr(code)))
