import asyncio
from dataclasses import asdict
from typing import Any

import pytest

from commands.columns import FIELDS, sql_name
from store import account_names as module
from store.account import Account, Details, Login, NewAccount
from store.accounts import Accounts
from store.errors import Taken, Unstorable
from store.names import MAX_FOLDED, MAX_NAME, fold, forms, is_seen

SAME_NAME = pytest.mark.parametrize(
    ("name", "again"),
    [
        ("kim", "kim"),
        ("kim", "KIM"),
        ("ÉLODIE", "élodie"),
        ("STRASSE", "straße"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("ａｎａ", "ANA"),
        ("i", "I"),
    ],
)


@pytest.fixture
def accounts(core) -> Accounts:
    return core.accounts


async def get(accounts: Accounts, account_id: int) -> Account | None:
    """Return an account as it is now, None when there is none."""
    deadline = asyncio.get_running_loop().time() + 5
    return (await accounts.get_many([account_id], deadline)).get(account_id)


async def add(accounts: Accounts, hash: str = "hash", **names: Any) -> Account:
    """Insert an account."""
    identity = await accounts.new_identity()
    return await accounts.insert(identity, NewAccount(**names), hash, logged_in=False)


def keep_old(database, hash: str, **names: str) -> int:
    """Insert an account as the first release did, names of any characters; return its id."""
    with database.cursor() as cursor:
        cursor.execute(
            """insert into account (id, session_epoch, password, username, username_folded, email,
                   email_folded) values (nextval('account_id'), 1, %s, %s, %s, %s, %s)
               returning id""",
            (hash, *(part for f in ("username", "email") for part in old_forms(names.get(f)))),
        )
        return cursor.fetchone()[0]


def old_forms(name: str | None) -> tuple[str | None, str | None]:
    return name, None if name is None else forms("username", name)[0]


async def test_an_account_is_found_by_its_id_and_its_names(accounts):
    kim = await add(accounts, username="kim", email="kim@example.com", hash="kim's")
    other = await add(accounts, username="other")
    assert await get(accounts, kim.id) == kim
    assert await get(accounts, other.id) == other
    for login in (Login("kim"), Login(email="kim@example.com")):
        found = await accounts.credentials(login)
        assert found.account == kim
        assert found.hash == "kim's"


async def test_an_account_is_kept_as_it_was_given(accounts):
    identity = await accounts.new_identity()
    new = NewAccount("Kim", "Kim@Example.com", "Kim", "O'Hara \\ \U0001f511", (3, -1, 2**63 - 1))
    kim = await accounts.insert(identity, new, "hash", logged_in=False)
    assert (kim.id, kim.epoch) == identity
    assert (kim.username, kim.email) == ("Kim", "Kim@Example.com")
    details = await accounts.details(kim.id)
    assert (details.first_name, details.last_name) == ("Kim", "O'Hara \\ \U0001f511")
    assert details.towns == [3, -1, 2**63 - 1]


async def test_an_account_that_is_not_there_is_none(accounts):
    assert await get(accounts, 4711) is None
    assert await accounts.details(4711) is None
    assert await accounts.find("nobody") == []
    assert await accounts.credentials(Login("nobody")) is None
    assert await accounts.credentials(Login(email="nobody@example.com")) is None
    assert await accounts.raise_epoch(4711) is None
    assert await accounts.change(4711, {"first_name": "Nobody"}) is None


@pytest.mark.parametrize("account_id", [0, -1, -(2**63), 2**63, 10**40])
async def test_an_id_that_no_account_can_have_finds_none(accounts, account_id):
    """It never gets into the statement that it would share with others."""
    kim = await add(accounts, username="kim")
    deadline = asyncio.get_running_loop().time() + 5
    found = (await accounts.get_many([account_id, kim.id], deadline)).get(kim.id)
    assert found == kim
    assert await accounts.details(account_id) is None


@pytest.mark.parametrize("shown", [Account, Details])
def test_what_requests_see_of_an_account_has_no_hash(shown):
    assert not set(shown.__annotations__) & {"password", "hash"}


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ({"username": "kim"}, {"username"}),
        ({"username": "kim", "email": "new@example.com"}, {"username"}),
        ({"username": "new", "email": "kim@example.com"}, {"email"}),
        ({"email": "KIM@example.com"}, {"email"}),
        ({"username": "Kim", "email": "kim@EXAMPLE.com"}, {"username", "email"}),
        ({"username": "lee", "email": "kim@example.com"}, {"username", "email"}),
    ],
)
async def test_taken_names_every_field_that_is(accounts, given, taken):
    """The unique index reports only the first. The names may be those of different accounts."""
    await add(accounts, username="kim", email="kim@example.com")
    await add(accounts, username="lee", email="lee@example.com")
    with pytest.raises(Taken) as raised:
        await add(accounts, **given)
    assert raised.value.fields == taken


