"""All dialects share one account database, and a session is valid in each of them."""

import unicodedata

import pytest

from handlers import app_keys
from tests.handlers.contract import Row, play
from tests.handlers.dialects import latchkey_rows
from tests.handlers.dialects.drf_messages import CHALLENGE, INACTIVE
from tests.handlers.dialects.each_dialect import (
    ADA,
    DIALECT_CALLS,
    DRF_GUARDED,
    FARDEL_REFRESHING,
    PASSWORD,
    SESSIONS,
    account_of,
    brings,
    cannot_log_in,
    log_in,
    log_out,
    open_again,
    over,
    refresh_is_over,
    refused,
    register,
    renew,
    taken,
    who,
)
from tests.handlers.dialects.fardel_rows import NOT_FRESH, ONLY_ACCESS, ONLY_REFRESH

LOGINS = [(name, by) for name, calls in DIALECT_CALLS.items() for by in calls.logs_in_by]


async def everywhere(client):
    """Create an account, log it in in all five dialects, and return its tokens by name."""
    rows = [register("wicare"), *[log_in(*login) for login in LOGINS], renew()]
    return await play(client, rows)


@pytest.mark.parametrize("maker", DIALECT_CALLS)
async def test_registered_in_one_and_logged_in_through_each_other_that_can(client, maker):
    """A dialect can whose login uses a name that the account has."""
    account = account_of(maker)
    names = await play(client, [register(maker)])
    for other, by in LOGINS:
        rows = [cannot_log_in(other, by)]
        if by in account:
            rows = [
                log_in(other, by, account, again=other in names),
                log_in(other, by, account, again=True),
                cannot_log_in(other, by, PASSWORD.lower()),
                *who(other, account),
            ]
        await play(client, rows, names)


@pytest.mark.parametrize("maker", DIALECT_CALLS)
async def test_usernames_and_emails_are_one_base_whatever_their_case(client, maker):
    await play(client, [register(maker)])
    for other, calls in DIALECT_CALLS.items():
        shared = set(account_of(maker)) & set(calls.asks)
        clashes = [shared, *[{name} for name in shared]] if shared else []
        await play(client, [taken(other, clash) for clash in clashes])


@pytest.mark.parametrize("opener", SESSIONS)
async def test_a_token_of_each_works_and_ends_in_all_the_others(client, opener):
    names = await everywhere(client)
    for ender in DIALECT_CALLS:
        rows = [*who(opener), log_out(ender, opener), *over(opener), open_again(opener)]
        await play(client, rows, names)
    for other in SESSIONS:
        await play(client, who(other), names)  # that was one session only


async def test_a_refresh_token_works_nowhere_but_where_it_belongs(client):
    names = await everywhere(client)
    rows = [*refused("refresh", 422, ONLY_ACCESS), renew(), *who("access"), *who("fardel")]
    await play(client, rows, names)


async def test_no_other_token_works_where_a_refresh_token_belongs(client):
    names = await everywhere(client)
    for session in SESSIONS:
        mine = brings(session)
        rows = [Row(line, None, 422, ONLY_REFRESH, mine) for line in FARDEL_REFRESHING]
        await play(client, [*rows, *who(session)], names)


@pytest.mark.parametrize("scheme", ["Token", "token", "TOKEN", "Bearer", "bearer", "bEARER"])
async def test_both_schemes_are_taken_everywhere_in_any_case(client, scheme):
    names = await everywhere(client)
    access, refresh = brings("access", scheme), brings("refresh", scheme)
    renewed, revoked = {"access_token": "<40 hex>"}, {"message": "Refresh token has been revoked"}
    success = {"success": True}
    rows = [
        *[row for session in SESSIONS for row in who(session, scheme=scheme)],
        *[log_out(name, name, scheme) for name in DIALECT_CALLS],
        Row("POST /fardel/api/auth/refresh-token", None, 200, renewed, refresh),
        Row("POST /fardel/api/auth/logout-refresh", None, 200, revoked, refresh),
        Row("PUT /fardel/api/auth/profile", None, 204, None, access),
        Row("POST /lumotist/account/set_picture", {"id": 0}, 200, success, access),
        Row("POST /wicare/api/auth/logoutall", None, 204, None, access),
    ]
    await play(client, rows, names)


