"""The tables: what came out, held against what was promised."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

Record = dict[str, Any]
CHARTS = {
    "throughput.png": "Profile reads a second, on one core",
    "cpu.png": "The server's own CPU time for each of them",
    "ratios.png": "Every ratio with the spread of its pairs",
}
METHOD = """Each ratio is the median of {pairs} short pairs, taken in turn, a run of {seconds} s or
less each; the spread is the lowest and the highest of them. The server's process has one core to
itself, wrk and both stores share another, unless the row says otherwise. On a shared machine rates
move by a third within minutes, ratios less, and the server's own CPU time (user and system, as the
operating system counts it) least."""


def write(record: Record, into: Path) -> str:
    """Return results.md."""
    warning = "" if record["complete"] else "**A partial or quick run: not for publication.**\n"
    charts = [f"![{words}]({name})\n" for name, words in CHARTS.items() if (into / name).exists()]
    minutes, seconds = divmod(record["took"], 60)
    sections = [
        "# Results\n",
        f"Made by `make bench` on {record['made']} in {minutes}:{seconds:02d} minutes.\n",
        warning,
        METHOD.format(**record) + "\n",
        "## Promises\n",
        figures(record) + "\n",
        *charts,
        "## Rates\n",
        _sides(record) + "\n",
        *_notes(record),
        "## The machine\n",
        _table(("", ""), record["machine"].items()) + "\n",
        "## Versions\n",
        _table(("", ""), record["versions"].items()) + "\n",
        _table(("peer", "versions"), _peers(record)) + "\n",
    ]
    return "\n".join(section for section in sections if section)


def figures(record: Record) -> str:
    """Return the table of the promises."""
    head = ("figure", "measured", "spread", "at least", "goal")
    return _table(head, [_promise(result) for result in record["results"]])


def in_short(result: Record) -> str:
    """Return a result in a few words."""
    if result["skipped"]:
        return f"skipped: {result['skipped']}"
    return f"{_number(result['value'])} ({_spread(result)})"


def _promise(result: Record) -> Sequence[str]:
    figure = result["figure"]
    title = figure["title"] + (" (lower is better)" if figure["lower_is_better"] else "")
    if result["skipped"]:
        why = result["skipped"]
        shown = why if why.startswith("failed") else f"skipped: {why}"
        bounds = [_bound(figure[name]) for name in ("at_least", "goal")]
        return title, f"*{shown}*", "", *bounds
    verdicts = [_verdict(result, name) for name in ("at_least", "goal")]
    return title, f"**{_number(result['value'])}**", _spread(result), *verdicts


def _verdict(result: Record, name: str) -> str:
    figure, value = result["figure"], result["value"]
    bound = figure[name]
    if bound is None:
        return "said"
    is_met = value <= bound if figure["lower_is_better"] else value >= bound
    return f"{_bound(bound)}: {'met' if is_met else '**not met**'}"


def _bound(bound: float | None) -> str:
    return "said" if bound is None else f"{bound:g}"


def _sides(record: Record) -> str:
    head = (
        "figure",
        "who",
        "median",
        "lowest–highest",
        "CPU a request",
        "of its core",
        "load core",
    )
    rows = [
        (result["figure"]["title"] if first else "", *_side(side))
        for result in record["results"]
        for first, side in zip((True, False), result["sides"], strict=False)
    ]
    return _table(head, rows)


def _side(side: Record) -> Sequence[str]:
    cpu = "" if side["cpu"] is None else f"{_number(side['cpu'])} µs"
    busy = "" if side["busy"] is None else f"{side['busy']:.0%}"
    load = "" if side["load"] is None else f"{side['load']:.0%}"
    median = f"{_number(side['median'])} {side['unit']}"
    return side["name"], median, f"{_number(side['low'])}–{_number(side['high'])}", cpu, busy, load


def _notes(record: Record) -> list[str]:
    return [
        f"- {result['figure']['title']}: {result['note']}\n"
        for result in record["results"]
        if result["note"]
    ]


def _peers(record: Record) -> list[Sequence[str]]:
    return [(name, ", ".join(pins)) for name, pins in record["peers"].items()]


def _spread(result: Record) -> str:
    if result["low"] == result["high"]:
        return ""
    return f"{_number(result['low'])}–{_number(result['high'])}"


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.0f}" if value == 0 else f"{value:.3g}" if value >= 10 else f"{value:.2f}"


def _table(head: Sequence[str], rows: Any) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
