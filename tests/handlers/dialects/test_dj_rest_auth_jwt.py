"""dj-rest-auth with JWTs at the wire: logins, refreshes, logouts, and cookies."""

import re
from dataclasses import replace

import pytest
from aiohttp.test_utils import TestClient

from app import CORE, create_app
from handlers.mounts import Mount
from settings import BadSetting, read_settings
from store.account import NewAccount
from store.one_time_tokens import Purpose
from tests.handlers.contract import Row, play
from tests.handlers.dialects.dj_rest_auth_rows import (
    ADA,
    BOB,
    CHANGE,
    CONFIRM,
    DONE,
    LINKS,
    LOGGED_OUT,
    LOGIN,
    LOGOUT,
    NAME,
    NOT_VERIFIED,
    PASSWORD,
    REGISTER,
    SAVED,
    mounted,
    new,
    shown,
)
from tests.handlers.dialects.drf_messages import (
    BLANK,
    CANNOT_LOG_IN,
    INVALID_TOKEN,
    MISSING_TOKEN,
    NOT_A_STRING,
    NOT_FOUND,
    NULL,
    REQUIRED,
    not_allowed,
    not_an_object,
)
from tests.handlers.dialects.simplejwt_rows import (
    BEARER,
    BLACKLISTED,
    EXPIRED,
    INVALID,
    IS_BLACKLISTED,
    KEY,
    NO_CHALLENGE,
    TWO_VALUES,
    USER_INACTIVE,
    WRONG_TYPE,
    bearer,
    claims_of,
    expired,
    no_access,
    not_valid,
)
from tests.handlers.dialects.test_contracts import PAGES, examples, fill

VERIFY, REFRESH = "POST /token/verify", "POST /token/refresh"
NOTHING_TO_END = {
    "detail": "Neither cookies or blacklist are enabled, so the token has not been deleted server "
    "side. Please make sure the token is deleted client side."
}
NO_COOKIE = {"detail": "Refresh token was not included in cookie data."}
NO_FIELD = {"detail": "Refresh token was not included in request data."}
NO_REFRESH = {"detail": "No valid refresh token found.", "code": "token_not_valid"}
IN_BODIES = {"jwt_auth_httponly": False, "token_blacklist": True}
COOKIES = {"jwt_auth_cookie": "access", "jwt_auth_refresh_cookie": "refresh"}
EPOCH = "expires=Thu, 01 Jan 1970 00:00:00 GMT"


def issued(access: str = "access", refresh: str = "<refresh = jwt>", **more) -> dict[str, object]:
    return {"access": f"<{access} = jwt>", "refresh": refresh, "user": shown(), **more}


def log_in(response=None, **fields) -> Row:
    content = response or issued()
    return Row(LOGIN, {"username": "ada", "password": PASSWORD, **fields}, 200, content)


def user(name: str = "<access>", **changed) -> Row:
    return Row("GET /user", None, 200, shown(**changed), bearer(name))


def no_user(message: str, name: str = "<access>") -> Row:
    return Row("GET /user", None, 401, no_access(message), bearer(name), BEARER)


def refresh(sent: str = "<refresh>", **more) -> Row:
    content = {"access": "<jwt>", **more, "access_expiration": "<microseconds>"}
    return Row(REFRESH, {"refresh": sent}, 200, content)


def no_refresh(message: str, sent: str = "<refresh>") -> Row:
    return Row(REFRESH, {"refresh": sent}, 401, not_valid(message), {}, BEARER)


def log_out(body, status: int = 200, response=LOGGED_OUT, name: str = "") -> Row:
    return Row(LOGOUT, body, status, response, bearer(name) if name else {}, NO_CHALLENGE)


@pytest.fixture
def serve(settings, aiohttp_client, clean):
    """Run a server with JWTs and options, and Ada's account."""

    async def serve(**options) -> TestClient:
        own = replace(mounted(settings, use_jwt=True, **options), jwt_signing_keys=(KEY,))
        client: TestClient = await aiohttp_client(create_app(own))
        await client.app[CORE].access.register(NewAccount("ada", "ada@example.org"), PASSWORD)
        return client

    return serve


