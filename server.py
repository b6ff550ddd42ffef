"""Latchkey: the entry point. Read the settings from the environment and run the command line.

No other file reads the environment. app.py composes the application, store/core.py the stores.
"""

import gc
import os

if __name__ == "__main__":
    gc.disable()  # while modules are imported: they leave little garbage, and each run takes 40 ms
    # When aiohttp is imported, it makes two TLS contexts for its clients and reads all certificate
    # authorities for each: 40 ms and 2 MB. Each client of this program has a separate context.
    cert_file = os.environ.get("SSL_CERT_FILE")
    os.environ["SSL_CERT_FILE"] = os.devnull
    import aiohttp  # noqa: F401

    del os.environ["SSL_CERT_FILE"]
    if cert_file is not None:
        os.environ["SSL_CERT_FILE"] = cert_file

import contextlib
import sys
import tempfile
from collections.abc import Iterator

import commands
from commands.serving import print_failure
from settings import BadSetting, read_settings
from telemetry import log
from telemetry.metrics import count_together


def main() -> int:
    """Run the command line; return the exit status."""
    try:
        run = commands.parse(sys.argv[1:])  # `--help` works under a bad setting, too
        gc.freeze()
        gc.enable()
        settings = read_settings(os.environ)
        with _shared_metrics(settings.workers > 1):
            return run(settings)
    except BadSetting as problem:
        serves = sys.argv[1:] in ([], ["serve"])
        if serves and os.environ.get("LOG_FORMAT", "").strip() == "json":
            log.set_up(sys.stderr, as_json=True)
        print_failure(str(problem))
        return 2
    except BrokenPipeError:  # the reader has closed the pipe, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


@contextlib.contextmanager
def _shared_metrics(several: bool) -> Iterator[None]:
    """Give several processes a directory to count in, by prometheus-client's variable."""
    if not several:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="latchkey-metrics-") as directory:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
        count_together()
        yield


if __name__ == "__main__":
    sys.exit(main())
