"""docs/faults-2026-11.md: every finding has a line, and every test that a line names is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/faults-2026-11.md").read_text()
FINDINGS = [
    *map(str, range(1, 24)),
    *(f"A{number}" for number in range(1, 9)),
    *(f"B{number}" for number in range(1, 17)),
    *(f"C{number}" for number in range(1, 17)),
]


def test_every_finding_has_a_line():
    lines = re.findall(r"^\| ([ABC]?\d+)\b", PAGE, re.MULTILINE)
    assert [finding for finding in FINDINGS if finding not in lines] == []


def test_every_test_that_is_named_is_there():
    missing = []
    for row in PAGE.splitlines():
        text = ""
        for file, name in re.findall(r"((?:[\w/]+/)?test_\w+\.py)?(?:::(\w+))?", row):
            if file:
                found = [ROOT / file] if "/" in file else list(ROOT.glob(f"*tests/**/{file}"))
                text = "".join(each.read_text() for each in found if each.is_file())
                missing += [] if text else [file]
            if name.startswith("test_") and f"def {name}(" not in text:
                missing.append(name)
    assert missing == []