@pytest.mark.parametrize("at", ["{path}", "{path}/", f"/{NAME}{{path}}", f"/{NAME}{{path}}/"])
async def test_a_session_from_login_to_logout(serve, at):
    client = await serve(**IN_BODIES)
    rows = [
        log_in(),
        user(),
        Row(VERIFY, {"token": "<access>"}, 200, {}),
        Row(VERIFY, {"token": "<refresh>"}, 200, {}),
        refresh(),
        Row("PATCH /user", {"first_name": "Ada"}, 200, shown(first_name="Ada"), bearer()),
        log_out({"refresh": "<refresh>"}),
        no_user(BLACKLISTED),
        no_refresh(BLACKLISTED),
        Row(VERIFY, {"token": "<refresh>"}, 400, IS_BLACKLISTED),
    ]
    await play(client, rows, at=at)


async def test_the_tokens(serve):
    client = await serve(**IN_BODIES, claims=("username",), access_token_lifetime=60)
    names = await play(client, [log_in()])
    access, later = claims_of(names["access"]), claims_of(names["refresh"])
    assert (access["user_id"], access["username"], access["token_type"]) == ("1", "ada", "access")
    assert access["exp"] - access["iat"] == 60
    assert later["jti"] == f"{access['jti']}.0"


async def test_without_the_option_there_are_no_jwts(settings, aiohttp_client, clean):
    client = await aiohttp_client(create_app(mounted(settings)))
    rows = [Row(each, {"token": "x", "refresh": "x"}, 404, NOT_FOUND) for each in (VERIFY, REFRESH)]
    rows.append(Row(REGISTER, ADA, 201, {"key": "<token = 40 hex>"}))
    names = await play(client, rows)
    headers = {"Authorization": f"Bearer {names['token']}"}
    assert (await client.get("/user", headers=headers)).status == 401


async def test_a_jwt_is_no_opaque_token(settings, aiohttp_client, clean):
    own = mounted(settings)
    own = replace(own, dialects={**own.dialects, "simplejwt": Mount("/jwt")})
    client = await aiohttp_client(create_app(own))
    credentials = {"username": "ada", "password": PASSWORD}
    pair = {"refresh": "<jwt>", "access": "<access = jwt>"}
    rows = [
        Row(REGISTER, ADA, 201, {"key": "<token = 40 hex>"}),
        Row("POST /jwt/api/token", credentials, 200, pair),
        Row("GET /user", None, 401, INVALID_TOKEN, bearer(scheme="Token"), {}),
        Row("GET /user", None, 401, MISSING_TOKEN, bearer(), {}),
        Row("GET /user", None, 200, shown(), {"Authorization": "Token <token>"}),
    ]
    await play(client, rows)


HEADERS = [
    ({}, MISSING_TOKEN),
    ({"Authorization": "Token 0"}, MISSING_TOKEN),
    ({"Authorization": "bearer 0"}, MISSING_TOKEN),
    ({"Authorization": "Bearer"}, TWO_VALUES),
    ({"Authorization": "Bearer a b"}, TWO_VALUES),
    ({"Authorization": "Bearer x"}, no_access(INVALID)),
]


@pytest.mark.parametrize("request_line", ["GET /user", "PUT /user", "DELETE /user", CHANGE])
async def test_an_access_token_is_required(serve, request_line):
    client = await serve()
    rows = [Row(request_line, {}, 401, body, headers, BEARER) for headers, body in HEADERS]
    await play(client, rows)


async def test_bad_access_tokens(serve):
    client = await serve(**IN_BODIES)
    names = await play(client, [log_in()])
    names["late"] = expired(names["access"])
    rows = [
        no_user(EXPIRED, "<late>"),
        no_user(WRONG_TYPE, "<refresh>"),
        Row(LOGIN, {}, 401, no_access(WRONG_TYPE), bearer("<refresh>"), BEARER),
        Row(REGISTER, {}, 401, no_access(INVALID), bearer("x"), BEARER),
    ]
    await play(client, rows, names)
    await client.app[CORE].accounts.change(1, {"is_active": False})
    await play(client, [Row("GET /user", None, 401, USER_INACTIVE, bearer(), BEARER)], names)


