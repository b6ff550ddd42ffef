"""What a deployment's parts are tested with: the tests' real stores, an image, a balancer."""

from collections.abc import Iterator

import pytest

from deploy.tests.engines import Engine, find_engine
from tests.conftest import (  # noqa: F401  # fixtures
    clean,
    database,
    redis_client,
    settings,
    stores,
)
from tests.handlers.conftest import outages  # noqa: F401  # fixture


@pytest.fixture(scope="session")
def image() -> Iterator[Engine]:
    """The image, built from the project's Dockerfile, and what runs it."""
    engine = find_engine()
    if engine is None:
        pytest.skip("no container engine: neither ../shared/container, docker nor podman answers")
    engine.build()
    yield engine
    engine.clean()
