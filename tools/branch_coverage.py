"""Print the line and branch coverage of each package; `make coverage` runs this.

It reads the JSON report of coverage.py. Exit status: 0 when every package of `REQUIRED` has at
least `BOUND` per cent of its branches covered, else 1.
"""

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
REPORT = ROOT / ".coverage_cache/report.json"
REQUIRED = ("handlers", "store")
BOUND = 95.0
_COUNTED = ("covered_lines", "num_statements", "covered_branches", "num_branches")


def main(report: Path = REPORT) -> int:
    """Print a line for each package; return the exit status."""
    packages: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for file, found in json.loads(report.read_text())["files"].items():
        packages[Path(file).parts[0]].update({name: found["summary"][name] for name in _COUNTED})
    is_short = False
    for package, counts in sorted(packages.items()):
        lines = 100 * counts["covered_lines"] / counts["num_statements"]
        branches = 100 * counts["covered_branches"] / counts["num_branches"]
        missed = package in REQUIRED and branches < BOUND
        is_short |= missed
        need = f", below {BOUND:.0f} %" if missed else ""
        print(f"{package}: {lines:.1f} % of lines, {branches:.1f} % of branches{need}")
    return int(is_short or not packages.keys() >= set(REQUIRED))


if __name__ == "__main__":
    sys.exit(main())