async def test_403_where_the_library_is_not_asked_for_a_token(serve):
    client = await serve(unauthenticated_status="403")
    rows = [Row("GET /user", None, 403, body, headers, NO_CHALLENGE) for headers, body in HEADERS]
    rows.append(Row(REFRESH, {}, 401, NO_REFRESH, {}, BEARER))
    await play(client, rows)


async def test_refused_logins_are_those_of_tokens(serve):
    client = await serve()
    body = {"username": "ada", "password": "x"}
    await play(client, [Row(LOGIN, body, 400, CANNOT_LOG_IN, {}, NO_CHALLENGE)])


async def test_a_refresh_token_is_hidden_with_httponly(serve):
    """Also without a cookie for it, as in the library; a registration shows it."""
    client = await serve()
    bob = {"pk": 2, "username": "bob", "email": "bob@example.org"}
    registered = {**issued("first", "<jwt>"), "user": shown(**bob)}
    rows = [
        Row(REGISTER, BOB, 201, registered),
        log_in(issued(refresh="")),
        log_in(issued("second", refresh="")),
        user(),
        user("<second>"),
    ]
    await play(client, rows)


async def test_expirations(serve):
    client = await serve(jwt_auth_return_expiration=True, rotate_refresh_tokens=True, **IN_BODIES)
    ends = {"access_expiration": "<microseconds>", "refresh_expiration": "<microseconds>"}
    rotated = {"access": "<jwt>", "refresh": "<next = jwt>", **ends}
    rows = [log_in(issued(**ends)), Row(REFRESH, {"refresh": "<refresh>"}, 200, rotated)]
    await play(client, rows)


REFRESHES = [
    ({}, 401, NO_REFRESH),
    ({"refresh": ""}, 400, {"refresh": BLANK}),
    ({"refresh": None}, 400, {"refresh": NULL}),
    ({"refresh": []}, 400, {"refresh": NOT_A_STRING}),
    ([], 400, not_an_object("list")),
    ({"refresh": "x"}, 401, not_valid(INVALID)),
    ({"refresh": "<access>"}, 401, not_valid(WRONG_TYPE)),
]


async def test_refused_refreshes(serve):
    """They look at no Authorization header."""
    client = await serve(**IN_BODIES)
    rows = [
        log_in(),
        *[Row(REFRESH, body, status, error, bearer("x")) for body, status, error in REFRESHES],
        Row(VERIFY, {}, 400, {"token": REQUIRED}, bearer("x")),
        Row(VERIFY, {"token": "x"}, 401, not_valid(INVALID), bearer("x"), BEARER),
        Row("GET /token/verify", None, 405, not_allowed("GET"), bearer("x")),
        Row("GET /token/refresh", None, 405, not_allowed("GET"), bearer("x")),
    ]
    await play(client, rows)


async def test_rotation(serve):
    """Lesson 19: the grace window returns the same successor; an older token ends the session."""
    client = await serve(rotate_refresh_tokens=True, **IN_BODIES)
    next_one = {"refresh": "<next = jwt>"}
    end = {"refresh_expiration": "<microseconds>"}

    def rotate(token: str, shown: str) -> Row:
        row = refresh(token, refresh=shown)
        return replace(row, response={**row.response, **end})

    rows = [
        log_in(),
        rotate("<refresh>", next_one["refresh"]),
        rotate("<refresh>", "<next>"),
        rotate("<next>", "<third = jwt>"),
        no_refresh(BLACKLISTED),
        no_refresh(BLACKLISTED, "<third>"),
        no_user(BLACKLISTED),
    ]
    await play(client, rows)


async def test_a_new_password_leaves_the_callers_session(serve):
    """Lesson 15: the refresh tokens of other sessions end with them."""
    client = await serve(**IN_BODIES)
    rows = [
        log_in(),
        log_in(issued("other", "<other refresh = jwt>")),
        Row(CHANGE, new(), 200, SAVED, bearer()),
        user(),
        refresh(),
        no_user(BLACKLISTED, "<other>"),
        no_refresh(BLACKLISTED, "<other refresh>"),
    ]
    await play(client, rows)


