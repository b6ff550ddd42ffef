"""Endpoints of sessions: log in, list, end one, end the others, end all."""

from dataclasses import replace
from typing import Any

from aiohttp import hdrs, web

from handlers.account_shapes import session_shape
from handlers.app_keys import ACCESS
from handlers.dialects.latchkey.routes import DELETE, routes
from handlers.dialects.latchkey.shapes import account_shape
from handlers.errors import NotFound
from handlers.http.response import Response, json_response, no_content
from handlers.json_fields import (
    DEVICE,
    MAX_DEVICE,
    Text,
    is_shown,
    password_field,
    read_fields,
)
from handlers.problems import FieldError, InvalidFields
from handlers.proxies import client_of
from handlers.routes import GET
from store.account import Account, Login
from store.authentication import Caller
from store.names import MAX_NAME
from store.session_list import ListedSession
from store.session_record import IssuedToken, SessionSpec

SPEC = SessionSpec("latchkey", "device", sid_bytes=16, reuse=False)

LOGIN, PASSWORD = Text("login", MAX_NAME), password_field("password")
CODE = Text("code", 64, required=False, may_be_empty=True)
CURRENT = "current"


@routes.open("/v1/sessions")
async def log_in(request: web.Request) -> Response:
    """POST /v1/sessions: log in on a device. Each login has its own session."""
    login, password, device, code = await read_fields(request, LOGIN, PASSWORD, DEVICE, CODE)
    name = Login(login, login if "@" in login else None, code or None, "ask")
    spec = device_spec(request, device)
    account, [issued] = await request.app[ACCESS].log_in(name, password, [spec], client_of(request))
    return json_response(await login_shape(request, account, spec, issued), 201)


@routes.guarded("/v1/sessions", methods=GET)
async def list_sessions(request: web.Request, caller: Caller) -> Response:
    """GET /v1/sessions: return the account's sessions in every dialect, the newest first."""
    sessions = await request.app[ACCESS].sessions_of(caller)
    return json_response({"sessions": [session_shape(each) for each in sessions]})


@routes.guarded("/v1/sessions", methods=DELETE)
async def end_sessions(request: web.Request, caller: Caller) -> Response:
    """DELETE /v1/sessions: end all sessions; with ?keep=current all but the caller's."""
    keep = request.query.getall("keep", [])
    if keep not in ([], [CURRENT]) or set(request.query) - {"keep"}:
        raise InvalidFields([FieldError("keep", "invalid", 'Only "current" is allowed.')])
    access = request.app[ACCESS]
    if keep:
        await access.end_others(caller)
    else:
        await access.end_all(caller)
    return no_content()


@routes.guarded("/v1/sessions/{id}", methods=DELETE)
async def end_session(request: web.Request, caller: Caller) -> Response:
    """DELETE /v1/sessions/<id>: end one session of the account; `current` is the caller's."""
    session_id = request.match_info["id"]
    if session_id == CURRENT:
        await request.app[ACCESS].log_out(caller)
    elif not await request.app[ACCESS].end_session(caller, session_id):
        raise NotFound
    return no_content()


def device_spec(request: web.Request, device: str) -> SessionSpec:
    """Return what a login opens: a session of this device, else of the User-Agent, cut."""
    agent = request.headers.get(hdrs.USER_AGENT, "")[:MAX_DEVICE].strip()
    return replace(SPEC, device=device or (agent if is_shown(agent) else "") or None)


async def login_shape(
    request: web.Request, account: Account, spec: SessionSpec, issued: IssuedToken
) -> dict[str, Any]:
    """Return what a login shows: the account, its new session and the token."""
    return {"account": await account_shape(request, account), **token_shape(spec, issued)}


def token_shape(spec: SessionSpec, issued: IssuedToken) -> dict[str, Any]:
    """Return a new session and its token."""
    session = ListedSession(
        id=issued.public_id,
        dialect=spec.dialect,
        kind=spec.kind,
        device=spec.device,
        created=issued.issued,
        last_used=issued.issued,
        ends=issued.ends,
        current=True,
    )
    return {"session": session_shape(session), "token": issued.token}
