"""`make coverage` fails when one package has too few of its branches covered."""

import json

import pytest

from tools import branch_coverage


def summary(branches: int) -> dict[str, dict[str, int]]:
    counts = {"covered_lines": 9, "num_statements": 10, "num_branches": 100}
    return {"summary": {**counts, "covered_branches": branches}}


@pytest.mark.parametrize(
    ("covered", "status"),
    [
        ({"handlers/a.py": 95, "store/a.py": 95, "telemetry/a.py": 10}, 0),
        ({"handlers/a.py": 100, "store/a.py": 94}, 1),
        ({"handlers/a.py": 90, "handlers/b/c.py": 100, "store/a.py": 100}, 0),
        ({"handlers/a.py": 100}, 1),
    ],
    ids=["enough", "one package too low", "files of a package count together", "not measured"],
)
def test_the_bound_holds_for_each_package(covered, status, tmp_path, capsys):
    files = {file: summary(branches) for file, branches in covered.items()}
    (tmp_path / "report.json").write_text(json.dumps({"files": files}))
    assert branch_coverage.main(tmp_path / "report.json") == status
    printed = capsys.readouterr().out
    assert printed.startswith("handlers: 90.0 % of lines, ")
    assert ("store: 90.0 % of lines, 94.0 % of branches, below 95 %\n" in printed) == (
        covered.get("store/a.py") == 94
    )
