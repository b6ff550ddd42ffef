"""The life of an account in latchkey: its rows, and a walk through it by the messages sent."""

from typing import Any

from aiohttp.test_utils import TestClient

from tests.handlers.contract import Names, Row, play
from tests.handlers.dialects.latchkey_rows import (
    ADA,
    PASSWORD,
    PHONE,
    TABLET,
    account,
    bearer,
    log_in,
    problem,
    register,
    session,
)
from tests.mail.mailbox import Mailbox

NEW_PASSWORD = "Difference-Engine-1822"
OTHER_PASSWORD = "Bernoulli-Numbers-1842"
COUNTESS = "countess@example.org"
LAPTOP = "Laptop of the countess"
EMPTY: dict[str, str | None] = {"Content-Type": None}

VERIFY = "POST /v1/email-verifications"
ASK, CHECK, CONFIRM = (f"POST /v1/password-resets{end}" for end in ("", "/check", "/confirm"))
CHANGE = "PUT /v1/account/email"


def show(name: str = "<token>", **changed: Any) -> Row:
    return Row("GET /v1/account", None, 200, account(**changed), bearer(name))


def ended(name: str = "<token>", code: str = "token_revoked") -> Row:
    return problem("GET /v1/account", None, code, headers=bearer(name))


def no_content(request: str, body: Any = None, name: str = "") -> Row:
    return Row(request, body, 204, None, bearer(name) if name else {}, EMPTY)


def verify(link: str = "<link>", **changed: Any) -> Row:
    shown = {"account": account(email_verified=True, **changed)}
    return Row(VERIFY, {"token": link}, 200, shown)


def ask(email: str = ADA["email"]) -> Row:
    return Row(ASK, {"email": email}, 202, {})


def reset(
    link: str = "<link>", issued: str = "<after = 64 hex>", password: str = NEW_PASSWORD
) -> Row:
    """Set a new password by a link, on a laptop."""
    shown = {
        "account": account(email_verified=True),
        "session": session(LAPTOP),
        "token": issued,
    }
    return Row(CONFIRM, {"token": link, "new": password, "device": LAPTOP}, 200, shown)


def dead(request: str, link: str = "<link>") -> Row:
    """A link that is not valid any more."""
    body = {"token": link} if request in (VERIFY, CHECK) else {"token": link, "new": NEW_PASSWORD}
    return problem(request, body, "link_invalid")


def change_email(email: str = COUNTESS, name: str = "<token>", password: str = PASSWORD) -> Row:
    return Row(CHANGE, {"email": email, "password": password}, 202, {}, bearer(name))


def wrong(password: str = PASSWORD) -> Row:
    fields = {"login": "ada", "password": password}
    return problem("POST /v1/sessions", fields, "invalid_credentials")


async def live(client: TestClient, mailbox: Mailbox) -> Names:
    """Go through the life of an account: verified, forgotten password, another address."""
    names = await play(client, [register()])
    names["verify"] = await mailbox.token("verify")
    rows = [
        show(),
        verify("<verify>"),
        show(email_verified=True),
        log_in(account={"email_verified": True}),
    ]
    await play(client, rows, names)
    headers = {"Authorization": f"Bearer {names['other']}"}
    listed = (await (await client.get("/v1/sessions", headers=headers)).json())["sessions"]
    devices = {each["device"]: each["current"] for each in listed}
    assert devices == {PHONE: False, TABLET: True}
    [phone] = [each["id"] for each in listed if each["device"] == PHONE]
    rows = [
        no_content(f"DELETE /v1/sessions/{phone}", name="<other>"),
        ended(),
        show("<other>", email_verified=True),
        ask("ADA@example.org"),
    ]
    await play(client, rows, names)
    names["reset"] = await mailbox.token("reset")
    rows = [
        no_content(CHECK, {"token": "<reset>"}),
        show("<other>", email_verified=True),
        reset("<reset>"),
        ended("<other>"),
        show("<after>", email_verified=True),
        wrong(),
        log_in(password=NEW_PASSWORD, issued="<last = 64 hex>", account={"email_verified": True}),
        dead(CONFIRM, "<reset>"),
        verify("<verify>"),
        change_email(COUNTESS, "<last>", NEW_PASSWORD),
    ]
    await play(client, rows, names)
    names["change"] = await mailbox.token("change")
    await play(client, [verify("<change>", email=COUNTESS), dead(VERIFY, "<verify>")], names)
    assert (await mailbox.take("password"))["To"] == ADA["email"]
    assert (await mailbox.take("changed"))["To"] == ADA["email"]
    return names
