"""The figures: what is promised of each, and what came out."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

REQUESTS = "requests/s"
LOGINS = "logins/s"
REGISTRATIONS = "registrations/s"
MILLISECONDS = "ms"
KIBIBYTES = "KiB a connection"
MEBIBYTES = "MiB"
SECONDS = "s"


@dataclass(frozen=True)
class Figure:
    """A promise. `at_least` and `goal` are bounds of its value, None where it is only said.

    The value is a ratio, unless the title names a unit.

    `title` is for tables, `short` for charts.
    """

    key: str
    title: str
    short: str
    at_least: float | None = None
    goal: float | None = None
    lower_is_better: bool = False


@dataclass(frozen=True)
class Sample:
    """One short run of one side. `cpu` is the server's own, in microseconds a request."""

    value: float
    cpu: float | None = None
    busy: float | None = None
    """The part of one core that the server took."""
    load: float | None = None
    """The part that was taken of the core of load and stores, by whomever."""
    extra: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Side:
    """All runs of one side, in short."""

    name: str
    unit: str
    median: float
    low: float
    high: float
    cpu: float | None
    busy: float | None
    load: float | None


@dataclass(frozen=True)
class Result:
    """What came out: the median of the pairs' ratios and their spread, or why there is none."""

    figure: Figure
    value: float | None = None
    low: float | None = None
    high: float | None = None
    ratios: list[float] = field(default_factory=list)
    pairs: list[list[Sample]] = field(default_factory=list)
    sides: list[Side] = field(default_factory=list)
    note: str = ""
    skipped: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as what json.dump takes."""
        return asdict(self)


_USED = ("cpu", "busy", "load")
Pairs = Sequence[tuple[Sample, ...]]


def compare(
    figure: Figure, names: tuple[str, str], unit: str, pairs: Pairs, note: str = ""
) -> Result:
    """Return a figure's result: the first of each pair over the second."""
    ratios = [one.value / other.value for one, other in pairs]
    runs = zip(*pairs, strict=True)
    sides = [_side(name, unit, run) for name, run in zip(names, runs, strict=True)]
    return Result(
        figure,
        statistics.median(ratios),
        min(ratios),
        max(ratios),
        ratios,
        [list(pair) for pair in pairs],
        sides,
        note,
    )


def measured(
    figure: Figure, names: tuple[str, str], unit: str, pairs: Pairs, note: str = ""
) -> Result:
    """Return a figure's result: the first of each pair. The second only shows what is usual."""
    runs = list(zip(*pairs, strict=True))
    ours, other = (_side(name, unit, run) for name, run in zip(names, runs, strict=True))
    return Result(
        figure,
        ours.median,
        ours.low,
        ours.high,
        pairs=[list(pair) for pair in pairs],
        sides=[ours, other],
        note=note,
    )


def _side(name: str, unit: str, run: Sequence[Sample]) -> Side:
    values = [sample.value for sample in run]
    cpu, busy, load = (_median([getattr(sample, of) for sample in run]) for of in _USED)
    return Side(name, unit, statistics.median(values), min(values), max(values), cpu, busy, load)


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def at(pairs: Pairs, key: str) -> Pairs:
    """Return the same pairs, judged by something else that was measured with them."""
    return [
        (replace(one, value=one.extra[key]), replace(other, value=other.extra[key]))
        for one, other in pairs
    ]
