"""What superusers do with accounts, sessions, events and the gallery."""

import io
from dataclasses import replace

import pytest
from PIL import Image

from app import CORE, create_app
from handlers.admin import PREFIX
from handlers.admin.accounts import EDITABLE
from handlers.internal.account_fields import FIELDS
from store.event_log import EventLog
from store.event_writer import TYPES
from tests.handlers.admin.people import MIKA, ROOT, Office


async def account(office: Office, id: int = MIKA) -> dict:
    status, found = await office.send("GET", f"/accounts/{id}")
    assert status == 200
    return found


async def test_pages_searches_and_filters(office):
    for number in range(5):
        await office.register(f"kim{number}")
    await office.send("PATCH", "/accounts/4", {"is_active": False})
    _, page = await office.send("GET", "/accounts?limit=2")
    assert [each["username"] for each in page["accounts"]] == ["root", "mika"]
    _, page = await office.send("GET", f"/accounts?limit=2&after={page['next']}")
    assert [each["username"] for each in page["accounts"]] == ["kim0", "kim1"]
    _, page = await office.send("GET", "/accounts?search=KIM&active=false")
    assert [each["username"] for each in page["accounts"]] == ["kim1"]
    assert page["next"] is None
    assert await office.code("GET", "/accounts?search=kim&after=1") == "invalid_fields"


async def test_an_edit(office):
    before = await account(office)
    changes = {
        "username": "mikael",
        "first_name": "Mika",
        "last_name": None,
        "email": "m@example.org",
        "email_verified": True,
        "is_staff": True,
    }
    status, after = await office.send("PATCH", f"/accounts/{MIKA}", changes)
    assert status == 200
    assert after == {**before, **changes, "version": after["version"]}
    assert after["version"] != before["version"]
    assert after == await account(office)


async def test_nothing_but_what_the_page_shows_can_be_set(office):
    """Mass assignment: neither a column, nor a field of the service API, nor a path into one."""
    assert set(EDITABLE) < set(FIELDS)
    before = office.sql("select * from account where id = 2")
    for name, value in {
        **dict.fromkeys(set(FIELDS) - set(EDITABLE), True),
        "id": 1,
        "password": "x" * 10,
        "password_hash": "!",
        "session_epoch": 1,
        "kept_session": "x",
        "picture_id": None,
        "picture": None,
        "created": "2020-01-01T00:00:00Z",
        "version": "x",
        "__proto__": {},
        "is_superuser ": True,
        "IS_SUPERUSER": True,
    }.items():
        status, problem = await office.send(
            "PATCH", f"/accounts/{MIKA}", {"first_name": "Eve", name: value}
        )
        assert (status, problem["code"]) == (422, "invalid_fields"), name
        assert [(each["field"], each["code"]) for each in problem["errors"]] == [(name, "unknown")]
    assert office.sql("select * from account where id = 2") == before


@pytest.mark.parametrize(
    ("fields", "code", "errors"),
    [
        ({"username": "ROOT"}, "taken", [("username", "taken")]),
        (
            {"username": "root", "email": "root@example.com"},
            "taken",
            [("username", "taken"), ("email", "taken")],
        ),
        ({"username": None, "email": None}, "invalid_fields", [("username", "required")]),
        ({"email": "mika"}, "invalid_fields", [("email", "invalid")]),
        ({"is_active": None}, "invalid_fields", [("is_active", "required")]),
        ({"is_superuser": "true"}, "invalid_fields", [("is_superuser", "invalid")]),
        ({"is_superuser": 1}, "invalid_fields", [("is_superuser", "invalid")]),
        ({"first_name": "x" * 255}, "invalid_fields", [("first_name", "too_long")]),
        ([], "invalid_fields", [("", "invalid")]),
    ],
)
async def test_what_cannot_be_set(office, fields, code, errors):
    before = await account(office)
    _, problem = await office.send("PATCH", f"/accounts/{MIKA}", fields)
    assert problem["code"] == code
    assert [(each["field"], each["code"]) for each in problem["errors"]] == errors
    assert await account(office) == before


