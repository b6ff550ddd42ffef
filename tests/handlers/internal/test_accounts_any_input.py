"""Any body and any query, sent to /internal/accounts: a described response, never a 5xx."""

import io
import re
from typing import Any
from urllib.parse import urlencode

from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from handlers.internal.account_fields import FIELDS
from tests.handlers.any_bodies import BYTES, TEXTS, VALUES, written
from tests.handlers.internal.keys import KEYS, Scope, bearer
from tests.handlers.internal.test_accounts import ACCOUNTS, described
from tests.handlers.internal.test_openapi import OPERATIONS, check
from tests.handlers.test_any_body import fixed

SECRETS = {"password": ["Analytical-Engine-1843"], "password_hash": ["!", "pbkdf2_sha256$1$a$x"]}
LIKELY = {
    "username": ["ada", " Grace "],
    "email": ["ada@example.org", "GRACE@example.org"],
    "email_verified_at": [True, "2021-01-09T12:00:00Z", "0001-01-01T00:00:00+14:00"],
    "days_count": [0, -5],
    **{key: [[], [1, 2**63 - 1]] for key in ("towns", "groups", "wants")},
    **{key: [True, False] for key in ("is_active", "is_staff", "email_verified")},
}
REQUESTS = [("POST", ""), ("PATCH", "/1"), ("PUT", "/1/password"), ("POST", "/1/password-reset")]
LINES = st.sampled_from(REQUESTS)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[tuple[str, str], dict[str, Any]]:
    """Choose an endpoint, likely values for some fields, and then some that are not."""
    line = draw(LINES)
    names = [*SECRETS] if line[0] == "PUT" else [*FIELDS, *SECRETS]
    body = {}
    for name in draw(st.lists(st.sampled_from(names), max_size=6)):
        likely = {**LIKELY, **SECRETS}.get(name, ["x", None])
        body[name] = draw(st.one_of(st.sampled_from(likely), VALUES))
    if draw(st.integers(0, 9)) == 0:
        body[draw(TEXTS)] = draw(VALUES)
    return line, body


async def send(client, database, line, body: bytes, kind: str | None) -> None:
    with database.cursor() as cursor:
        cursor.execute(
            """insert into account (id, username, username_folded, password, session_epoch)
               values (1, 'mika', 'mika', '!', 1) on conflict do nothing;
               delete from account where id > 1; update account set is_active = true"""
        )
    method, path = line
    headers = bearer(KEYS[Scope.WRITE]) | ({"Content-Type": kind} if kind is not None else {})
    async with client.request(
        method,
        ACCOUNTS + path,
        data=io.BytesIO(body),
        headers=headers,
        skip_auto_headers=["Content-Type"],
    ) as response:
        raw = await response.read()
    summary = f"{method} {path} {kind} {body!r}\nanswered {response.status} {raw!r}"
    no_mail = path.endswith("reset") and response.status == 503
    assert response.status < 500 or no_mail, summary
    check(OPERATIONS[described(path), method], response.status, response.headers, raw)
    assert not re.search(rb"\$2[aby]\$\d\d\$[./\w]{20}", raw), f"a hash: {summary}"


@fixed(200)
@given(request=bodies())
async def test_any_values_of_known_fields(client, database, request):
    line, body = request
    await send(client, database, line, written(body), "application/json")


@fixed(60)
@given(line=LINES, sent=BYTES)
async def test_any_bytes_of_any_content_type(client, database, line, sent):
    kind, body = sent
    await send(client, database, line, body, kind)


NAMES = st.sampled_from(["ids", "username", "email", "after", "limit", "search", "active"])
WORDS = st.one_of(TEXTS, st.integers().map(str), st.sampled_from(["", "true", "1,2", "mika", "%"]))


@fixed(200)
@given(query=st.lists(st.tuples(st.one_of(NAMES, TEXTS), WORDS), max_size=4))
async def test_any_query(client, query):
    text = urlencode(query, errors="replace")[:8000]
    url = URL(f"{ACCOUNTS}?{text}", encoded=True)
    async with client.get(url, headers=bearer(KEYS[Scope.READ])) as response:
        raw = await response.read()
        assert response.status in (200, 422), f"{text!r}\nanswered {raw!r}"
        check(OPERATIONS["/accounts", "GET"], response.status, response.headers, raw)
