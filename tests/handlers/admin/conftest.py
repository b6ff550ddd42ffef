"""A server with the admin page, an administrator and an ordinary account."""

from dataclasses import replace
from pathlib import Path

import pytest

from app import create_app
from handlers.internal.service_keys import parse_service_keys
from handlers.mounts import Mount
from settings import Settings
from tests.handlers.admin.people import Office
from tests.handlers.internal.keys import TEXT


@pytest.fixture(scope="session")
def admin_settings(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a server with the admin page, events, mail and service keys."""
    mail: Path = tmp_path_factory.mktemp("admin-mail")
    keys = parse_service_keys(TEXT)
    return replace(
        settings,
        admin="on",
        events="on",
        mail_url=f"file:{mail}",
        public_url="https://accounts.example",
        service_keys=keys,
        dialects={**settings.dialects, "simplejwt": Mount("/jwt")},
    )


@pytest.fixture
async def office(
    aiohttp_client, admin_settings: Settings, clean: None, redis_client, database
) -> Office:
    """The administrator root, with a session that was just opened, and the account mika."""
    office = Office(await aiohttp_client(create_app(admin_settings)), redis_client, database)
    await office.open()
    return office