async def test_a_reset_ends_all_sessions(serve):
    client = await serve(**IN_BODIES)
    account = await client.app[CORE].accounts.get(1)
    link = client.app[CORE].one_time_tokens.make(Purpose.RESET, account, 4_000_000_000)
    rows = [
        log_in(),
        Row(CONFIRM, new(uid="1", token=link), 200, DONE),
        no_user(BLACKLISTED),
        no_refresh(BLACKLISTED),
    ]
    await play(client, rows)


async def test_mandatory_verification(settings, tmp_path, aiohttp_client, clean):
    own = replace(
        mounted(settings, use_jwt=True, email_verification="mandatory", **LINKS),
        mail_url=f"file:{tmp_path}/mail",
        public_url="https://accounts.example",
    )
    client = await aiohttp_client(create_app(own))
    rows = [
        Row(REGISTER, ADA, 201, {"detail": "Verification e-mail sent."}, {}, {"Set-Cookie": None}),
        Row(LOGIN, {"username": "ada", "password": PASSWORD}, 400, NOT_VERIFIED),
    ]
    await play(client, rows)


async def test_logouts_with_a_blacklist(serve):
    client = await serve(**IN_BODIES)
    rows = [
        log_in(),
        log_out({}, 401, NO_FIELD),
        log_out(None, 401, NO_FIELD),
        log_out({"refresh": ""}, 400, {"refresh": BLANK}),
        log_out([], 400, not_an_object("list")),
        log_out({"refresh": "x"}, 401, {"detail": INVALID}),
        log_out({"refresh": "<access>"}, 401, {"detail": WRONG_TYPE}),
        user(),
        log_out({"refresh": "<refresh>"}),
        log_out({"refresh": "<refresh>"}, 401, {"detail": BLACKLISTED}),
        Row(LOGOUT, {}, 401, no_access(BLACKLISTED), bearer(), BEARER),
    ]
    await play(client, rows)


@pytest.mark.parametrize("options", [{}, {"token_blacklist": True}, IN_BODIES])
async def test_an_access_token_logs_out_as_well(serve, options):
    """Lesson 14: the library does not end a session whose refresh token it does not find."""
    client = await serve(**options)
    first = log_in(issued("access", "<text>" if options is IN_BODIES else ""))
    await play(client, [first, log_out({}, name="<access>"), no_user(BLACKLISTED)])


async def test_logouts_without_a_blacklist(serve):
    client = await serve(jwt_auth_httponly=False)
    rows = [
        log_in(),
        log_out({}, 200, NOTHING_TO_END),
        log_out({"refresh": "x"}, 200, NOTHING_TO_END),
        log_out({"refresh": "<refresh>"}),
        no_user(BLACKLISTED),
    ]
    await play(client, rows)
    assert (await client.get("/logout")).status == 405


async def ask(client, request: str, body=None, cookies: str = "", **headers):
    """Send a request with these cookies; return the status, the body and the cookies set."""
    client.session.cookie_jar.clear()
    method, path = request.split()
    sent = {"Cookie": cookies} if cookies else {}
    content = {"json": body} if body is not None else {}
    async with client.request(method, path, headers=sent | headers, **content) as response:
        lines = response.headers.getall("Set-Cookie", [])
        return (
            response.status,
            await response.json(),
            {each.partition("=")[0]: each for each in lines},
        )


async def cookies_of_login(client) -> str:
    """Log in; return the Cookie header of a browser."""
    body = {"username": "ada", "password": PASSWORD}
    status, _, lines = await ask(client, LOGIN, body)
    assert status == 200
    return "; ".join(each.partition(";")[0] for each in lines.values())