@SAME_NAME
async def test_names_are_unique_whatever_their_case(accounts, name, again):
    """In every script, and whatever the database's locale."""
    await add(accounts, username=name)
    with pytest.raises(Taken):
        await add(accounts, username=again)


@SAME_NAME
async def test_names_log_in_whatever_their_case(accounts, name, again):
    kim = await add(accounts, username=name)
    assert (await accounts.credentials(Login(again))).account == kim


async def test_usernames_are_only_compared_with_usernames(accounts):
    """An account whose username is another's e-mail neither blocks nor becomes that account."""
    impostor = await add(accounts, username="kim@example.com", hash="impostor's")
    kim = await add(accounts, email="kim@example.com", hash="kim's")
    by_username, by_email = await asyncio.gather(
        accounts.credentials(Login("kim@example.com")),
        accounts.credentials(Login(email="kim@example.com")),
    )
    assert (by_username.account, by_username.hash) == (impostor, "impostor's")
    assert (by_email.account, by_email.hash) == (kim, "kim's")


async def test_any_number_of_accounts_may_have_no_username_or_no_email(accounts, database):
    """A missing or an empty name is NULL."""
    for number, missing in enumerate((None, None, "")):
        await add(accounts, username=f"kim{number}", email=missing)
        await add(accounts, username=missing, email=f"{number}@example.com")
    with database.cursor() as cursor:
        cursor.execute(
            """select count(*) filter (where username is null and username_folded is null),
                      count(*) filter (where email is null and email_folded is null) from account"""
        )
        assert cursor.fetchone() == (3, 3)


@pytest.mark.parametrize("login", [Login(""), Login(email="")])
async def test_an_empty_name_finds_no_account(accounts, login):
    await add(accounts, username="kim")
    assert await accounts.credentials(login) is None


@pytest.mark.parametrize("name", ["a" * (MAX_NAME + 1), "\N{COMBINING ACUTE ACCENT}" * 2**20])
async def test_a_name_that_is_too_long_is_an_unknown_account(accounts, name, monkeypatch):
    """It is not even folded: that may take minutes."""
    monkeypatch.setattr(module, "forms", lambda *_: pytest.fail("it was folded"))
    assert await accounts.credentials(Login(name)) is None
    assert await accounts.credentials(Login(email=name)) is None
    assert await accounts.find(name) == []
    with pytest.raises(Unstorable):
        await add(accounts, username=name)


async def test_the_longest_names_fit_into_the_index(accounts):
    """2 048 bytes that don't compress, in both columns at once."""
    ligatures = "\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}" * 55
    name = ligatures + "".join(chr(0x20000 + 97 * n) for n in range(50))
    assert MAX_FOLDED - 100 < len(fold(name).encode()) <= MAX_FOLDED
    kim = await add(accounts, username=name, email=name)
    assert (await accounts.credentials(Login(name))).account == kim


UNSTORABLE = pytest.mark.parametrize("text", ["\0", "kim\0", "\ud800", "kim\udfffkim"])


@UNSTORABLE
@pytest.mark.parametrize("field", ["username", "email", "first_name", "last_name"])
async def test_what_postgresql_cannot_keep_is_refused_by_its_field(accounts, text, field):
    with pytest.raises(Unstorable) as raised:
        await add(accounts, **{"username": "kim", field: text})
    assert raised.value.field == field
    kim = await add(accounts, username="kim")
    with pytest.raises(Unstorable) as raised:
        await accounts.change(kim.id, {field: text})
    assert raised.value.field == field


@UNSTORABLE
async def test_what_postgresql_cannot_keep_is_not_looked_up_either(accounts, text):
    with pytest.raises(Unstorable):
        await accounts.credentials(Login(text))
    with pytest.raises(Unstorable):
        await accounts.credentials(Login(email=text))
    assert await accounts.find(text) == []


