"""Whether a run passed, in words that say what counts and what does not."""

import os
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from locust.stats import RequestStats, StatsEntry
from phone import HASHED

HINTS = {
    "503": "the cores cannot hash that many passwords in time: a lower --spawn-rate, or fewer "
    "--users. The server refuses a login at once that would wait too long (PASSWORD_WAIT)",
    "429": "the server counts all phones as one client: start it with TRUSTED_PROXIES=127.0.0.1, "
    "or with RATE_LIMITS=off",
    "0": "no response: the server has stopped, or cannot be reached",
}
"""What a wrong status usually means. The text of a failure begins with the status."""


class Verdict(NamedTuple):
    """`passed`, and the lines that explain it."""

    passed: bool
    lines: list[str]


def judge(stats: RequestStats, limit: float, errors: Iterable[str]) -> Verdict:
    """Judge a run by its responses and by a limit of the p99 in milliseconds, 0 for none.

    `errors` are exceptions of the simulated phones.
    """
    total = stats.total
    counted = _together(stats, lambda name: not name.endswith(HASHED))
    hashed = _together(stats, lambda name: name.endswith(HASHED))
    p99 = counted.get_response_time_percentile(0.99) or 0
    is_slow = bool(limit) and p99 > limit
    failures = total.num_failures
    passed = bool(total.num_requests) and not failures and not is_slow
    lines = [
        f"{failures} of {total.num_requests} responses were wrong (none may be): another status "
        "than expected, another body, or a profile that is not the phone's own",
        f"p99 of {counted.num_requests} requests: {p99:g} ms"
        + (f" (the limit is {limit:g} ms)" if limit else ""),
        f"not in that p99: {hashed.num_requests} registrations and logins, each of which takes a "
        "core for a quarter of a second by design; their median is "
        f"{hashed.get_response_time_percentile(0.5) or 0:g} ms",
    ]
    for status, count in _statuses(stats).items():
        hint = HINTS.get(status)
        lines.append(f"{count} × {status}" + (f": {hint}" if hint else ""))
    for error in errors:
        passed = False
        lines.append(f"a phone failed: {error}")
    if (load := _load()) > 1:
        lines.append(
            f"this machine was busy: {load:.1f} programs for each core were ready to run in the "
            "last minute, this one, the server and the stores included"
        )
    return Verdict(passed, [f"{'PASSED' if passed else 'FAILED'}", *lines])


def _load() -> float:
    """Return the load average of the last minute for each core of this machine."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)


def _together(stats: RequestStats, belongs: Callable[[str], bool]) -> StatsEntry:
    found = StatsEntry(stats, "", "")
    for entry in stats.entries.values():
        if belongs(entry.name):
            found.extend(entry)
    return found


def _statuses(stats: RequestStats) -> Counter[str]:
    """Count failures by the status that they begin with; the others under "other failures"."""
    found: Counter[str] = Counter()
    for each in stats.errors.values():
        first = str(each.error).partition(" ")[0]
        found[first if first.isdigit() else "other failures"] += each.occurrences
    return found
