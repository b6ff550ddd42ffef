"""Second factors of accounts, as superusers see and remove them."""

import pyotp
import pytest

from app import CORE
from tests.handlers.admin.people import MIKA, PASSWORD

PATH = f"/accounts/{MIKA}/factors"
NONE = {"totp": False, "recovery_codes_left": 0, "passkeys": 0}


@pytest.fixture
async def enrolled(office) -> None:
    """Mika's account has a second factor."""
    core = office.client.server.app[CORE]
    caller = await core.access.authenticate(await office.log_in("mika"))
    secret = await core.factors.begin(caller)
    await core.factors.confirm(caller, pyotp.TOTP(secret).now())


async def test_they_are_shown(office, enrolled):
    shown = {"totp": True, "recovery_codes_left": 10, "passkeys": 0}
    assert await office.send("GET", PATH) == (200, shown)
    assert await office.code("GET", "/accounts/99/factors") == "not_found"


async def test_a_removal_is_an_event_and_lets_the_owner_log_in(office, enrolled):
    login = {"login": "mika", "password": PASSWORD}
    assert (await office.client.post("/v1/sessions", json=login)).status == 401
    assert await office.send("DELETE", PATH) == (204, None)
    assert await office.send("GET", PATH) == (200, NONE)
    assert (await office.client.post("/v1/sessions", json=login)).status == 201
    assert (await office.events())[0] == (
        "account.factor_removed",
        "mika",
        "1",
        {"factor": "all"},
    )
    assert await office.code("DELETE", PATH) == "not_found"


async def test_a_removal_needs_a_recent_login(office, enrolled):
    office.age()
    assert await office.code("DELETE", PATH) == "fresh_login_required"
    assert (await office.send("GET", PATH))[1]["totp"]
