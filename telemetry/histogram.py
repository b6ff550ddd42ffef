"""A histogram for events that happen thousands of times a second."""

from bisect import bisect_right
from collections.abc import Sequence

from prometheus_client import Histogram


class BulkHistogram(Histogram):
    """A histogram that adds many values at once: one at a time, each takes 1.5 µs."""

    def observe_many(self, amounts: Sequence[float]) -> None:
        """Add all these values."""
        self._sum.inc(sum(amounts))
        ordered, below = sorted(amounts), 0
        for bucket, bound in zip(self._buckets, self._upper_bounds, strict=True):
            upto = bisect_right(ordered, bound, below)
            if upto > below:
                bucket.inc(upto - below)
            below = upto