async def everything_is_over(client, names):
    for session in SESSIONS:
        await play(client, over(session), names)
    await play(client, refresh_is_over(), names)


async def log_in_anew(client, names, account=ADA):
    """Log in everywhere again: every token is new, and the old ones remain invalid."""
    new: dict[str, str] = {}
    for name, calls in DIALECT_CALLS.items():
        await play(client, [log_in(name, calls.logs_in_by[0], account)], new)
    assert not set(new.values()) & set(names.values())
    await everything_is_over(client, names)
    await play(client, [row for name in DIALECT_CALLS for row in who(name, account)], new)


@pytest.mark.parametrize("opener", SESSIONS)
async def test_logoutall_ends_every_session_in_every_dialect(client, opener):
    names = await everywhere(client)
    logout_all = Row("POST /wicare/api/auth/logoutall", None, 204, None, brings(opener))
    await play(client, [logout_all], names)
    await log_in_anew(client, names)


@pytest.mark.parametrize("opener", SESSIONS)
async def test_deleting_ends_every_session_in_every_dialect(client, opener):
    names = await everywhere(client)
    delete = Row("POST /lumotist/account/delete", None, 200, {"success": True}, brings(opener))
    await play(client, [delete], names)
    await play(client, [cannot_log_in(*login) for login in LOGINS])
    made = {"success": True, "token": "<40 hex>"}
    again = Row("POST /lumotist/account/register", {**ADA, "password": PASSWORD}, 200, made)
    await play(client, [again])
    await everything_is_over(client, names)


async def test_a_changed_password_ends_every_session_in_every_dialect(client):
    names = await everywhere(client)
    new = "Difference-Engine-1822"
    user = {"id": 1, "first_name": None, "last_name": None, "email": ADA["email"]}
    response = {
        "message": "Profile successfully updated",
        "user": user,
        "access_token": "<new access = 40 hex>",
        "refresh_token": "<new refresh = 40 hex>",
    }
    change = Row("PUT /fardel/api/auth/profile", {"password": new}, 200, response, brings("fardel"))
    await play(client, [change, *who("new access")], names)
    await everything_is_over(client, names)
    rows = [cannot_log_in(*login) for login in LOGINS]
    await play(client, [*rows, *who("new access")], names)


@pytest.mark.parametrize("opener", [name for name in SESSIONS if name != "fardel"])
async def test_only_fardels_own_logins_are_fresh(client, opener):
    names = await everywhere(client)
    line, mine = "PUT /fardel/api/auth/profile", brings(opener)
    user = {"id": 1, "first_name": "Ada", "last_name": None, "email": ADA["email"]}
    named = {"message": "Profile successfully updated", "user": user}
    rows = [
        Row(line, {"email": "new@example.com"}, 401, NOT_FRESH, mine),
        Row(line, {"password": "new"}, 401, NOT_FRESH, mine),
        Row(line, {"email": "", "password": None, "first_name": "Ada"}, 200, named, mine),
    ]
    await play(client, rows, names)


async def test_a_disabled_account_is_out_everywhere_and_stays_out_of_its_old_sessions(client):
    names = await everywhere(client)
    await client.app[app_keys.ACCOUNTS].change(1, {"is_active": False})
    for session in SESSIONS:
        mine = brings(session)
        rows = [Row(line, None, 401, INACTIVE, mine, CHALLENGE) for line in DRF_GUARDED]
        await play(client, rows, names)
    rows = [cannot_log_in(*login) for login in LOGINS if login[0] != "cellars"]
    await play(client, rows)
    await client.app[app_keys.ACCOUNTS].change(1, {"is_active": True})
    await log_in_anew(client, names)


