"""The passwords met most often in leaked lists, and common words and names.

`words.txt` has one a line, in lower case, sorted; `tools/common_passwords.py` makes it from the
lists of zxcvbn, whose licence is beside it. It is searched as it is: a set takes 14 MB.
"""

from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("words.txt")


def is_listed(word: str) -> bool:
    """Return whether a word is one of the file's lines. The first call reads the file, 0.6 MB."""
    words, sought = _words(), word.encode(errors="surrogatepass")
    low, high = 0, len(words)
    while low < high:  # both are where a line begins, or the end
        start = max(low, words.rfind(b"\n", low, (low + high) // 2) + 1)
        end = words.index(b"\n", start)
        found = words[start:end]
        if found == sought:
            return True
        if found < sought:
            low = end + 1
        else:
            high = start
    return False


@cache
def _words() -> bytes:
    return FILE.read_bytes()
