"""Logging: one line for each request, and all other messages, as text or JSON.

No line has a token, a password, a body or a header.
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
"""How long lines are collected: one write per line costs more than the rest of the log."""
FLUSH_LINES = 100
"""The most lines that are collected. The 2 000 lines of 0.1 s under load would displace everything
else from the processor's cache."""

Entry = tuple[float, str, str, int, float, str, str, str]
"""Time, method, route, status, duration in seconds, request id, reason of an error, trace id."""


class RequestLog:
    """Writes a line for each request to `stream`, several lines at a time."""

    def __init__(
        self, stream: TextIO, *, as_json: bool, trace_id: Callable[[], str] | None = None
    ) -> None:
        """Write to `stream`. `trace_id` returns the id of the request's trace, or ""."""
        self._stream = stream
        self._trace_id = trace_id
        self._format = _json_line if as_json else _text_line
        self._entries: list[Entry] = []
        self._is_due = False

    def add(
        self, method: str, route: str, status: int, seconds: float, request_id: str, reason: str
    ) -> None:
        """Add the line of a request. `reason` is its error's code with details, or ""."""
        trace_id = self._trace_id() if self._trace_id else ""
        self._entries.append(
            (time.time(), method, route, status, seconds, request_id, reason, trace_id)
        )
        if len(self._entries) == FLUSH_LINES:
            self.flush()
        elif not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush_in_time)

    def flush(self) -> None:
        """Write the collected lines. Lines that cannot be written are lost."""
        entries, self._entries = self._entries, []
        if entries:
            with contextlib.suppress(OSError):  # a full disk must not fail requests or a stop
                self._stream.write("".join([self._format(each) for each in entries]))
                self._stream.flush()

    def _flush_in_time(self) -> None:
        self._is_due = False
        self.flush()


class ErrorLog(RequestLog):
    """Writes a line for each request with a status of 400 or more."""

    def add(self, method: str, route: str, status: int, *rest: Any) -> None:
        """Add the line of a request if its status is 400 or more."""
        if status >= 400:
            super().add(method, route, status, *rest)


class NoLog(RequestLog):
    """Writes no lines for requests."""

    def add(self, *entry: object) -> None:
        """Do nothing."""


REQUEST_LOGS: dict[str, type[RequestLog]] = {"all": RequestLog, "errors": ErrorLog, "off": NoLog}
"""The classes by the value of LOG_REQUESTS."""


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON."""

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
    """Formats a record as one line of text, followed by its traceback."""

    def __init__(self) -> None:
        super().__init__("%(utc)s %(levelname)s %(message)s%(suffix)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text, with the id of its request if it has one."""
        request_id = getattr(record, "request_id", None)
        record.utc = utc(record.created)
        record.suffix = f" [{request_id}]" if request_id else ""
        return super().format(record)


def set_up(stream: TextIO, *, as_json: bool) -> None:
    """Send the lines of all loggers, and Python's warnings, to `stream`.

    Pillow's warnings and messages are ignored: it has one for each invalid EXIF entry.
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
    """Return a line about the server itself, as text or, if the log is JSON, as JSON."""
    if not is_json():
        return f"latchkey: {message}"
    record = logging.LogRecord("latchkey", level, "", 0, message, None, None)
    return JsonFormatter().format(record)


def _log_crash(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Log the exception that ends the program; Python would print it as text."""
    logging.getLogger("latchkey").critical("unexpected error", exc_info=(kind, error, traceback))


def utc(seconds: float) -> str:
    """Return a time in the format of RFC 3339, in UTC, with milliseconds."""
    return _millisecond(int(seconds * 1000))


@lru_cache(4)  # under load a dozen requests share a millisecond
def _millisecond(count: int) -> str:
    return f"{_second(count // 1000)}.{count % 1000:03d}Z"


@lru_cache(2)
def _second(count: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(count))


def _text_line(entry: Entry) -> str:
    moment, method, route, status, seconds, request_id, reason, trace_id = entry
    error = f" {reason}" if reason else ""
    traced = f" trace {trace_id}" if trace_id else ""
    took = f"{seconds * 1000:.1f} ms"
    return f"{utc(moment)} {method} {route} {status} {took} [{request_id}]{error}{traced}\n"


def _json_line(entry: Entry) -> str:
    moment, method, route, status, seconds, request_id, reason, trace_id = entry
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