async def test_an_edit_of_a_page_that_is_out_of_date(office):
    version = (await account(office))["version"]
    headers = {"If-Match": f'"{version}"'}
    path = f"/accounts/{MIKA}"
    assert await office.code("PATCH", path, {"first_name": "A"}, headers=headers) is None
    code = await office.code("PATCH", path, {"first_name": "B"}, headers=headers)
    assert code == "precondition_failed"
    assert (await account(office))["first_name"] == "A"
    await office.log_in("mika")  # no field that can be edited
    headers = {"If-Match": f'"{(await account(office))["version"]}"'}
    assert await office.code("PATCH", path, {"first_name": "B"}, headers=headers) is None
    for name in EDITABLE:
        value = (await account(office))[name]
        changed = f"x{value}" if name == "email" else not value if value in (True, False) else "x"
        version = (await account(office))["version"]
        assert await office.code("PATCH", path, {name: changed}) is None
        assert (await account(office))["version"] != version, name


async def test_disabling_ends_sessions_and_enabling_lets_in_again(office):
    token = await office.log_in("mika")
    assert await office.code("PATCH", f"/accounts/{MIKA}", {"is_active": False}) is None
    headers = {"Authorization": f"Bearer {token}"}
    response = await office.client.get("/v1/account", headers=headers)
    assert response.status == 401
    assert await office.code("PATCH", f"/accounts/{MIKA}", {"is_active": True}) is None
    response = await office.client.get("/v1/account", headers=headers)
    assert response.status == 401
    await office.log_in("mika")


async def test_every_change_is_an_event_of_the_administrator(office):
    path = f"/accounts/{MIKA}"
    await office.send("PATCH", path, {"first_name": "Mika", "is_superuser": True})
    await office.send("PATCH", path, {"is_active": False})
    await office.send("PATCH", path, {"is_active": True})
    await office.send("PATCH", path, {"email_verified": True})
    await office.send("DELETE", f"{path}/sessions")
    await office.send("DELETE", path)
    fields = [["first_name", "is_superuser"], ["is_active"], ["is_active"], ["email_verified_at"]]
    types = ["account.changed", "account.disabled", "account.enabled", "account.email_verified"]
    wanted = [
        (type, "mika", str(ROOT), {"fields": names})
        for type, names in zip(types, fields, strict=True)
    ]
    wanted += [(type, "mika", str(ROOT), {}) for type in ("sessions.ended", "account.deleted")]
    assert await office.events() == wanted[::-1]


async def test_what_is_no_event_is_in_the_log(office, caplog):
    with caplog.at_level("INFO", "latchkey.admin"):
        await office.send("POST", f"/accounts/{MIKA}/password-reset", {})
        await office.send("GET", f"/accounts/{MIKA}")
    said = [record.getMessage() for record in caplog.records if record.name == "latchkey.admin"]
    assert said == [f"administrator {ROOT}: POST /accounts/{MIKA}/password-reset"]


async def test_sessions(office):
    first, second = await office.log_in("mika"), await office.log_in("mika")
    _, found = await office.send("GET", f"/accounts/{MIKA}/sessions")
    newest, *_ = found["sessions"]
    assert len(found["sessions"]) == 3
    assert newest["device"] == "test"
    path = f"/accounts/{MIKA}/sessions/{newest['id']}"
    assert await office.code("DELETE", path) is None
    assert await office.code("DELETE", path) == "not_found"
    assert await office.code("DELETE", path.replace("/2/", "/1/")) == "not_found"
    _, found = await office.send("GET", f"/accounts/{MIKA}/sessions")
    assert len(found["sessions"]) == 2
    assert await office.code("DELETE", f"/accounts/{MIKA}/sessions") is None
    _, found = await office.send("GET", f"/accounts/{MIKA}/sessions")
    assert found["sessions"] == []
    for token in (first, second):
        headers = {"Authorization": f"Bearer {token}"}
        assert (await office.client.get("/v1/account", headers=headers)).status == 401