@pytest.mark.parametrize(
    ("options", "access", "refresh"),
    [
        ({}, "HttpOnly; Max-Age={}; Path=/; SameSite=Lax", ""),
        (
            {"jwt_auth_httponly": False, "jwt_auth_refresh_cookie_path": "/token"},
            "Max-Age={}; Path=/; SameSite=Lax",
            "Max-Age={}; Path=/token; SameSite=Lax",
        ),
        (
            {"jwt_auth_samesite": "None", "jwt_auth_secure": True},
            "HttpOnly; Max-Age={}; Path=/; SameSite=None; Secure",
            "",
        ),
        ({"jwt_auth_samesite": "Strict"}, "HttpOnly; Max-Age={}; Path=/; SameSite=Strict", ""),
    ],
)
@pytest.mark.parametrize("request_line", [LOGIN, REGISTER])
async def test_cookies_are_set(serve, request_line, options, access, refresh):
    """Lesson 14: at a registration as well."""
    client = await serve(**COOKIES, **options)
    body = {"username": "ada", "password": PASSWORD} if request_line == LOGIN else BOB
    status, content, lines = await ask(client, request_line, body)
    assert status in (200, 201)
    assert [*lines] == ["access", "refresh"]
    ends = r"expires=\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT; "
    for name, form, seconds in (("access", access, 300), ("refresh", refresh or access, 86_400)):
        found = re.fullmatch(rf"{name}=([^;]+); {ends}(.+)", lines[name])
        assert found[2] in (form.format(seconds), form.format(seconds - 1))
    hidden = options.get("jwt_auth_httponly", True)
    shown_refresh = re.match("refresh=([^;]+)", lines["refresh"])[1]
    assert content["refresh"] == ("" if hidden else shown_refresh)
    assert content["access"] in lines["access"]


async def test_the_domain_of_cookies(serve):
    client = await serve(**COOKIES, jwt_auth_cookie_domain=".example.org")
    _, _, lines = await ask(client, LOGIN, {"username": "ada", "password": PASSWORD})
    assert all("; Domain=.example.org; expires=" in each for each in lines.values())


async def test_only_cookies_with_a_name_are_set(serve):
    client = await serve(jwt_auth_cookie="access")
    _, content, lines = await ask(client, LOGIN, {"username": "ada", "password": PASSWORD})
    assert [*lines] == ["access"]
    assert content["refresh"] == ""


@pytest.mark.parametrize("how", [{}, {"Connection": "close"}])
async def test_every_cookie_reaches_the_client(serve, how):
    """Aiohttp sends the response where the connection closes."""
    client = await serve(**COOKIES)
    _, _, lines = await ask(client, LOGIN, {"username": "ada", "password": PASSWORD}, **how)
    assert [*lines] == ["access", "refresh"]


async def test_a_browser_from_login_to_logout(serve):
    client = await serve(**COOKIES, rotate_refresh_tokens=True, token_blacklist=True)
    cookies = await cookies_of_login(client)
    assert (await ask(client, "GET /user", None, cookies))[:2] == (200, shown())
    status, content, lines = await ask(client, REFRESH, {}, cookies)
    assert (status, [*content], [*lines]) == (
        200,
        ["access", "access_expiration"],
        ["access", "refresh"],
    )
    cookies = "; ".join(each.partition(";")[0] for each in lines.values())
    status, _, _ = await ask(client, CHANGE, new(), cookies)
    assert status == 200
    assert (await ask(client, "GET /user", None, cookies))[0] == 200
    status, content, lines = await ask(client, LOGOUT, None, cookies)
    assert (status, content) == (200, LOGGED_OUT)
    assert lines == {
        each: f'{each}=""; {EPOCH}; Max-Age=0; Path=/; SameSite=Lax'
        for each in ("access", "refresh")
    }
    assert (await ask(client, "GET /user", None, cookies))[:2] == (401, no_access(BLACKLISTED))
    assert (await ask(client, REFRESH, {}, cookies))[:2] == (401, not_valid(BLACKLISTED))


async def test_without_rotation_a_refresh_sets_the_access_cookie_only(serve):
    client = await serve(**COOKIES)
    _, _, lines = await ask(client, REFRESH, {}, await cookies_of_login(client))
    assert [*lines] == ["access"]


async def test_a_header_counts_before_a_cookie(serve):
    client = await serve(**COOKIES)
    cookies = await cookies_of_login(client)
    for header, error in (("Bearer x", no_access(INVALID)), ("Token x", MISSING_TOKEN)):
        found = await ask(client, "GET /user", None, cookies, Authorization=header)
        assert found[:2] == (401, error)


