"""Metrics of e-mail: what became of each message, and how much waits."""

from prometheus_client import CollectorRegistry, Counter, Gauge

KINDS = (
    "verify",
    "change",
    "changed",
    "reset",
    "password",
    "device",
    "activate",
    "rename",
    "factor_on",
    "factor_off",
    "passkey",
    "identity",
)
OUTCOMES = (
    "sent",
    "retried",
    "refused",
    "expired",
    "given_up",
    "invalid_address",
    "limited",
    "void",
)


class MailMetrics:
    """The metrics of one process's sender, in `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._messages = Counter(
            "latchkey_mail_messages",
            "What became of messages, and the attempts that failed for now.",
            ("kind", "outcome"),
            registry=registry,
        )
        # Each process sees the same queue, so they are not added up.
        self._waiting = Gauge(
            "latchkey_mail_queue_depth",
            "Messages in the queue, counted up to 10 000.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._oldest = Gauge(
            "latchkey_mail_oldest_seconds",
            "The age of the oldest message in the queue.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        for kind in KINDS:
            for outcome in OUTCOMES:  # rate() does not see a first event
                self._messages.labels(kind, outcome)

    def count(self, kind: str, outcome: str) -> None:
        """Count a message, or an attempt that failed for now."""
        self._messages.labels(kind, outcome).inc()

    def show_backlog(self, count: int, oldest_seconds: float) -> None:
        """Show how many messages wait, and the age of the oldest."""
        self._waiting.set(count)
        self._oldest.set(oldest_seconds)
