"""Bodies as client libraries write them are parsed as Django REST framework parses them.

Three of the dialects are contracts of servers in that framework. `DIFFERENT` lists the differences
and their reasons.
"""

import base64

import pytest

from tests import django_settings  # isort: skip  # noqa: F401  # configures Django

from rest_framework.exceptions import APIException
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from handlers.body import parse_json
from handlers.content_type import parse_content_type
from handlers.errors import Malformed
from handlers.forms import parse_multipart, parse_urlencoded

NAME = 'Content-Disposition: form-data; name="username"'
FILE = 'Content-Disposition: form-data; name="picture"; filename="a.jpg"'
JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF"
FORM = "application/x-www-form-urlencoded"
REFUSED = "refused"


def part(head: str, content: bytes, seam: str = "seam") -> bytes:
    return f"--{seam}\r\n{head}\r\n\r\n".encode() + content + f"\r\n--{seam}--\r\n".encode()


def multipart(head: str, content: bytes = b"ada") -> tuple[str, bytes]:
    return "multipart/form-data; boundary=seam", part(head, content)


def bounded(boundary: str, seam: str | None = None) -> tuple[str, bytes]:
    return f"multipart/form-data; {boundary}", part(NAME, b"ada", seam or boundary[9:])


BODIES: dict[str, tuple[str, bytes]] = {
    # JSON
    "JSON": ("application/json", b'{"username": "ada"}'),
    "JSON in capitals": ("Application/JSON", b'{"username": "ada"}'),
    "JSON, charset=null": ("application/json; charset=null", b'{"username": "ad\xc3\xa9"}'),
    "JSON, charset=utf8mb4": ("application/json;charset=utf8mb4", b'{"username": "ad\xc3\xa9"}'),
    "JSON, charset in quotes": ('application/json; charset="UTF-8"', b'{"username": "ad\xc3\xa9"}'),
    "JSON, an empty charset": ("application/json; charset=", b'{"username": "ad\xc3\xa9"}'),
    "JSON in UTF-16": ("application/json; charset=utf-16", '{"username": "adé"}'.encode("utf-16")),
    "JSON in Latin 1": ("application/json; charset=iso-8859-1", b'{"username": "ad\xe9"}'),
    "JSON that is not UTF-8": ("application/json", b'{"username": "ad\xe9"}'),
    "JSON behind a semicolon": ("application/json;", b'{"username": "ada"}'),
    # urlencoded forms
    "a form": (FORM, b"username=ad%C3%A9+x&password=%26"),
    "a form, UTF-8 unescaped": (FORM, "username=adé".encode()),
    "a form, charset=utf-8": (f"{FORM}; charset=utf-8", b"username=ad%C3%A9"),
    "a form, an unknown charset": (f"{FORM}; charset=null", b"username=ad%C3%A9"),
    "a form with empty fields": (FORM, b"username=&password&=x&&"),
    "a form with a field twice": (FORM, b"username=a&username=b"),
    "a form with bad escapes": (FORM, b"username=%zz%4&password=%"),
    "a form with semicolons": (FORM, b"username=a;password=b"),
    "a form of escapes that are not UTF-8": (FORM, b"username=%ff"),
    # multipart forms: boundaries
    "a boundary": bounded("boundary=seam"),
    "a boundary in quotes": bounded('boundary="seam"', "seam"),
    "a boundary with =": bounded("boundary=a=b=="),
    "a boundary with :": bounded("boundary=a:b"),
    "a boundary with /": bounded("boundary=a/b"),
    "a boundary with ?": bounded("boundary=a?b"),
    "a boundary with ()": bounded("boundary=(a)"),
    "a boundary with a space": bounded("boundary=a b"),
    "a boundary with spaces around it": bounded("boundary = seam ", "seam"),
    "a boundary behind a charset": bounded("charset=utf-8; boundary=seam", "seam"),
    "a boundary in capitals": bounded("BOUNDARY=seam", "seam"),
    "no boundary": ("multipart/form-data", part(NAME, b"ada")),
    "an empty boundary": ("multipart/form-data; boundary=", part(NAME, b"ada", "")),
    "a boundary that is too long": bounded("boundary=" + "a" * 300),
    # multipart forms: parts
    "a field": multipart(NAME),
    "a name without quotes": multipart("Content-Disposition: form-data; name=username"),
    "a head in small letters": multipart('content-disposition: form-data; name="username"'),
    "a head without spaces": multipart('Content-Disposition:form-data;name="username"'),
    "a field with a type": multipart(f"{NAME}\r\nContent-Type: text/plain; charset=utf-8"),
    "a field with a length": multipart(f"{NAME}\r\nContent-Length: 3"),
    "a field of octets": multipart(f"{NAME}\r\nContent-Type: application/octet-stream"),
    "a field of JSON": multipart(f"{NAME}\r\nContent-Type: application/json", b'"ada"'),
    "a field in 8bit": multipart(f"{NAME}\r\nContent-Transfer-Encoding: 8bit"),
    "a field in base64": multipart(f"{NAME}\r\nContent-Transfer-Encoding: base64", b"YWRh"),
    "a field in base64 that is not": multipart(
        f"{NAME}\r\nContent-Transfer-Encoding: base64", b"ada"
    ),
    "a field that is not UTF-8": multipart(NAME, b"\xff"),
    "a part without a name": multipart("Content-Disposition: form-data"),
    "a part without a disposition": multipart("Content-Type: text/plain"),
    "a file": multipart(f"{FILE}\r\nContent-Type: image/jpeg", JPEG),
    "a file without a type": multipart(FILE, JPEG),
    "a file of another name": multipart(FILE.replace("picture", "avatar"), JPEG),
    "a file with filename* alone": multipart(
        "Content-Disposition: form-data; name=\"picture\"; filename*=UTF-8''%C3%A9.jpg", JPEG
    ),
    "a file with both names": multipart(f"{FILE}; filename*=UTF-8''%C3%A9.jpg", JPEG),
    "a file in base64": multipart(
        f"{FILE}\r\nContent-Transfer-Encoding: base64", base64.encodebytes(JPEG * 20)
    ),
    "a file in base64 that is cut off": multipart(
        f"{FILE}\r\nContent-Transfer-Encoding: base64", base64.b64encode(JPEG)[:-3]
    ),
    "a file with an empty name and no content": multipart(FILE.replace("a.jpg", ""), b""),
    "a file with a name and no content": multipart(FILE, b""),
    "a file with an empty name": multipart(FILE.replace("a.jpg", ""), JPEG),
    "a picture without a filename": multipart(
        f"{NAME.replace('username', 'picture')}\r\nContent-Type: image/jpeg", JPEG
    ),
    "octets without a filename": multipart(
        f"{NAME.replace('username', 'picture')}\r\nContent-Type: application/octet-stream", JPEG
    ),
    # multipart forms: text around the parts
    "a preamble": ("multipart/form-data; boundary=seam", b"hello\r\n" + part(NAME, b"ada")),
    "an epilogue": ("multipart/form-data; boundary=seam", part(NAME, b"ada") + b"hello\r\n"),
    "no line break at the end": ("multipart/form-data; boundary=seam", part(NAME, b"ada")[:-2]),
    "no end": ("multipart/form-data; boundary=seam", part(NAME, b"ada")[:-4]),
    "no parts": ("multipart/form-data; boundary=seam", b"--seam--\r\n"),
    "no form": ("multipart/form-data; boundary=seam", b"plain"),
    "bare line feeds": (
        "multipart/form-data; boundary=seam",
        part(NAME, b"ada").replace(b"\r\n", b"\n"),
    ),
    "a folded head": multipart(NAME.replace("; name", ";\r\n name")),
}

