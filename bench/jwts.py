"""JWTs: `GET /account/profile` with an access token against the same with an opaque one."""

import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench.accounts import Accounts, fill_redis, packed
from bench.figures import REQUESTS, Figure, Result, compare
from bench.stage import Stage
from store.jwt_tokens import OWN, SID_BYTES, JwtTokens
from store.session_record import JWT, Session, record_key

JWT_64 = Figure("jwt-64", "reads with a JWT, 64 connections, against opaque tokens", "JWT", 0.9, 1)
JWT_256 = Figure("jwt-256", "the same at 256 connections", "JWT, 256", 0.9, 1)
DIALECTS = "wicare=/ lumotist=/ kust=/ cellars=/ fardel=/ latchkey=/ simplejwt=/simplejwt-app"
LIFETIME = 86_400


def against(figure: Figure, connections: int, stage: Stage) -> list[Result]:
    """Compare requests a second, in twice as many pairs as usual, both of one server."""
    headers = _seed(stage, stage.accounts["small"])
    with stage.latchkey(DIALECTS=DIALECTS) as server:
        pairs = stage.reads_in_turn(
            replace(server, headers=headers), server, connections, 1, times=2
        )
    return [compare(figure, ("JWT", "opaque token"), REQUESTS, pairs)]


def _seed(stage: Stage, accounts: Accounts) -> Path:
    """Open a session of JWTs for each account; return a file of their access tokens."""
    with stage.stores.postgresql("small") as cursor:
        cursor.execute("select max(session_epoch) from account")
        [epoch] = cursor.fetchone()
    sids = [secrets.token_hex(SID_BYTES) for _ in accounts.tokens]
    fill_redis(stage.stores, "small", _commands(sids, epoch))
    tokens = JwtTokens([OWN], [accounts.key.encode()])
    now, headers = int(time.time()), stage.headers("jwt")
    with headers.open("w") as file:
        for number, sid in enumerate(sids, start=1):
            claims = {"token_type": "access", "exp": now + LIFETIME, "iat": now, "jti": sid}
            file.write(f"Bearer {tokens.sign({**claims, 'user_id': str(number)})}\n")
    return headers


def _commands(sids: Sequence[str], epoch: int) -> Iterator[bytes]:
    now = int(time.time())
    for number, sid in enumerate(sids, start=1):
        session = Session(sid, number, "simplejwt", JWT, epoch, "-", now)
        yield packed("SET", record_key(sid), session.record(), "EX", str(LIFETIME))


jwt_64 = partial(against, JWT_64, 64)
jwt_256 = partial(against, JWT_256, 256)
