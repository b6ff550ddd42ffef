"""Logging: one line for each request, and whatever else happens, for people or as JSON.

No line ever holds a token, a password, a body or a header.
"""

import asyncio
import contextlib
import logging
import sys
import time
import warnings
from collections.abc import Callable
from functools import lru_cache
from types import TracebackType
from typing import Any, TextIO

import orjson

FLUSH_SECONDS = 0.1
"""Requests gather this long: a write for each would cost more than the rest of the log."""
FLUSH_LINES = 100
"""Or until there are so many: what a tenth of a second leaves behind under load, 2 000 lines, would
push everything else out of the processor's cache."""

Answered = tuple[float, str, str, int, float, str, str, str]
"""When, method, route, status, seconds taken, request id, why refused, trace id; "" for none."""


class RequestLog:
    """Writes a line for each request to `stream`, some lines at a time."""

    def __init__(
        self, stream: TextIO, *, as_json: bool, trace_id: Callable[[], str] | None = None
    ) -> None:
        """Write to `stream`; `trace_id` returns the id of the request's trace, "" for none."""
        self._stream = stream
        self._trace_id = trace_id
        self._format = _json_line if as_json else _text_line
        self._answered: list[Answered] = []
        self._is_due = False

    def add(
        self, method: str, route: str, status: int, seconds: float, request_id: str, reason: str
    ) -> None:
        """Note a request that has been answered; `reason` names the refusal, if it was one."""
        trace_id = self._trace_id() if self._trace_id else ""
        self._answered.append(
            (time.time(), method, route, status, seconds, request_id, reason, trace_id)
        )
        if len(self._answered) == FLUSH_LINES:
            self.flush()
        elif not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush_in_time)

    def flush(self) -> None:
        """Write the lines of what was noted; those that can't be written are lost."""
        answered, self._answered = self._answered, []
        if answered:
            with contextlib.suppress(OSError):  # a full disk must fail no request, and no stop
                self._stream.write("".join([self._format(each) for each in answered]))
                self._stream.flush()

    def _flush_in_time(self) -> None:
        self._is_due = False
        self.flush()


class ErrorLog(RequestLog):
    """Writes a line for each request that was refused or failed: a status of 400 or more."""

    def add(self, method: str, route: str, status: int, *rest: Any) -> None:
        """Note a request that has been answered, if it was refused or failed."""
        if status >= 400:
            super().add(method, route, status, *rest)


class NoLog(RequestLog):
    """Writes nothing of requests."""

    def add(self, *answered: object) -> None:
        """Forget a request that has been answered."""


REQUEST_LOGS: dict[str, type[RequestLog]] = {"all": RequestLog, "errors": ErrorLog, "off": NoLog}
"""By what LOG_REQUESTS says."""


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON, its traceback in one string."""
        line = {
            "time": utc(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := getattr(record, "request_id", None):
            line["request_id"] = request_id
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()


class TextFormatter(logging.Formatter):
    """A line for a terminal; a traceback follows below it."""

    def __init__(self) -> None:
        super().__init__("%(utc)s %(levelname)s %(message)s%(suffix)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text, with the id of its request if it has one."""
        request_id = getattr(record, "request_id", None)
        record.utc = utc(record.created)
        record.suffix = f" [{request_id}]" if request_id else ""
        return super().format(record)


def set_up(stream: TextIO, *, as_json: bool) -> None:
    """Send every logger's lines to `stream`, and Python's warnings as lines like these.

    Pillow has a warning for each entry of EXIF that is wrong, and no line of ours is about that.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module=r"PIL\b")
    if as_json:
        sys.excepthook = _log_crash


def is_json() -> bool:
    """Return whether the log has been set up to be JSON."""
    return any(isinstance(each.formatter, JsonFormatter) for each in logging.getLogger().handlers)


def status_line(message: str, level: int = logging.INFO) -> str:
    """Return a line about the server itself, for a terminal or, where the log is JSON, as JSON."""
    if not is_json():
        return f"latchkey: {message}"
    record = logging.LogRecord("latchkey", level, "", 0, message, None, None)
    return JsonFormatter().format(record)


def _log_crash(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Log what ends the program; Python would print its traceback as text."""
    logging.getLogger("latchkey").critical("unexpected error", exc_info=(kind, error, traceback))


def utc(seconds: float) -> str:
    """Write a time as RFC 3339 has it, in UTC, with milliseconds."""
    return _millisecond(int(seconds * 1000))


@lru_cache(4)  # under load a dozen requests share a millisecond
def _millisecond(count: int) -> str:
    return f"{_second(count // 1000)}.{count % 1000:03d}Z"


@lru_cache(2)
def _second(count: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(count))


def _text_line(answered: Answered) -> str:
    moment, method, route, status, seconds, request_id, reason, trace_id = answered
    error = f" {reason}" if reason else ""
    traced = f" trace {trace_id}" if trace_id else ""
    took = f"{seconds * 1000:.1f} ms"
    return f"{utc(moment)} {method} {route} {status} {took} [{request_id}]{error}{traced}\n"


def _json_line(answered: Answered) -> str:
    moment, method, route, status, seconds, request_id, reason, trace_id = answered
    line = {
        "time": utc(moment),
        "method": method,
        "route": route,
        "status": status,
        "ms": round(seconds * 1000, 1),
        "request_id": request_id,
    }
    if reason:
        line["refusal"] = reason
    if trace_id:
        line["trace_id"] = trace_id
    return orjson.dumps(line).decode() + "\n"