DEAD = ["access=x; refresh=x", "access=", 'access=""; refresh=""', "access=x"]


@pytest.mark.parametrize("cookies", DEAD)
@pytest.mark.parametrize("blacklist", [True, False])
async def test_a_dead_cookie_keeps_nobody_from_logging_in_or_out(serve, cookies, blacklist):
    """Lesson 14: in the library nobody with an expired cookie can log in, or out."""
    client = await serve(**COOKIES, token_blacklist=blacklist)
    login = {"username": "ada", "password": PASSWORD}
    assert (await ask(client, LOGIN, login, cookies))[0] == 200
    assert (await ask(client, REGISTER, BOB, cookies))[0] == 201
    status, content, lines = await ask(client, LOGOUT, {}, cookies)
    assert [*lines] == ["access", "refresh"]
    if "refresh" in cookies or not blacklist:
        assert (status, content) == (200, LOGGED_OUT)
    else:
        assert (status, content) == (401, NO_COOKIE)
    assert (await ask(client, "GET /user", None, cookies))[0] == 401


async def test_a_logout_that_does_not_get_the_refresh_cookie(serve):
    """Lesson 14: its path may be another. The access cookie is enough."""
    client = await serve(**COOKIES, token_blacklist=True)
    cookies = await cookies_of_login(client)
    access, later = cookies.split("; ")
    assert (await ask(client, LOGOUT, None, access))[:2] == (200, LOGGED_OUT)
    assert (await ask(client, REFRESH, {}, later))[:2] == (401, not_valid(BLACKLISTED))
    assert (await ask(client, LOGOUT, None))[:2] == (401, NO_COOKIE)


async def test_a_logout_with_the_refresh_cookie_alone(serve):
    """The access cookie of a browser expires long before it."""
    client = await serve(**COOKIES, token_blacklist=True)
    access, later = (await cookies_of_login(client)).split("; ")
    assert (await ask(client, LOGOUT, None, later))[:2] == (200, LOGGED_OUT)
    assert (await ask(client, "GET /user", None, access))[:2] == (401, no_access(BLACKLISTED))


FOREIGN = ["https://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1.evil.example"]


@pytest.mark.parametrize("origin", FOREIGN)
async def test_cookies_do_not_count_for_pages_of_other_origins(serve, origin):
    """What the library leaves to JWT_AUTH_COOKIE_USE_CSRF, which is off by default."""
    client = await serve(**COOKIES, token_blacklist=True)
    cookies = await cookies_of_login(client)
    for request in ("GET /user", "PATCH /user", CHANGE):
        found = await ask(client, request, new(), cookies, Origin=origin)
        assert found[:2] == (401, MISSING_TOKEN)
    assert (await ask(client, REFRESH, {}, cookies, Origin=origin))[:2] == (401, NO_REFRESH)
    assert (await ask(client, LOGOUT, {}, cookies, Origin=origin))[:2] == (401, NO_COOKIE)
    login = {"username": "ada", "password": PASSWORD}
    for request, body in ((LOGIN, login), (REGISTER, BOB), (LOGOUT, {})):
        assert (await ask(client, request, body, Origin=origin))[2] == {}
    own = str(client.make_url("")).rstrip("/")
    assert (await ask(client, "GET /user", None, cookies, Origin=own))[0] == 200
    assert (await ask(client, CHANGE, new(), cookies, Origin=own.upper()))[0] == 200


async def test_cookies_count_for_pages_of_the_public_url(settings, aiohttp_client, clean):
    own = replace(
        mounted(settings, use_jwt=True, **COOKIES), public_url="https://accounts.example/api"
    )
    client = await aiohttp_client(create_app(own))
    assert (await client.post("/registration", json=ADA)).status == 201
    cookies = await cookies_of_login(client)
    found = await ask(client, "GET /user", None, cookies, Origin="https://accounts.example")
    assert found[0] == 200


async def test_responses_allow_no_credentials_of_other_origins(serve):
    client = await serve(**COOKIES)
    async with client.post("/login", json={}, headers={"Origin": "https://x.example"}) as response:
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in response.headers