WEIRD = [
    "'; drop table account; --",
    "' or ''='",
    "{a,b}",
    "{",
    '"',
    "\\",
    "\\'",
    "\\x00",
    "%s",
    "%(name)s",
    "%",
    "$1",
    "NULL",
    "any(array[])",
    "\x01\x7f",
    "\r\n",
    "\u2028",
    "\u202e",
    "\ufeff",
    "\ufffe\uffff",
    "\U0010ffff",
    "\N{COMBINING ACUTE ACCENT}",
    "-",
    " ",
    "0",
]
HOPELESS = ["", "\0", "\ud800", "a" * 255, "\N{LATIN SMALL LIGATURE FFI}" * 254, "\ufdfa" * 254]


async def test_no_name_breaks_the_statement_that_it_shares(accounts):
    """A name that no account can have does not fail the other look-ups of its batch."""
    kim = await add(accounts, username="kim")
    names = [*WEIRD, *HOPELESS]
    logins = [
        Login("kim"),
        *map(Login, names),
        *(Login(email=name) for name in names),
        Login("kim"),
    ]
    results = await asyncio.gather(*map(accounts.credentials, logins), return_exceptions=True)
    first, *nobody, last = results
    assert first.account == last.account == kim
    assert {type(answer) for answer in nobody} == {type(None), Unstorable}


async def test_every_name_that_can_be_kept_logs_in(accounts, database):
    """Also characters that older releases stored, and that a new name may not have."""
    made = []
    for name in WEIRD:
        if fold(name) == "null":
            continue
        if is_seen(name):
            made.append(await add(accounts, username=name, email=name))
        else:
            made.append(await get(accounts, keep_old(database, "hash", username=name, email=name)))
    found = await asyncio.gather(*(accounts.credentials(Login(each.username)) for each in made))
    assert [each.account for each in found] == made
    found = await asyncio.gather(*(accounts.credentials(Login(email=each.email)) for each in made))
    assert [each.account for each in found] == made


async def test_an_epoch_is_never_0_and_never_used_twice(accounts):
    identities = await asyncio.gather(*(accounts.new_identity() for _ in range(20)))
    assert len({identity[0] for identity in identities}) == 20
    kim = await add(accounts, username="kim")
    epochs = [kim.epoch] + [await accounts.raise_epoch(kim.id) for _ in range(20)]
    assert epochs[0] > 0
    assert epochs == sorted(set(epochs))
    assert (await get(accounts, kim.id)).epoch == epochs[-1]


async def test_an_epoch_rises_even_when_the_clock_was_set_back(accounts, database):
    kim = await add(accounts, username="kim")
    ahead = 2**62
    with database.cursor() as cursor:
        cursor.execute("update account set session_epoch = %s", (ahead,))
    assert await accounts.raise_epoch(kim.id) == ahead + 1
    assert (await accounts.change(kim.id, {"password": "new"})).epoch == ahead + 2


async def test_a_login_is_recorded_under_the_epoch_it_was_verified_under(accounts):
    kim = await add(accounts, username="kim")
    assert not await accounts.record_login(kim.id, kim.epoch - 1)
    assert (await accounts.details(kim.id)).last_login is None
    assert await accounts.record_login(kim.id, kim.epoch)
    assert (await accounts.details(kim.id)).last_login is not None


async def test_an_account_is_deleted_under_its_present_epoch_only(accounts):
    kim, other = await add(accounts, username="kim"), await add(accounts, username="other")
    assert not await accounts.delete(kim.id, kim.epoch + 1)
    assert await get(accounts, kim.id) == kim
    assert await accounts.delete(kim.id, kim.epoch)
    assert await get(accounts, kim.id) is None
    assert await get(accounts, other.id) == other


async def test_a_new_password_or_another_activity_raises_the_epoch_with_it(accounts):
    """Enabling too; but not what the account is already."""
    kim = await add(accounts, username="kim")
    epoch = kim.epoch
    for ending in ({"password": "new"}, {"is_active": False}, {"is_active": True}):
        changed = await accounts.change(kim.id, ending, epoch)
        assert changed.epoch > epoch
        epoch = changed.epoch
    assert (await accounts.change(kim.id, {"is_active": True}, epoch)).epoch == epoch


async def test_other_changes_leave_the_epoch(accounts):
    kim = await add(accounts, username="kim")
    changed = await accounts.change(kim.id, {"email": "Kim@example.com", "towns": [1]}, kim.epoch)
    assert (changed.epoch, changed.email) == (kim.epoch, "Kim@example.com")
    assert (await accounts.credentials(Login(email="kim@EXAMPLE.com"))).account == changed
    assert (await accounts.details(kim.id)).towns == [1]


