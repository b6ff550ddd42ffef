"""Second factors in the real stores: codes once, across servers, and never more than the limit."""

import asyncio
from dataclasses import replace
from typing import Any

import pyotp
import pytest

from options import core_options
from store.account import Login, NewAccount
from store.authentication import Caller
from store.core import Core, open_core
from store.errors import (
    AppError,
    BadCredentials,
    BadToken,
    ChallengeInvalid,
    FactorExists,
    NoFactor,
    RateLimited,
    SecondFactorRequired,
    Unavailable,
    WrongCode,
)
from store.event_writer import Actor
from store.session_record import SessionSpec

SPEC = SessionSpec("latchkey", "device", 16, reuse=False, device="phone")
KIM, PASSWORD = NewAccount("kim", "kim@example.com"), "pw"
ASKING = Login("kim", factor="ask")


STEP = 60_000_000


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Have all codes of a test be of one step: else it could end between two of them."""
    monkeypatch.setattr("store.totp.current_step", lambda: STEP)


async def register(core: Core) -> Caller:
    _, [issued] = await core.access.register(KIM, PASSWORD, [SPEC])
    return await core.access.authenticate(issued.token)


def code_of(secret: str, steps: int = 0) -> str:
    return pyotp.TOTP(secret).generate_otp(STEP + steps)


async def enrol(core: Core, caller: Caller) -> tuple[str, list[str]]:
    """Turn the second factor on by the code of the step before; return secret and codes."""
    secret = await core.factors.begin(caller)
    return secret, await core.factors.confirm(caller, code_of(secret, -1))


async def outcome(attempt: Any) -> AppError | None:
    try:
        await attempt
    except AppError as error:
        return error
    return None


async def test_a_secret_has_no_effect_until_it_is_confirmed(core):
    caller = await register(core)
    await core.factors.begin(caller)
    await core.access.log_in(ASKING, PASSWORD, [SPEC])
    assert not (await core.factors.factors_of(caller.account.id)).totp
    assert isinstance(await outcome(core.factors.verify(caller.account.id, "000000")), WrongCode)


async def test_enrolment_keeps_the_session_and_then_a_login_needs_a_code(core):
    caller = await register(core)
    secret, codes = await enrol(core, caller)
    await core.access.confirm(caller)
    assert len(set(codes)) == 10
    required = await outcome(core.access.log_in(ASKING, PASSWORD, [SPEC]))
    assert isinstance(required, SecondFactorRequired)
    assert list(required.methods) == ["totp", "recovery"]
    code = code_of(secret)
    account, _ = await core.access.continue_login(required.challenge, code, [SPEC])
    assert account.id == caller.account.id
    again = await outcome(core.access.continue_login(required.challenge, code, [SPEC]))
    assert isinstance(again, WrongCode)
    with_code = replace(ASKING, code=code_of(secret, 1))
    await core.access.log_in(with_code, PASSWORD, [SPEC])


async def test_a_code_is_accepted_once_by_all_servers(core, connect):
    caller = await register(core)
    secret, _ = await enrol(core, caller)
    code = code_of(secret)
    async with connect(rate_limits="off") as one, connect(rate_limits="off") as other:
        attempts = [each.factors.verify(1, code) for each in (one, other) * 10]
        outcomes = await asyncio.gather(*map(outcome, attempts))
    assert [each for each in outcomes if each is None] == [None]


async def test_an_earlier_code_is_refused_after_a_later_one(core):
    caller = await register(core)
    secret, _ = await enrol(core, caller)
    await core.factors.verify(1, code_of(secret, 1))
    assert isinstance(await outcome(core.factors.verify(1, code_of(secret))), WrongCode)


@pytest.mark.parametrize("steps", [-3, -2, 2, 3])
async def test_a_clock_may_be_wrong_by_one_step_only(core, steps):
    caller = await register(core)
    secret = await core.factors.begin(caller)
    assert isinstance(
        await outcome(core.factors.confirm(caller, code_of(secret, steps))), WrongCode
    )


@pytest.mark.parametrize("code", ["", "12345", "1234567", "１２３４５６", "abcdef", "\0", "é" * 6])
async def test_what_is_no_code_is_wrong(core, code):
    caller = await register(core)
    secret = await core.factors.begin(caller)
    assert isinstance(await outcome(core.factors.confirm(caller, code)), WrongCode)
    await core.factors.confirm(caller, code_of(secret))
    assert isinstance(await outcome(core.factors.verify(1, code)), WrongCode)


async def test_each_recovery_code_works_once(core):
    caller = await register(core)
    _, codes = await enrol(core, caller)
    shown = codes[0]
    await core.factors.verify(1, shown.upper().replace("-", " "))
    assert isinstance(await outcome(core.factors.verify(1, shown)), WrongCode)
    assert (await core.factors.factors_of(1)).recovery_codes_left == 9
    parallel = await asyncio.gather(*[outcome(core.factors.verify(1, codes[1])) for _ in range(5)])
    assert parallel.count(None) == 1


async def test_codes_are_not_in_the_database(core, database):
    caller = await register(core)
    secret, codes = await enrol(core, caller)
    with database.cursor() as cursor:
        cursor.execute("select secret from totp union all select digest from recovery_code")
        kept = b"".join(bytes(row[0]) for row in cursor.fetchall())
    assert pyotp.TOTP(secret).byte_secret() not in kept
    assert not [code for code in codes if code.replace("-", "").encode() in kept]


async def test_concurrent_renewals_leave_the_codes_of_one(core, database):
    caller = await register(core)
    _, codes = await enrol(core, caller)
    with database.cursor() as cursor:  # both wait for the account
        cursor.execute("begin; select from account for update")
        renewals = [
            asyncio.create_task(core.factors.renew_recovery_codes(caller, code))
            for code in codes[:2]
        ]
        await asyncio.sleep(0.2)
        cursor.execute("commit")
    renewed = await asyncio.gather(*renewals)
    assert (await core.factors.factors_of(1)).recovery_codes_left == 10
    outcomes = [await outcome(core.factors.verify(1, each[0])) for each in renewed]
    assert [each for each in outcomes if each is None] == [None]


async def test_new_recovery_codes_void_the_old_ones(core):
    caller = await register(core)
    secret, old = await enrol(core, caller)
    new = await core.factors.renew_recovery_codes(caller, code_of(secret))
    assert not set(old) & set(new)
    assert isinstance(await outcome(core.factors.verify(1, old[0])), WrongCode)
    await core.factors.verify(1, new[0])


async def test_parallel_guesses_get_no_further_than_the_limit(core, connect):
    caller = await register(core)
    _, codes = await enrol(core, caller)
    async with connect(rate_limits="on") as one, connect(rate_limits="on") as other:
        guesses = [
            each.factors.verify(1, f"{number:06d}")
            for number in range(500)
            for each in (one, other)
        ]
        outcomes = await asyncio.gather(*map(outcome, guesses))
        tried = [each for each in outcomes if not isinstance(each, RateLimited)]
        assert len(tried) == 10
        assert isinstance(await outcome(one.factors.verify(1, codes[0])), RateLimited)


async def test_a_factor_is_turned_off_by_a_code(core):
    caller = await register(core)
    secret, _ = await enrol(core, caller)
    assert isinstance(await outcome(core.factors.begin(caller)), FactorExists)
    assert isinstance(await outcome(core.factors.confirm(caller, "000000")), FactorExists)
    assert isinstance(await outcome(core.factors.disable(caller, "000000")), WrongCode)
    await core.factors.disable(caller, code_of(secret))
    assert isinstance(await outcome(core.factors.disable(caller, "000000")), NoFactor)
    await core.access.log_in(ASKING, PASSWORD, [SPEC])


async def test_an_operator_resets_a_factor(core):
    caller = await register(core)
    assert not await core.factors.reset(1, Actor("operator"))
    await enrol(core, caller)
    assert await core.factors.reset(1, Actor("operator"))
    await core.access.log_in(ASKING, PASSWORD, [SPEC])


async def test_a_session_that_has_ended_enrols_nothing(core):
    caller = await register(core)
    secret = await core.factors.begin(caller)
    await core.access.end_all(caller)
    for attempt in (core.factors.begin(caller), core.factors.confirm(caller, code_of(secret))):
        assert isinstance(await outcome(attempt), BadToken)


@pytest.mark.parametrize("rule", ["otp", "forbid"])
async def test_a_dialect_that_cannot_ask_refuses_as_for_a_wrong_password(core, rule):
    caller = await register(core)
    secret, _ = await enrol(core, caller)
    login = Login("kim", factor=rule)
    for attempt in (login, replace(login, code="000000")):
        error = await outcome(core.access.log_in(attempt, PASSWORD, [SPEC]))
        assert type(error) is BadCredentials
    right = core.access.log_in(replace(login, code=code_of(secret)), PASSWORD, [SPEC])
    assert isinstance(await outcome(right), BadCredentials) == (rule == "forbid")


async def test_a_mount_may_exempt(core):
    caller = await register(core)
    await enrol(core, caller)
    await core.access.log_in(Login("kim", factor="exempt"), PASSWORD, [SPEC])


async def test_a_challenge_is_void_after_a_new_password(core):
    caller = await register(core)
    secret, _ = await enrol(core, caller)
    required = await outcome(core.access.log_in(ASKING, PASSWORD, [SPEC]))
    assert isinstance(required, SecondFactorRequired)
    await core.access.end_all(caller)
    for challenge in (required.challenge, "", "junk"):
        attempt = core.access.continue_login(challenge, code_of(secret), [SPEC])
        assert isinstance(await outcome(attempt), ChallengeInvalid)


async def test_secrets_outlive_a_change_of_the_secret_keys(settings, clean):
    old, new = "old " * 10, "new " * 10

    def opened(*keys):
        options = core_options(replace(settings, secret_keys=keys, rate_limits="off"))
        return open_core(replace(options, cores=2))

    async with opened(old) as core:
        secret, _ = await enrol(core, await register(core))
    async with opened(new, old) as core:
        await core.factors.verify(1, code_of(secret))
    async with opened(new) as core:  # it was sealed again
        await core.factors.verify(1, code_of(secret, 1))
    async with opened("another " * 5) as core:
        assert isinstance(await outcome(core.factors.verify(1, code_of(secret))), Unavailable)
