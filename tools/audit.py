"""Look the pinned packages up in the published advisories, with pip-audit; `make audit` runs this.

Exit status: 0 when nothing is known, or when the advisories cannot be reached, which is said in a
line of its own; 1 when a vulnerability is known; 2 when the audit itself failed. Only the errors
of `UNREACHABLE` count as "cannot be reached": an expired certificate or a crash is a failure.

What the wheels bundle (PostgreSQL, image libraries and so on) has no advisories in a Python
index: docs/security.md lists it with its versions, and tests/test_bundled.py keeps the list true.
"""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
FILES = (
    "requirements.txt",
    "requirements-embedded.txt",
    "requirements-tracing.txt",
    "requirements-dev.txt",
    "bench/requirements.txt",
)
OPTIONS = ("--format", "json", "--progress-spinner", "off", "--disable-pip", "--no-deps")
UNREACHABLE = re.compile(
    r"^requests\.exceptions\.(ConnectionError|ConnectTimeout|ReadTimeout|ProxyError): "
    r"|Could not connect to PyPI's vulnerability feed",
    re.MULTILINE,
)
NO_ADVISORIES = "not found on PyPI and could not be audited"
"""What pip-audit says of each package when the index is a mirror without advisories."""


class AuditError(Exception):
    """The audit did not come to a result; the text is pip-audit's last line."""


class Unreachable(Exception):
    """The advisories cannot be reached from here."""


def vulnerabilities(status: int, output: str, errors: str) -> list[str]:
    """Return the known vulnerabilities in what pip-audit printed, one line each.

    Raises Unreachable, AuditError.
    """
    if UNREACHABLE.search(errors):
        raise Unreachable("no connection to the advisories")
    try:
        packages = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        raise AuditError(_last_line(errors) or f"exit status {status}") from None
    skipped = [each for each in packages if "skip_reason" in each]
    if packages and len(skipped) == len(packages):
        if all(NO_ADVISORIES in each["skip_reason"] for each in skipped):
            raise Unreachable("the package index has no advisories")
        raise AuditError(skipped[0]["skip_reason"])
    if skipped:
        raise AuditError("; ".join(each["skip_reason"] for each in skipped))
    found = [
        f"{package['name']} {package['version']}: {known['id']}"
        f" (fixed in {', '.join(known['fix_versions']) or 'no release'})"
        for package in packages
        for known in package["vulns"]
    ]
    if status != bool(found):
        raise AuditError(_last_line(errors) or f"exit status {status}")
    return found


def main(command: Sequence[str] = ("pip-audit",), files: Sequence[str] = FILES) -> int:
    """Audit each requirements file; return the exit status."""
    worst = 0
    for file in files:
        ran = subprocess.run(  # noqa: S603  # our own arguments
            [*command, *OPTIONS, "-r", file], cwd=ROOT, capture_output=True, text=True, check=False
        )
        try:
            found = vulnerabilities(ran.returncode, ran.stdout, ran.stderr)
        except Unreachable as problem:
            print(f"audit: SKIPPED {file}: {problem}")
        except AuditError as problem:
            print(f"audit: FAILED {file}: {problem}")
            worst = max(worst, 2)
        else:
            print(f"audit: {file}: {len(found)} known vulnerabilities")
            for line in found:
                print(f"  {line}")
            worst = max(worst, bool(found))
    return worst


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]


if __name__ == "__main__":
    sys.exit(main([str(Path(sys.executable).parent / "pip-audit")]))