async def test_examples(settings, aiohttp_client, clean):
    """The contract's examples of JWTs, which need the option; test_contracts.py has the others."""
    client = await aiohttp_client(create_app(mounted(settings, use_jwt=True, **COOKIES)))
    page = PAGES[NAME].replace("```http\n", "```\n").replace("```http jwt\n", "```http\n")
    rows = [*examples(page)]
    assert len(rows) == 5
    names: dict[str, str] = {}
    for row in rows:
        client.session.cookie_jar.clear()
        names = await play(client, [fill(row, names)], names)


APP = "https://app.example"


async def test_pages_of_other_origins_may_have_cookies_if_an_option_says_so(
    settings, aiohttp_client, clean
):
    allowed = mounted(settings, use_jwt=True, cors_allow_credentials=True, **COOKIES)
    client = await aiohttp_client(create_app(replace(allowed, cors_origins=(APP,))))
    assert (await client.post("/registration", json=ADA)).status == 201
    cookies = await cookies_of_login(client)
    for origin, status in ((APP, 200), ("https://other.example", 401)):
        assert (await ask(client, "GET /user", None, cookies, Origin=origin))[0] == status
        preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        for method, headers in (("GET", {"Origin": origin}), ("OPTIONS", preflight)):
            async with client.request(method, "/user", headers=headers) as response:
                expected = (origin, "true") if status == 200 else (None, None)
                assert expected == tuple(
                    response.headers.get(f"Access-Control-Allow-{each}")
                    for each in ("Origin", "Credentials")
                )


async def test_without_the_option_no_other_origin_may_have_cookies(settings, aiohttp_client, clean):
    own = replace(mounted(settings, use_jwt=True, **COOKIES), cors_origins=(APP,))
    client = await aiohttp_client(create_app(own))
    assert (await client.post("/registration", json=ADA)).status == 201
    cookies = await cookies_of_login(client)
    assert (await ask(client, "GET /user", None, cookies, Origin=APP))[0] == 401
    async with client.get("/user", headers={"Origin": APP}) as response:
        assert response.headers["Access-Control-Allow-Origin"] == APP
        assert "Access-Control-Allow-Credentials" not in response.headers


def test_origins_with_cookies_must_be_listed():
    mount = f"{NAME}=/?use-jwt=on&jwt-auth-cookie=a&cors-allow-credentials=on"
    with pytest.raises(BadSetting, match="CORS_ORIGINS must list origins"):
        read_settings({"DIALECTS": mount})
    assert read_settings({"DIALECTS": mount, "CORS_ORIGINS": APP}).cors_origins == (APP,)


BAD_OPTIONS = {
    "jwt-auth-cookie=access": "jwt-auth-cookie and jwt-auth-refresh-cookie need use-jwt=on",
    "use-jwt=on&jwt-auth-cookie=a;b": "must be two names",
    "use-jwt=on&jwt-auth-cookie=a b": "",
    "use-jwt=on&jwt-auth-cookie=a&jwt-auth-refresh-cookie=a": "must be two names",
    "use-jwt=on&jwt-auth-refresh-cookie-path=token": "jwt-auth-refresh-cookie-path must be a path",
    "use-jwt=on&jwt-auth-refresh-cookie-path=/;x": "jwt-auth-refresh-cookie-path must be a path",
    "use-jwt=on&jwt-auth-cookie-domain=a;b": "jwt-auth-cookie-domain must be a domain",
    "use-jwt=on&cors-allow-credentials=on": "cors-allow-credentials needs jwt-auth-cookie",
    "use-jwt=on&jwt-auth-samesite=None": "jwt-auth-samesite=None needs jwt-auth-secure=on",
    "use-jwt=on&jwt-auth-samesite=none": "jwt-auth-samesite must be Lax or Strict or None",
    "use-jwt=on&access-token-lifetime=0": "access-token-lifetime must be",
}


@pytest.mark.parametrize("option", BAD_OPTIONS)
def test_options_that_are_refused_at_the_start(option):
    with pytest.raises(BadSetting) as caught:
        read_settings({"DIALECTS": f"{NAME}=/?{option}"})
    assert BAD_OPTIONS[option] in str(caught.value)
