"""Reaching the stores: the ones the settings name, or the embedded ones of the data directory."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from store import embedded

if TYPE_CHECKING:
    from server import Settings


@contextlib.contextmanager
def run_stores(settings: "Settings", say: Callable[[str], None]) -> Iterator["Settings"]:
    """Run the embedded stores that the settings leave to us; yield settings that name both.

    Raises embedded.CantRun.
    """
    if settings.database_url and settings.redis_url:
        yield settings
        return
    with contextlib.ExitStack() as stack:
        data = stack.enter_context(embedded.data_directory(Path(settings.data_dir)))
        if not settings.database_url:
            url = stack.enter_context(embedded.postgresql(data, say))
            settings = replace(settings, database_url=url)
        if not settings.redis_url:
            url = stack.enter_context(embedded.redis(data, say))
            settings = replace(settings, redis_url=url)
        if not settings.secret_keys:
            settings = replace(settings, secret_keys=(embedded.secret_key(data),))
        yield settings
