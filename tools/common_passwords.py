"""`python -m tools.common_passwords`: writes store/common_passwords/words.txt from zxcvbn's lists.

For contributors, after an upgrade of zxcvbn. The server does not need zxcvbn.
"""

from store.common_passwords import FILE

MIN_WORD = 8
"""Shorter words are left to the rule about length; passwords of any length are listed."""


def make_words() -> str:
    """Return the file's content: passwords, and words and names of at least MIN_WORD characters.

    The lists hold no word twice: a common password that is a common name as well is only there.
    """
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # noqa: PLC0415  # a tool of contributors

    words = {
        word
        for name, listed in FREQUENCY_LISTS.items()
        for word in listed
        if name == "passwords" or len(word) >= MIN_WORD
    }
    return "".join(f"{word}\n" for word in sorted(words))


if __name__ == "__main__":
    FILE.write_text(make_words())
