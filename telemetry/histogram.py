"""A histogram for what happens thousands of times a second."""

from bisect import bisect_right
from collections.abc import Sequence

from prometheus_client import Histogram


class BulkHistogram(Histogram):
    """A histogram that takes many values at once: one at a time, each costs 1.5 us."""

    def observe_many(self, amounts: Sequence[float]) -> None:
        """Add these values."""
        self._sum.inc(sum(amounts))
        ordered, below = sorted(amounts), 0
        for bucket, bound in zip(self._buckets, self._upper_bounds, strict=True):
            upto = bisect_right(ordered, bound, below)
            if upto > below:
                bucket.inc(upto - below)
            below = upto
