"""The command: read the options, set the stage, measure, write down what came out."""

import argparse
import datetime
import json
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import embedded
from bench import machine, peers, report, stores
from bench.figures import Result
from bench.machine import CantRun
from bench.plan import AGAINST, NAMES, PARTS, Part
from bench.prepare import prepare
from bench.progress import Progress
from bench.servers import ROOT
from bench.stage import Stage

BENCH = ROOT / "bench"
CACHE = ROOT / ".bench_cache"
ARTIST = CACHE / "venv/bin/python"
"""Has what bench/requirements.txt names."""


def main() -> int:
    """Run the benchmark; return the exit status, which is 1 when a figure could not be measured."""
    options = _options()
    parts = [part for part in PARTS if part.name in options.only]
    if options.against:
        parts = list(AGAINST)
    progress = Progress(len(parts) + 1)
    try:
        record = _measure(options, parts, progress)
    except (CantRun, embedded.EmbeddedStoreError) as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 1
    complete = len(parts) == len(PARTS) and not options.quick
    record |= {"complete": complete, "took": round(progress.elapsed)}
    into = options.into or (BENCH if complete else CACHE / "results")
    _write(record, into)
    print(report.figures(record))
    print(f"\nwritten to {into.relative_to(ROOT) if into.is_relative_to(ROOT) else into}")
    failed = [each for each in record["results"] if each["skipped"].startswith("failed")]
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only",
        type=_names,
        default=NAMES,
        metavar="NAME,…",
        help=f"only these parts: {', '.join(NAMES)}",
    )
    parser.add_argument("--quick", action="store_true", help="three pairs of one second")
    parser.add_argument("--pairs", type=int, help="pairs for each figure (7)")
    parser.add_argument(
        "--against", type=Path, metavar="TREE", help="only reads, against another checkout"
    )
    parser.add_argument("--into", type=Path, help="where to write results and charts")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(NAMES):
        raise argparse.ArgumentTypeError(f"there is no {', '.join(sorted(unknown))}")
    return names


def _measure(
    options: argparse.Namespace, parts: Sequence[Part], progress: Progress
) -> dict[str, Any]:
    cores = machine.cores()
    machine.raise_open_files()
    CACHE.mkdir(exist_ok=True)
    pairs = options.pairs or (3 if options.quick else 7)
    seconds = 1 if options.quick else 2
    found = machine.describe()
    progress.begin("preparing")
    with stores.running(CACHE / "data") as both:
        stage = Stage(pairs, seconds, cores, CACHE, both, progress, options.against)
        prepare(stage, parts, 100_000 if options.quick else 1_000_000)
        progress.end("done")
        versions = machine.versions() | both.versions()
        results = [result for part in parts for result in _run(part, stage)]
    return {
        "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "pairs": pairs,
        "seconds": seconds,
        "machine": found,
        "versions": versions,
        "peers": {name: peers.pinned(peer) for name, peer in peers.PEERS.items()},
        "results": [result.as_json() for result in results],
    }


def _run(part: Part, stage: Stage) -> list[Result]:
    """Measure a part; when that can't be done, say why in the place of its results."""
    stage.progress.begin(part.title)
    try:
        results = part.run(stage)
    except CantRun as problem:
        results = [Result(figure, skipped=str(problem)) for figure in part.figures]
    except Exception as error:  # one figure less is no reason to lose the others
        traceback.print_exc()
        why = f"failed: {type(error).__name__}"  # its text may hold paths of this machine
        results = [Result(figure, skipped=why) for figure in part.figures]
    stage.progress.end("; ".join(report.in_short(result.as_json()) for result in results))
    return results


def _write(record: dict[str, Any], into: Path) -> None:
    into.mkdir(parents=True, exist_ok=True)
    for name in report.CHARTS:  # those of an earlier run would show other figures
        (into / name).unlink(missing_ok=True)
    file = into / "results.json"
    file.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    if not ARTIST.exists():
        print("no charts: bench/requirements.txt is not installed (make bench does that)")
    elif subprocess.run([ARTIST, BENCH / "charts.py", file], check=False).returncode:
        print("no charts: bench/charts.py failed")
    (into / "results.md").write_text(report.write(record, into))
