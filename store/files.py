"""Files that hold secrets: private to their owner from the first byte, and complete or absent."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO


@contextlib.contextmanager
def private_file(path: Path) -> Iterator[TextIO]:
    """Open a new file in the path's directory, of mode 0600; rename it to the path at the end.

    If anything is raised, the new file is removed. An existing file or link at the path is
    replaced, never written to or followed: another user may have chosen its mode or its target.
    Raises OSError.
    """
    fresh = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        error.filename = str(path)  # instead of the temporary name
        raise
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as stream:
            yield stream
            stream.flush()
            os.fsync(descriptor)
        fresh.rename(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
