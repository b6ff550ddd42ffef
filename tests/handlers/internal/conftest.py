"""An application with a service key of each scope."""

from dataclasses import replace

import pytest
from aiohttp.test_utils import TestClient

from app import create_app
from handlers.internal.service_keys import parse_service_keys
from settings import Settings
from tests.handlers.internal.keys import TEXT


@pytest.fixture(scope="session")
def internal_settings(settings: Settings) -> Settings:
    """Settings with a service key of each scope."""
    return replace(settings, service_keys=parse_service_keys(TEXT))


@pytest.fixture
async def client(aiohttp_client, internal_settings: Settings, clean: None) -> TestClient:
    """A client of an application with these keys, whose stores are empty."""
    return await aiohttp_client(create_app(internal_settings))
