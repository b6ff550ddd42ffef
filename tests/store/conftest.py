"""Fixtures of tests of the store: a core on empty stores, without HTTP."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest

from app import core_options
from settings import Settings
from store.core import Core, open_core

Connect = Callable[..., AbstractAsyncContextManager[Core]]


@pytest.fixture
def connect(settings: Settings, clean: None) -> Connect:
    """Return a function that opens another core; its arguments replace settings."""

    def connect(**changes: Any) -> AbstractAsyncContextManager[Core]:
        own = replace(settings, start_timeout=0, **changes)
        return open_core(replace(core_options(own), cores=2))

    return connect


@pytest.fixture
async def core(connect: Connect) -> AsyncIterator[Core]:
    """A server without HTTP, on empty stores."""
    async with connect() as core:
        yield core
