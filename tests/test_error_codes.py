"""Error codes are stable: metrics, traces and logs have them, and docs/metrics.md lists them."""

import importlib
import re

import pytest

from handlers.errors import Malformed
from store.errors import AppError, BadToken, TokenProblem
from tests.test_layout import FILES, ROOT

LISTED = re.compile(r"^\| `([a-z_]+)` \| .+ \| [0-9, ]*\|$", re.MULTILINE)


def errors() -> list[type[AppError]]:
    """Return every error class of the product."""
    for module in FILES:
        if module.startswith(("handlers", "store")) and module != "store.image_decoder":
            importlib.import_module(module)
    found, left = [], AppError.__subclasses__()
    while left:
        error = left.pop()
        left += error.__subclasses__()
        if error.__module__.startswith(("handlers", "store")):
            found.append(error)
    return found


ERRORS = errors()


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_has_a_code(error: type[AppError]):
    if error not in (BadToken, Malformed):  # whose codes depend on what is wrong
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", error.code)
        assert error.code != AppError.code


def test_the_documentation_lists_every_code_and_no_other():
    codes = {error.code for error in ERRORS if error not in (BadToken, Malformed)}
    codes |= {BadToken(flaw).code for flaw in TokenProblem}
    codes |= {Malformed(form, "").code for form in ("JSON", "Form", "Header")}
    text = (ROOT / "docs/metrics.md").read_text()
    section = text.partition("## Error codes")[2].partition("\n## ")[0]
    assert LISTED.findall(section) == sorted(codes)
