"""`make audit` is green only when there is a result, or when the network prevents one."""

import json
import sys

import pytest

from tools import audit

LOOKED_UP = {"name": "a", "version": "1", "vulns": []}
KNOWN = {"name": "b", "version": "2", "vulns": [{"id": "CVE-2026-1", "fix_versions": ["3"]}]}
UNKNOWN = {"name": "c", "skip_reason": "Dependency not found on PyPI and could not be audited: c"}
TRACEBACK = "Traceback (most recent call last):\n  File x\n"
NO_NAME = "requests.exceptions.ConnectionError: Max retries exceeded (NameResolutionError(…))"
EXPIRED = "requests.exceptions.SSLError: certificate verify failed: certificate has expired"


def output(*packages: dict[str, object]) -> str:
    return json.dumps({"dependencies": packages})


@pytest.mark.parametrize(
    ("said", "status", "shown"),
    [
        ((0, output(LOOKED_UP), ""), 0, "audit: r.txt: 0 known vulnerabilities"),
        ((1, output(LOOKED_UP, KNOWN), ""), 1, "  b 2: CVE-2026-1 (fixed in 3)"),
        ((0, output(UNKNOWN), ""), 0, "audit: SKIPPED r.txt: the package index has no advisories"),
        ((1, "", NO_NAME), 0, "audit: SKIPPED r.txt: no connection to the advisories"),
        ((0, output(LOOKED_UP, UNKNOWN), ""), 2, f"audit: FAILED r.txt: {UNKNOWN['skip_reason']}"),
        ((1, "", TRACEBACK + EXPIRED), 2, f"audit: FAILED r.txt: {EXPIRED}"),
        ((1, "", TRACEBACK + "ValueError: x"), 2, "audit: FAILED r.txt: ValueError: x"),
        ((2, "", ""), 2, "audit: FAILED r.txt: exit status 2"),
        ((1, output(LOOKED_UP), "odd"), 2, "audit: FAILED r.txt: odd"),
    ],
    ids=["clean", "known", "mirror", "offline", "one unknown", "expired", "crash", "silent", "odd"],
)
def test_a_result_or_the_network_or_a_failure(said, status, shown, capsys):
    code, out, err = said
    program = f"import sys; sys.stdout.write({out!r}); sys.stderr.write({err!r}); sys.exit({code})"
    assert audit.main([sys.executable, "-c", program], ["r.txt"]) == status
    assert shown in capsys.readouterr().out.splitlines()


def test_every_requirements_file_is_audited():
    found = {str(file.relative_to(audit.ROOT)) for file in audit.ROOT.glob("requirements*.txt")}
    assert found | {"bench/requirements.txt"} == set(audit.FILES)


def test_every_pin_has_a_hash():
    for file in audit.ROOT.glob("requirements*.txt"):
        pins = [line for line in file.read_text().splitlines() if "==" in line and line[0] != " "]
        assert pins
        assert not [line for line in pins if not line.endswith("\\")], file.name
