"""Bodies within the limits that are made to take long and must not block the event loop.

Each was the slowest of its kind when it was found.
"""

import gzip
import json
import zlib
from base64 import b64encode, encodebytes
from collections.abc import Iterator
from typing import NamedTuple

MIB = 1024 * 1024
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=seam"
VALUES = 10_000
"""The limit of handlers/body.py."""

GOOD = {"username": "ada", "email": "ada@example.com", "password": "Analytical-Engine-1843"}


class Heavy(NamedTuple):
    """A body, its content type, and further headers."""

    content_type: str
    body: bytes
    headers: str = ""


def filled(pattern: bytes, size: int = MIB) -> bytes:
    return pattern * (size // len(pattern))


def in_field(name: str, pattern: bytes, size: int = MIB) -> bytes:
    """Return JSON with one field of maximum length and valid others."""
    others = json.dumps({key: value for key, value in GOOD.items() if key != name}).encode()[:-1]
    head = others + b', "%b": "' % name.encode()
    return head + filled(pattern, size - len(head) - 2) + b'"}'


def part(head: str, content: bytes = b"", boundary: str = "seam") -> bytes:
    return f"--{boundary}\r\n{head}\r\n\r\n".encode() + content + b"\r\n"


def parts(*each: bytes) -> bytes:
    return b"".join(each) + b"--seam--\r\n"


FIELD = 'Content-Disposition: form-data; name="{}"'
FILE = 'Content-Disposition: form-data; name="picture"; filename="a.png"'
LISTS = b"[" + b",".join([b"[[[[]]]]"] * ((MIB - 100) // 9)) + b"]"
EMAILS = {
    "letters": "é" * 240 + "@é.com",
    "labels": "a@" + "é." * 120 + "com",
    "sharp s": "a@" + "ß" * 240 + ".com",
    "dots": ".".join("a" * 100) + "@" + ".".join("a" * 20) + ".x",
    "quotes": '"' + "\\a" * 120 + "@a.com",
    "combining marks": "a@" + "e" + "\u0301" * 240 + ".com",
    "folds to eighteen": "ﷺ" * 240 + "@a.com",
}


def texts() -> Iterator[tuple[str, Heavy]]:
    """JSON with one field as long as the body's limit, for each field."""
    patterns = {
        "letters": b"a",
        "spaces": b" ",
        "commas": b",",
        "brackets": b"[{",
        "escaped quotes": b'\\"',
        "escaped backslashes": b"\\\\",
        "escaped letters": b"\\u0041",
        "escaped spaces": b"\\u3000\\n",
        "combining marks": "\u0301\u0316".encode(),
        "escaped combining marks": b"\\u0301\\u0316",
        "decomposed": "e\u0316\u0301".encode(),
        "Hangul": "\u1112\u1161\u11ab".encode(),
        "case that grows": "İﬃ".encode(),
        "final sigma": "Σ'".encode(),
        "emoji": "😀".encode(),
        "digits": b"9",
        "other digits": "٣".encode(),
        "words": b"a b ",
    }
    for field in GOOD:
        for name, pattern in patterns.items():
            yield f"{field} of {name}", Heavy(JSON, in_field(field, pattern))


def structures() -> Iterator[tuple[str, Heavy]]:
    """JSON with very many values or numbers, and malformed JSON."""
    good = json.dumps(GOOD).encode()[:-1]
    bodies = {
        "lists": LISTS,
        "as many lists": b"[" + b",".join([b"[]"] * (VALUES // 2 - 1)) + b"]",
        "as many lists in a field": good + b', "a": [' + b"[],"[:-1] * (VALUES // 2 - 20) + b"]}",
        "too deep": filled(b"["),
        "levels": (b"[" * 1000 + b"]" * 1000 + b",") * 9 + b"1",
        "ints": b"[" + b",".join([b"1"] * (MIB // 2 - 1)) + b"]",
        "floats": b"[" + b",".join([b"1e9"] * (VALUES - 1)) + b"]",
        "long floats": b"[" + b",".join([b"1." + b"9" * 90 + b"e-30"] * (VALUES - 1)) + b"]",
        "strings": filled(b'"",'),
        "keys": b"{" + b",".join(b'"%090x":0' % n for n in range(VALUES - 1)) + b"}",
        "more keys": b"{" + b",".join(b'"%x":0' % n for n in range(100_000)) + b"}",
        "one key": good + filled(b',"username":"ada"', VALUES * 17 - 200) + b"}",
        "digits": filled(b"9"),
        "a number": good + b', "username": ' + filled(b"9", MIB - 200) + b"}",
        "a fraction": good + b', "username": 0.' + filled(b"3", MIB - 200) + b"}",
        "an exponent": good + b', "username": 1' + filled(b"0", MIB - 300) + b"e-999999}",
        "white space": filled(b" \n\t\r", MIB - 200) + good + b"}",
        "quotes": filled(b'"'),
        "backslashes": filled(b"\\"),
        "escaped quotes outside": filled(b'\\"'),
        "a string of no end": b'{"username": "' + filled(b"a", MIB - 20),
        "bytes that are no UTF-8": b'{"username": "' + filled(b"\xff", MIB - 20) + b'"}',
        "UTF-8 that ends badly": b'{"username": "' + filled("é".encode(), MIB - 20) + b'\xff"}',
        "towns": json.dumps({**GOOD, "towns": [2**63 - 1] * (VALUES - 10)}).encode(),
        "towns of digits": json.dumps({**GOOD, "towns": ["9" * 18] * (VALUES - 10)}).encode(),
        "one bad town": json.dumps({**GOOD, "towns": [*[1] * (VALUES - 10), {}]}).encode(),
    }
    for name, body in bodies.items():
        yield name, Heavy(JSON, body)
    for name, email in EMAILS.items():
        yield f"e-mail: {name}", Heavy(JSON, json.dumps({**GOOD, "email": email[:254]}).encode())
        name_too = {**GOOD, "username": email[:150], "email": email[:254]}
        yield f"username: {name}", Heavy(JSON, json.dumps(name_too).encode())
    for charset, letter in (
        ("utf-16", "a"),
        ("gb18030", "𠮷"),
        ("utf-7", "é"),
        ("big5hkscs", "漢"),
    ):
        one = letter.encode(charset)
        text = f'{{"username": "{letter * (MIB // len(one) - 20)}"}}'
        yield f"JSON in {charset}", Heavy(f"{JSON}; charset={charset}", text.encode(charset)[:MIB])


def compressed() -> Iterator[tuple[str, Heavy]]:
    """Compressed bodies that are large when decompressed."""
    for name, (coding, body) in {
        "gzip": ("gzip", gzip.compress(LISTS)),
        "deflate": ("deflate", zlib.compress(LISTS)),
        "gzip twice": ("gzip, gzip", gzip.compress(gzip.compress(LISTS))),
        "not br": ("br", LISTS),
        "not zstd": ("zstd", LISTS),
        "identity": ("identity", LISTS),
    }.items():
        yield name, Heavy(JSON, body, f"Content-Encoding: {coding}\r\n")


def headers() -> Iterator[tuple[str, Heavy]]:
    """Headers that are parsed with a body, as long as a header may be."""
    good = json.dumps(GOOD).encode()
    for name, parameters in {
        "parameters": "a=b;" * 1990,
        "quotes that end nowhere": 'a="' * 2650,
        "escaped quotes": 'a="' + '\\"' * 3900,
        "backslashes": '"\\' * 3900,
        "spaces": "; " * 3900,
        "continued parameters": "".join(f"a*{n}=x;" for n in range(950)),
        "encoded words": "=?utf-8?q?a?=" * 600,
        "names": "a" * 7900,
        "a charset": "charset=" + "a" * 7900,
    }.items():
        yield f"Content-Type: {name}", Heavy(f"{JSON};{parameters}", good)
        yield f"form, {name}", Heavy(f"multipart/form-data;{parameters}", parts(part(FIELD)))
    yield "Content-Type of brackets", Heavy("(" * 7900, good)
    yield "scheme", Heavy(JSON, good, "Authorization: " + "a " * 3950 + "\r\n")
    yield "codings", Heavy(JSON, good, "Content-Encoding: " + ", " * 3950 + "\r\n")


def forms() -> Iterator[tuple[str, Heavy]]:
    """Urlencoded forms."""
    bodies = {
        "escapes": b"username=" + b"%41" * 50_000,
        "too many escapes": b"username=" + filled(b"%41", MIB - 20),
        "escaped letters": b"username=" + b"%C3%A9" * 25_000 + filled(b"a", MIB - 160_000),
        "percent signs": b"username=" + b"%" * 50_000 + filled(b"a", MIB - 60_000),
        "two alphabets and an escape": b"username=%41" + filled("aé".encode(), MIB - 20),
        "fields": b"&".join(b"%x=%b" % (n, b"a" * 1000) for n in range(1000)),
        "escaped fields": b"&".join(b"%%4%x=%b" % (n, b"%41+" * 49) for n in range(999)),
        "one field": b"&".join([b"username=" + b"a" * 1000] * 999),
        "ampersands": filled(b"&"),
        "plus signs": b"username=" + filled(b"+", MIB - 20),
        "equals signs": filled(b"="),
        "no UTF-8": b"username=" + filled(b"\xff", MIB - 20),
        "letters": b"password=" + filled(b"a", MIB - 200) + b"&username=ada&email=a@example.com",
    }
    for name, body in bodies.items():
        yield f"form of {name}", Heavy(FORM, body)
    for charset in ("utf-7", "gb18030", "utf-16"):
        text = "username=" + "é" * (MIB // len("é".encode(charset)) - 20)
        yield f"form in {charset}", Heavy(f"{FORM}; charset={charset}", text.encode(charset)[:MIB])


def multiparts(size: int = MIB) -> Iterator[tuple[str, Heavy]]:
    """Multipart forms."""
    long = 'Content-Disposition: form-data; name="a"' + "; a=b" * 185
    eight = "\r\n".join(
        [FIELD.format("a"), "Content-Type: text/plain" + "; a=b" * 185, *["A: b"] * 6]
    )
    room = size - 300
    bodies = {
        "parts": parts(*(part(FIELD.format(n)) for n in range(1000))),
        "too many parts": parts(*(part(FIELD.format(n)) for n in range(15_000))),
        "long heads": parts(*[part(long)] * (room // 1000)),
        "many heads": parts(*[part(eight)] * (room // 2150)),
        "a head of no end": part(FIELD + "\r\n" + "a" * room),
        "folded heads": parts(*[part(FIELD + "\r\n c" * 500)] * (room // 1000)),
        "heads of one letter": part("\r\n".join(["a:b"] * (room // 5))),
        "nothing but line breaks": b"--seam\r\n" + filled(b"\r\n", room),
        "a preamble": filled(b"a", room) + b"\r\n" + parts(part(FIELD)),
        "an epilogue": parts(part(FIELD)) + filled(b"\r\n--seam", room),
        "no boundary": filled(b"\r\n--sea", room),
        "letters of the boundary": parts(part(FILE, filled(b"a", room))),
        "boundaries nearly": parts(part(FILE, filled(b"\r\n--sea", room))),
        "line breaks": parts(part(FILE, filled(b"\r", room))),
        "base64": parts(
            part(FILE + "\r\nContent-Transfer-Encoding: base64", filled(b"AAAA\r\n", room))
        ),
        "base64 of a field": parts(
            part(
                FIELD.format("password") + "\r\nContent-Transfer-Encoding: base64",
                filled(b"AAAA\r\n", room),
            )
        ),
        "a text": parts(part(FIELD.format("password"), filled("é".encode(), room))),
        "a text in gb18030": parts(
            part(
                FIELD.format("username") + "\r\nContent-Type: text/plain; charset=gb18030",
                filled("𠮷".encode("gb18030"), room),
            )
        ),
    }
    for name, body in bodies.items():
        yield f"multipart: {name}", Heavy(MULTIPART, body[:size])
    wide = "-" * 200
    body = part(FILE, filled(b"\r\n--" + b"-" * 199 + b"a", room - 400), wide)
    yield (
        "multipart: a wide boundary",
        Heavy(f"multipart/form-data; boundary={wide}", body + f"--{wide}--\r\n".encode()),
    )


PICTURE_BYTES = 5 * MIB
BODY_BYTES = PICTURE_BYTES * 4 // 3 + 65_536


def pictures() -> Iterator[tuple[str, Heavy]]:
    """The formats that set_picture accepts, each of maximum length."""
    room = BODY_BYTES - 100
    yield "picture: zeros", Heavy("image/png", bytes(PICTURE_BYTES))
    yield "picture: markup", Heavy("image/png", filled(b"<", PICTURE_BYTES))
    yield "picture: octets", Heavy("application/octet-stream", filled(b"\xff\xd8", PICTURE_BYTES))
    lines = encodebytes(bytes(room * 3 // 4 * 60 // 64)).replace(b"\n", b"\\n")
    texts = {
        "base64": b64encode(bytes(PICTURE_BYTES - 10)),
        "base64 in lines": lines,
        "a data: URL": b"data:image/png;base64," + b64encode(bytes(PICTURE_BYTES - 10)),
        "a data: URL without a comma": b"data:" + filled(b"A", room - 20),
        "escaped slashes": filled(b"\\/", room - 20),
        "escaped plus signs": filled(b"\\u002b", room - 20),
        "spaces": filled(b"aa ", room - 20),
        "escaped spaces": filled(b"\\n", room - 20),
        "escaped quotes": filled(b'\\"', room - 20),
        "escaped backslashes": filled(b"\\\\", room - 20),
        "letters of two bytes": filled("é".encode(), room - 20),
        "padding": filled(b"AA==", room - 20),
        "combining marks": filled("\u0301\u0316".encode(), room - 20),
    }
    for name, text in texts.items():
        yield f"picture: {name}", Heavy(JSON, b'{"picture": "' + text + b'"}')
    lists = b"[" + b",".join([b"[[[[]]]]"] * (room // 9)) + b"]"
    keys = b",".join(b'"%x":0' % n for n in range(room // 10))
    half = b'"' + filled(b"A", room // 2 - 20) + b'"'
    bodies = {
        "lists": lists,
        "keys": b"{" + keys[: room - 10] + b"}",
        "strings": b"[" + filled(b'"",', room - 2),
        "short strings": b"[" + (b'"' + b'\\"' * 8000 + b'",') * 400,
        "quotes": filled(b'"', room),
        "digits": b'{"id": ' + filled(b"9", room - 20) + b"}",
        "an id of digits": b'{"id": "' + filled(b"9", room - 20) + b'"}',
        "white space": filled(b" ", room - 20) + b'{"id": 1}',
        "two long strings": b'{"picture": ' + half + b', "a": ' + half + b"}",
        "a long key": b"{" + half + b": 1}",
        "no end": b'{"picture": "' + filled(b"A", room - 20),
        "a long string and lists": b'{"picture": '
        + half
        + b', "a": '
        + lists[: room // 2 - 99]
        + b"}",
    }
    for name, body in bodies.items():
        yield f"picture: {name}", Heavy(JSON, body[: room + 100])
    for name, heavy in multiparts(room):
        yield f"picture: {name}", heavy