async def test_a_reset_is_sent(office):
    path = f"/accounts/{MIKA}/password-reset"
    status, content = await office.send("POST", path, {})
    assert (status, content) == (202, {})
    await office.send("PATCH", f"/accounts/{MIKA}", {"is_active": False})
    assert await office.code("POST", path, {}) == "account_disabled"
    await office.send("PATCH", f"/accounts/{MIKA}", {"is_active": True, "email": None})
    assert await office.code("POST", path, {}) == "invalid_fields"


async def test_a_deleted_account_is_gone(office):
    path = f"/accounts/{MIKA}"
    assert await office.code("DELETE", path) is None
    for method, rest, data in (
        ("GET", "", None),
        ("PATCH", "", {"first_name": "x"}),
        ("DELETE", "", None),
        ("GET", "/sessions", None),
        ("DELETE", "/sessions", None),
        ("POST", "/password-reset", {}),
    ):
        assert await office.code(method, path + rest, data) == "not_found"


def picture(color: str = "red", format: str = "PNG") -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (64, 64), color).save(content, format)
    return content.getvalue()


async def add(office: Office, content: bytes, query: str = "?group=female&name=Ada", kind="png"):
    headers = {"Authorization": f"Bearer {office.token}", "Content-Type": f"image/{kind}"}
    path = f"{PREFIX}/gallery{query}"
    async with office.client.post(path, data=content, headers=headers) as response:
        return response.status, await response.json(content_type=None)


async def gallery(office: Office) -> list[tuple[int, str, str]]:
    response = await office.client.get("/v1/gallery")
    return [
        (each["id"], each["group"], each["name"]) for each in (await response.json())["pictures"]
    ]


async def test_the_gallery(office):
    before = await gallery(office)
    status, added = await add(office, picture())
    assert status == 201
    assert await gallery(office) == [*before, (added["id"], "female", "Ada")]
    token = await office.log_in("mika")
    headers = {"Authorization": f"Bearer {token}"}
    chosen = {"gallery": added["id"]}
    response = await office.client.put("/v1/account/picture", json=chosen, headers=headers)
    assert response.status == 200
    path = f"/gallery/{added['id']}"
    assert await office.send("DELETE", path) == (200, {"accounts": 1})
    assert await gallery(office) == before
    assert await office.code("DELETE", path) == "not_found"
    assert (await account(office))["picture"] is None


@pytest.mark.parametrize("rest", ["0", "-1", "x", "99999999999", "1%2F2", "\u0663"])
async def test_gallery_ids_that_do_not_exist(office, rest):
    assert await office.code("DELETE", f"/gallery/{rest}") == "not_found"


@pytest.mark.parametrize(
    ("content", "query", "field", "code"),
    [
        (b"x", "?group=a&name=b", "picture", "unsupported"),
        (b"", "?group=a&name=b", "picture", "unsupported"),
        (picture()[:80], "?group=a&name=b", "picture", "damaged"),
        (picture(), "?group=a", "name", "required"),
        (picture(), "?group=&name=b", "group", "required"),
        (picture(), f"?group=a&name={'x' * 65}", "name", "too_long"),
        (picture(), "?group=a&name=%00", "name", "invalid"),
        (picture(), "?group=a&name=%E2%80%AEb", "name", "invalid"),
        (picture(), "?group=a&name=b&id=1", "id", "unknown"),
    ],
)
async def test_pictures_that_are_not_added(office, content, query, field, code):
    before = await gallery(office)
    _, problem = await add(office, content, query)
    assert [(each["field"], each["code"]) for each in problem["errors"]] == [(field, code)]
    assert await gallery(office) == before


