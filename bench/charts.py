"""`charts.py RESULTS.JSON`: draw the charts beside the results. Runs on bench/requirements.txt."""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

OURS, OTHERS, BOUND, GOAL = "#1f6feb", "#9aa4b2", "#cf222e", "#1a7f37"
STYLE = {
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 13,
    "axes.titlepad": 14,
    "savefig.dpi": 150,
    "savefig.bbox": "tight",
}
TICKS = (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 8)
Result = dict[str, Any]


def main(file: str) -> None:
    """Draw what the results have figures for."""
    path = Path(file)
    results = [each for each in json.loads(path.read_text())["results"] if not each["skipped"]]
    plt.rcParams.update(STYLE)
    servers = _servers(results)
    if servers:
        rates = {name: side["median"] for name, side in servers.items()}
        spread = {name: (side["low"], side["high"]) for name, side in servers.items()}
        title = "Authenticated profile reads a second, 64 connections, one core"
        _bars(path.with_name("throughput.png"), rates, title, "{:,.0f}", spread)
        cpu = {name: side["cpu"] for name, side in servers.items()}
        title = "The server's own CPU time for each read, in microseconds (less is better)"
        _bars(path.with_name("cpu.png"), cpu, title, "{:,.0f} µs")
    promised = [each for each in results if each["ratios"] and _reference(each)]
    if promised:
        _ratios(path.with_name("ratios.png"), promised)


def _servers(results: list[Result]) -> dict[str, dict[str, Any]]:
    """Return each server that was read from at 64 connections, ourselves once."""
    found: dict[str, dict[str, Any]] = {}
    for result in results:
        key = result["figure"]["key"]
        if key.startswith("reads-") and key not in ("reads-256", "reads-million"):
            for side in result["sides"]:
                found.setdefault(side["name"], side)
    return dict(sorted(found.items(), key=lambda item: item[1]["median"]))


def _bars(
    file: Path,
    values: dict[str, float],
    title: str,
    form: str,
    spread: dict[str, tuple[float, float]] | None = None,
) -> None:
    figure, axes = plt.subplots(figsize=(9, 0.5 * len(values) + 1))
    colours = [OURS if name == "Latchkey" else OTHERS for name in values]
    axes.barh(list(values), list(values.values()), color=colours, height=0.66)
    ends = dict(values)
    for row, (low, high) in enumerate((spread or {}).values()):
        axes.plot([low, high], [row, row], color="#24292f", linewidth=1.2)
        name = list(values)[row]
        ends[name] = max(values[name], high)
    for row, (name, value) in enumerate(values.items()):
        text = f" {form.format(value).replace(',', ' ')}"
        weight = "bold" if name == "Latchkey" else "normal"
        axes.text(ends[name], row, text, va="center", weight=weight)
    axes.set_title(title, x=0)
    axes.set_xlim(0, 1.12 * max(ends.values()))
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(left=False)
    _save(figure, file)


def _ratios(file: Path, results: list[Result]) -> None:
    """Draw every ratio as a multiple of its bound, better to the right."""
    height = 0.46 * len(results) + 1.6
    figure, axes = plt.subplots(figsize=(9, height))
    for row, result in enumerate(reversed(results)):
        _ratio(axes, row, result)
    axes.axvline(1, color=BOUND, linewidth=1.2, zorder=0)
    axes.set_ylim(-0.7, len(results) - 0.3)
    axes.set_yticks(range(len(results)), [_label(each) for each in reversed(results)])
    axes.set_xscale("log")
    axes.set_xticks(ticks := [tick for tick in TICKS if _within(axes, tick)])
    axes.set_xticklabels([f"{tick:g}×" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("measured ÷ what is asked at least, turned round where less is better")
    axes.set_title(
        "What was measured, and what is asked: to the right of the red line is enough", x=0
    )
    handles = [
        Line2D([], [], linestyle="", marker="o", color=OURS, label="median"),
        Line2D([], [], linestyle="", marker="o", color=OURS, alpha=0.3, ms=4, label="each pair"),
        Line2D([], [], color=BOUND, label="at least"),
        Line2D([], [], linestyle="", marker="|", color=GOAL, ms=12, mew=2, label="goal"),
    ]
    below = (0.5, -0.85 / (height - 1.6))
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=below, ncols=4, frameon=False)
    _save(figure, file)


def _ratio(axes: Axes, row: int, result: Result) -> None:
    figure = result["figure"]
    axes.axhline(row, color="#eaeef2", linewidth=1, zorder=0)
    each = [_times(figure, ratio, _reference(result)) for ratio in result["ratios"]]
    axes.plot([min(each), max(each)], [row, row], color=OURS, linewidth=1.5, alpha=0.6)
    axes.plot(each, [row] * len(each), "o", color=OURS, alpha=0.3, markersize=4)
    axes.plot(_times(figure, result["value"], _reference(result)), row, "o", color=OURS)
    if figure["goal"] is not None:
        goal = _times(figure, figure["goal"], _reference(result))
        axes.plot(goal, row, "|", color=GOAL, markersize=14, markeredgewidth=2)


def _label(result: Result) -> str:
    value = result["value"]
    digits = f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    return f"{result['figure']['short']}  {digits:>5}"


def _reference(result: Result) -> float | None:
    figure = result["figure"]
    return figure["at_least"] or figure["goal"]


def _times(figure: dict[str, Any], value: float, reference: float) -> float:
    return reference / value if figure["lower_is_better"] else value / reference


def _within(axes: Axes, tick: float) -> bool:
    low, high = axes.get_xlim()
    return low <= tick <= high


def _save(figure: Any, file: Path) -> None:
    figure.savefig(file, facecolor="white")
    plt.close(figure)


if __name__ == "__main__":
    main(*sys.argv[1:])
