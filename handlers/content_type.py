"""The Content-Type header: a media type, its parameters, and the charset of a text.

aiohttp uses the parser for e-mail headers: a header of 8 KB blocked the event loop for 220 ms, and
a boundary without quotes was cut off at `=` or `?`. Django accepts such boundaries.
"""

import encodings
import encodings.aliases
import functools
import re
from collections.abc import Mapping
from typing import NamedTuple

from aiohttp import hdrs, web

_PARAMETER = re.compile(r';\s*([^\s;="]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)')
_ESCAPED = re.compile(r"\\(.)")

_TEXT = re.compile(r"ascii|latin_1|utf_(7|16|32)|iso8859_|cp\d|koi8_|gb|big5|euc_|shift_jis")
_CHARSETS = {
    name: codec
    for alias, codec in encodings.aliases.aliases.items()
    for name in (alias, codec)
    if _TEXT.match(codec)
}
"""The accepted charsets of bodies except UTF-8, by each of their names.

`codecs.lookup` is not used: it keeps every unknown name for the life of the process.
"""


class ContentType(NamedTuple):
    """A media type in lower case, "" without one, and its parameters."""

    media_type: str
    parameters: Mapping[str, str]

    @property
    def charset(self) -> str | None:
        """The codec of a text of this type, None for UTF-8.

        An unknown charset, or a codec that is not one of text, counts as UTF-8, as in Django: JSON
        has no such parameter (RFC 8259, 11), and clients send `null` and `utf8mb4`.
        """
        name = self.parameters.get("charset", "")
        if len(name) > 32:
            return None
        return _CHARSETS.get(encodings.normalize_encoding(name).lower())


def content_type_of(request: web.Request) -> ContentType:
    """Return the parsed Content-Type header of a request."""
    return parse_content_type(request.headers.get(hdrs.CONTENT_TYPE, ""))


@functools.lru_cache(maxsize=64)
def parse_content_type(header: str) -> ContentType:
    """Parse a Content-Type header."""
    media_type, parameters = parse_parameters(header)
    return ContentType(media_type.strip().lower(), parameters)


def parse_parameters(header: str) -> tuple[str, dict[str, str]]:
    """Split a header into its value and its parameters; their names are in lower case."""
    value, _, _ = header.partition(";")
    parameters = {
        name.lower(): _ESCAPED.sub(r"\1", given[1:-1]) if given[:1] == '"' else given.rstrip()
        for name, given in _PARAMETER.findall(header, len(value))
    }
    return value, parameters