async def test_a_picture_that_is_not_a_picture(office):
    assert await office.code("POST", "/gallery?group=a&name=b", {"id": 1}) == "invalid_fields"


async def test_pages_of_events(office):
    for number in range(60):
        office.sql(
            """insert into event (transaction, type, account_id, username, actor_type, actor_name)
               values (pg_current_xact_id(), %s, %s, 'kim', 'operator', 'x')""",
            "account.disabled" if number % 30 == 0 else "account.changed",
            100 + number % 2,
        )
    _, first = await office.send("GET", "/events")
    assert len(first["events"]) == 50
    _, second = await office.send("GET", f"/events?before={first['next']}")
    assert second["next"] is None
    ids = [each["id"] for page in (first, second) for each in page["events"]]
    assert len(ids) == 62  # two registrations
    assert ids == sorted(ids, reverse=True)
    _, page = await office.send("GET", "/events?type=account.disabled")
    assert [each["type"] for each in page["events"]] == ["account.disabled"] * 2
    assert page["next"] is None
    _, page = await office.send("GET", "/events?account=101")
    assert {each["account"]["id"] for each in page["events"]} == {101}
    assert len(page["events"]) == 30
    _, page = await office.send("GET", "/events?account=101&type=account.disabled")
    assert page == {"events": [], "next": None}


async def test_a_rare_type_of_event_is_looked_for_in_steps(office, monkeypatch):
    """A page of one type looks through so many events at most, and its `next` goes on there."""
    monkeypatch.setattr("store.event_log.SCANNED", 10)
    log: EventLog = office.client.app[CORE].events
    office.sql(
        """insert into event (transaction, type, account_id, actor_type)
           select pg_current_xact_id(), case when n = 1 then 'account.deleted' else
                  'account.changed' end, n, 'operator' from generate_series(1, 35) as n"""
    )
    steps, before = [], None
    for _ in range(10):
        found, before = await log.page(before, 5, type="account.deleted")
        steps.append([event.account_id for event in found])
        if before is None:
            break
    assert steps == [[], [], [], [1]]


@pytest.mark.parametrize(
    "query",
    ["before=x", "before=", "type=x", "type=", "account=x", "account=", f"account={2**64}", "a=1"],
)
async def test_queries_of_events_that_are_not_valid(office, query):
    assert await office.code("GET", f"/events?{query}") == "invalid_fields"


async def test_every_type_of_event_can_be_selected(office):
    for type in TYPES:
        assert await office.code("GET", f"/events?type={type}") is None


async def test_without_events(aiohttp_client, admin_settings, clean, redis_client, database):
    settings = replace(admin_settings, events="off", mail_url="")
    office = Office(await aiohttp_client(create_app(settings)), redis_client, database)
    await office.open()
    _, session = await office.send("GET", "/session")
    assert (session["events"], session["mail"]) == (False, False)
    assert await office.code("GET", "/events") == "not_found"
    assert await office.code("POST", f"/accounts/{MIKA}/password-reset", {}) == "unavailable"
    assert await office.code("PATCH", f"/accounts/{MIKA}", {"first_name": "x"}) is None


async def test_the_live_view(office):
    _, before = await office.send("GET", "/live")
    await office.log_in("mika")
    body = {"login": "mika", "password": "wrong"}
    await office.client.post("/v1/sessions", json=body)
    await office.register("kim")
    _, after = await office.send("GET", "/live")
    assert after["time"] >= before["time"]
    grown = {name: after[name] - before[name] for name in before if name != "stores"}
    assert (grown["logins"], grown["failed_logins"], grown["registrations"]) == (1, 1, 1)
    assert grown["requests"] == 3  # the live view does not count itself
    assert (grown["failures"], after["password"], after["picture"]) == (0, 0, 0)
    assert grown["seconds"] > 0
    assert after["stores"] == {"postgresql": True, "redis": True}
