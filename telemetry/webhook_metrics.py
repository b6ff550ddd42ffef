"""Metrics of webhooks: deliveries, receivers that are paused, and events that wait."""

from prometheus_client import CollectorRegistry, Counter, Gauge

OUTCOMES = ("delivered", "failed")


class WebhookMetrics:
    """The metrics of one process's sender, in `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._deliveries = Counter(
            "latchkey_webhook_deliveries",
            "Attempts to send an event to a receiver.",
            ("webhook", "outcome"),
            registry=registry,
        )
        # Each process sees the same receivers, so they are not added up.
        self._paused = Gauge(
            "latchkey_webhook_paused",
            "Whether a receiver is paused until it is resumed by command.",
            ("webhook",),
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._lag = Gauge(
            "latchkey_webhook_lag_seconds",
            "The age of the oldest event that a receiver has not got.",
            ("webhook",),
            registry=registry,
            multiprocess_mode="livemax",
        )

    def add(self, webhook: str) -> None:
        """Show a receiver from the start: rate() does not see a first event."""
        for outcome in OUTCOMES:
            self._deliveries.labels(webhook, outcome)
        self.show(webhook, is_paused=False, lag_seconds=0)

    def count(self, webhook: str, outcome: str) -> None:
        """Count an attempt, by one of OUTCOMES."""
        self._deliveries.labels(webhook, outcome).inc()

    def show(self, webhook: str, *, is_paused: bool, lag_seconds: float) -> None:
        """Show the state of a receiver."""
        self._paused.labels(webhook).set(is_paused)
        self._lag.labels(webhook).set(lag_seconds)