ODD = "\u3164 \u115f \xad \u200b \u202e \x1b \x7f \x9b \u2028 \u2066 \ufeff"
MARKED = (
    "\u0939\u093f\u0928\u094d\u0926\u0940",
    "\u0e44\u0e17\u0e22\u0e43\u0e2b\u0e21\u0e48",
    "Jose\u0301",
)
PLAIN = "This value may contain only letters, numbers, and @/./+/-/_ characters."
NAME_RULES = {
    "wicare": ("/wicare/api/auth/register/", {"username": [f"Enter a valid username. {PLAIN}"]}),
    "kust": ("/kust/auth/users/", {"username": [f"Enter a valid username. {PLAIN}"]}),
    "lumotist": (
        "/lumotist/account/register",
        {"success": False, "errors": {"username": ["Enter a valid value."]}},
    ),
    "cellars": (
        "/cellars/api/register/",
        {"error": "Invalid Data: username may contain only letters, digits and _ @ + . -"},
    ),
}


async def test_no_name_holds_what_can_not_be_seen_and_letters_are_those_of_any_script(client):
    email = 0
    for dialect, (path, error) in NAME_RULES.items():
        for character in ODD.split(" "):
            email += 1
            new = {
                "username": f"ad{character}min",
                "password": PASSWORD,
                "email": f"{email}@x.example",
            }
            response = await client.post(path, json=new)
            assert (response.status, await response.json()) == (400, error), (dialect, character)
    for name in MARKED:
        for first, *others in (["cellars", "wicare"], ["wicare", "kust"]):
            new = {"username": f"{first}{name}", "password": PASSWORD}
            response = await client.post(NAME_RULES[first][0], json=new)
            assert response.status in (200, 201), await response.text()
            for other in others:
                composed = {**new, "username": unicodedata.normalize("NFC", new["username"])}
                response = await client.post(NAME_RULES[other][0], json=composed)
                assert response.status == 400
                assert "already exists" in await response.text()


async def test_one_mailbox_is_one_account(client):
    """In every form of its host; invisible characters are rejected."""
    path = "/fardel/api/auth/register/"
    statuses = {
        "victim@example.com": 200,
        "victim@exam\xadple.com": 400,
        "victim@example\u200b.com": 400,
        "victim@exa\u200dmple.com": 400,
        "victim@example\u3002com": 409,
        "a@ex\u00e4mple.com": 200,
        "a@xn--exmple-cua.com": 409,
        '"\x1b[31mred"@x.com': 400,
    }
    for email, status in statuses.items():
        response = await client.post(path, json={"email": email, "password": PASSWORD})
        assert response.status == status, ascii(email)
    login = {"email": "A@XN--EXMPLE-CUA.COM", "password": PASSWORD}
    assert (await client.post("/fardel/api/auth/login/", json=login)).status == 200


async def test_latchkey_shares_accounts_and_sessions_with_all_the_others(client):
    """Its devices have sessions of their own kind, which work and end like any other."""
    names = await everywhere(client)
    mine = {**ADA}

    def device(token: str) -> Row:
        return latchkey_rows.log_in(ADA["username"], issued=f"<{token} = 64 hex>", account=mine)

    def shown(token: str) -> Row:
        return Row("GET /v1/account", None, 200, latchkey_rows.account(**mine), brings(token))

    def revoked(token: str) -> Row:
        line = "GET /v1/account"
        return latchkey_rows.problem(line, None, "token_revoked", headers=brings(token))

    await play(client, [device("latchkey"), *map(shown, SESSIONS), *who("latchkey")], names)
    for ender in DIALECT_CALLS:
        rows = [device(f"for {ender}"), log_out(ender, f"for {ender}"), revoked(f"for {ender}")]
        await play(client, [*rows, *over(f"for {ender}"), shown("latchkey")], names)
    for session in SESSIONS:
        ended = Row("DELETE /v1/sessions/current", None, 204, None, brings(session))
        await play(client, [ended, *over(session), revoked(session), open_again(session)], names)
    await play(client, [Row("DELETE /v1/sessions", None, 204, None, brings("latchkey"))], names)
    await play(client, [revoked("latchkey"), *over("latchkey")], names)
    await everything_is_over(client, names)
    await log_in_anew(client, names)