@pytest.mark.parametrize(
    "column",
    ["id", "created", "session_epoch", "username_folded", "IS_ADMIN", "is_admin = true, city", ""],
)
async def test_only_columns_that_can_be_changed_become_sql(accounts, column):
    """The keys are not parameters of the statement but part of its text."""
    kim = await add(accounts, username="kim")
    with pytest.raises(ValueError, match="not a column"):
        await accounts.change(kim.id, {"city": "Kyiv", column: True})
    assert await get(accounts, kim.id) == kim
    assert (await accounts.details(kim.id)).city == ""


async def test_an_operator_can_change_every_field_of_the_command(accounts):
    kim = await add(accounts, username="kim")
    details = asdict(await accounts.details(kim.id))
    columns = {*map(sql_name, FIELDS)}
    assert await accounts.change(kim.id, {column: details[column] for column in columns})


async def test_ids_are_found_by_names_alone(accounts):
    with pytest.raises(ValueError, match="not a name"):
        await accounts.ids_of("id", ["1"])


async def test_nothing_is_changed_under_an_old_epoch(accounts):
    kim = await add(accounts, username="kim")
    await accounts.raise_epoch(kim.id)
    assert await accounts.change(kim.id, {"password": "new"}, kim.epoch) is None
    assert (await accounts.credentials(Login("kim"))).hash == "hash"


async def test_a_change_reports_what_is_taken(accounts):
    """By others: the names that an account has already are its own."""
    await add(accounts, username="lee", email="lee@example.com")
    kim = await add(accounts, username="kim", email="kim@example.com")
    assert await accounts.change(kim.id, {"username": "KIM", "email": "KIM@example.com"})
    with pytest.raises(Taken) as raised:
        await accounts.change(kim.id, {"username": "kim", "email": "LEE@example.com"})
    assert raised.value.fields == {"email"}


async def test_find_returns_every_account_of_a_name(accounts):
    """A username may be another account's e-mail: an operator must not meet the wrong one."""
    by_email = await add(accounts, email="kim@example.com")
    by_username = await add(accounts, username="KIM@example.com")

    async def found(*asked: str) -> list[int]:
        return [each.id for each in await accounts.find(*asked)]

    assert await found("Kim@example.com") == [by_email.id, by_username.id]
    assert await found("Kim@example.com", "email") == [by_email.id]
    assert await found("Kim@example.com", "username") == [by_username.id]


MAILBOXES = [
    ("a@ex\u00e4mple.com", "A@XN--EXMPLE-CUA.com", "a@EX\u00c4MPLE.com", "a@ex\u00e4mple\uff0ecom"),
    ("a@example.com", "a@example\u3002com", "a@example\uff61com", "a@\uff45xample.com"),
    ("a@stra\u00dfe.de", "a@xn--strae-oqa.de", "a@strasse.de"),
]


async def test_one_mailbox_is_one_account(accounts):
    """However its host is written, in IDNA 2003 or 2008."""
    for mailbox in MAILBOXES:
        for first in mailbox:
            account = await add(accounts, email=first)
            for form in mailbox:
                assert (await accounts.credentials(Login(email=form))).account == account, form
                with pytest.raises(Taken):
                    await add(accounts, email=form)
            await accounts.delete(account.id, account.epoch)


@pytest.mark.parametrize(
    "tail", ["\u3164", "\u115f", "\u1160", "\uffa0", "\xad", "\u200b", "\u202e"]
)
async def test_no_new_name_holds_what_is_not_seen_and_an_old_one_logs_in(accounts, database, tail):
    admin, odd = await add(accounts, "admin's", username="admin"), f"admin{tail}"
    with pytest.raises(Unstorable):
        await add(accounts, username=odd)
    with pytest.raises(Unstorable):
        await accounts.change(admin.id, {"username": odd})
    assert (await accounts.credentials(Login(odd))).account == admin
    keep_old(database, "odd's", username=odd)
    assert (await accounts.credentials(Login(odd))).hash == "odd's"
    assert (await accounts.credentials(Login("admin"))).hash == "admin's"
    assert len(await accounts.find(odd)) == 2


async def test_what_shapes_a_character_makes_no_second_name(accounts):
    """Emoji are typed with a variation selector, or without."""
    heart = await add(accounts, username="kim\u2764\ufe0f")
    for form in ("kim\u2764", "kim\u2764\ufe0e", "kim\u2764\ufe0f"):
        assert (await accounts.credentials(Login(form))).account == heart
        with pytest.raises(Taken):
            await add(accounts, username=form)