_NOT_TEXT = "Django puts U+FFFD in the place of what it cannot decode, in a password too"
_PICTURE = "Django takes it for a text, and nothing is left of the picture"
_BROKEN = "Django finds no field in it, and says that they are required"
DIFFERENT: dict[str, tuple[object, str]] = {
    "a form of escapes that are not UTF-8": (REFUSED, _NOT_TEXT),
    "a field that is not UTF-8": (REFUSED, _NOT_TEXT),
    "a file with an empty name and no content": ({}, "Django has an empty text for it"),
    "a file with an empty name": ({"picture": JPEG}, _PICTURE),
    "a picture without a filename": ({"picture": JPEG}, _PICTURE),
    "octets without a filename": ({"picture": JPEG}, _PICTURE),
    "no end": (REFUSED, "the form was cut off"),
    "no form": (REFUSED, _BROKEN),
    "bare line feeds": (REFUSED, _BROKEN),
    "a folded head": (REFUSED, _BROKEN),
}


def django_reads(content_type: str, body: bytes) -> object:
    """Return the fields that Django REST framework finds, or that it rejects the body."""
    request = APIRequestFactory().generic("POST", "/", body, content_type)
    parsers = [JSONParser(), FormParser(), MultiPartParser()]
    try:
        data = Request(request, parsers=parsers).data
    except APIException:
        return REFUSED
    return {name: value if isinstance(value, str) else value.read() for name, value in data.items()}


async def this_server_reads(content_type: str, body: bytes) -> object:
    """Return the same of this server."""
    parsed = parse_content_type(content_type)
    try:
        if parsed.media_type == "application/json":
            return parse_json(body, parsed.charset)
        if parsed.media_type == FORM:
            return dict(parse_urlencoded(body, parsed.charset))
        return dict(await parse_multipart(body, parsed))
    except Malformed:
        return REFUSED


@pytest.mark.parametrize("name", BODIES)
async def test_a_body_is_read_as_django_reads_it(name: str):
    theirs, ours = django_reads(*BODIES[name]), await this_server_reads(*BODIES[name])
    expected, reason = DIFFERENT.get(name, (theirs, ""))
    assert ours == expected, reason
    assert (ours == theirs) == (name not in DIFFERENT), "an entry of DIFFERENT is out of date"
