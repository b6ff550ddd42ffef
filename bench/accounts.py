"""Accounts and live sessions by the million, written as the server itself writes them."""

import hashlib
import io
import random
import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from urllib.parse import unquote, urlsplit

import bcrypt

from bench.stores import DATABASES, Stores
from store.foreign_hashes import NATIVE
from store.session_record import Session, SessionSpec, record_key, set_key
from store.tokens import Tokens

PASSWORD = "correct horse battery"
SPEC = SessionSpec("lumotist")
COST, LOW_COST = 12, 4
"""Of bcrypt; the low one for accounts whose logins are to be many."""
LIFETIME = 14 * 86_400
CHUNK = 20_000
MOST_HEADERS = 100_000
"""Tokens that wrk draws from, at most: it keeps a whole request for each."""

_COPY = """copy account (id, username, email, username_folded, email_folded, password,
    session_epoch) from stdin with (freeze)"""


@dataclass(frozen=True)
class Accounts:
    """user0, user1, … each with one live session; `headers` is a file for tokens.lua."""

    key: str
    tokens: list[str]
    headers: Path


def name_of(number: int) -> str:
    """Return the username of an account."""
    return f"user{number}"


def seed(
    stores: Stores, name: str, count: int, rounds: int, headers: Path, age: int = 0
) -> Accounts:
    """Fill one database, whose tables the server has made, and its Redis.

    The sessions were opened `age` seconds ago, and renewed now.
    """
    key, epoch = secrets.token_hex(32), time.time_ns() // 1000
    digest = hashlib.sha256(PASSWORD.encode()).hexdigest().encode()
    # One hash for all: nobody's speed depends on it, and hashing is slow on purpose.
    hash = NATIVE + bcrypt.hashpw(digest, bcrypt.gensalt(rounds)).decode()
    fill_postgresql(stores, name, rows(count, hash, epoch), count)
    signer = Tokens([key.encode()])
    sids = [secrets.token_hex(SPEC.sid_bytes) for _ in range(count)]
    fill_redis(stores, name, commands(sids, signer.signing_key, epoch, age))
    tokens = [signer.derive(sid, signer.signing_key) for sid in sids]
    drawn = random.sample(tokens, min(count, MOST_HEADERS))
    headers.write_text("".join(f"Token {token}\n" for token in drawn))
    return Accounts(key, tokens, headers)


def rows(count: int, hash: str, epoch: int) -> Iterator[str]:
    """Write accounts as COPY takes them."""
    for number in range(count):
        name = name_of(number)
        email = f"{name}@example.com"
        yield f"{number + 1}\t{name}\t{email}\t{name}\t{email}\t{hash}\t{epoch}\n"


def fill_postgresql(stores: Stores, name: str, rows: Iterator[str], count: int) -> None:
    """Replace the accounts of one database."""
    with stores.postgresql(name) as cursor:
        cursor.execute("begin; truncate account cascade")
        while chunk := "".join(islice(rows, CHUNK)):
            cursor.copy_expert(_COPY, io.StringIO(chunk))
        cursor.execute("select setval('account_id', %s)", (count,))
        cursor.execute("commit")
        cursor.execute("vacuum analyze account")  # or it would come by itself, in the middle


def commands(sids: list[str], key_id: str, epoch: int, age: int = 0) -> Iterator[bytes]:
    """Write sessions as Redis takes them, of accounts 1, 2, … in this order."""
    now = int(time.time())
    for number, sid in enumerate(sids, start=1):
        session = Session(sid, number, SPEC.dialect, SPEC.kind, epoch, key_id, now - age)
        names = set_key(number)
        yield packed("SET", record_key(sid), session.record(), "EX", str(LIFETIME))
        yield packed("ZADD", names, str(now + LIFETIME), session.name)
        yield packed("EXPIRE", names, str(LIFETIME + 86_400))


def packed(*words: str) -> bytes:
    """Return a command as Redis takes it."""
    return (f"*{len(words)}\r\n" + "".join(f"${len(w)}\r\n{w}\r\n" for w in words)).encode()


def fill_redis(stores: Stores, name: str, commands: Iterator[bytes]) -> None:
    """Send everything with replies off: packing commands through the driver takes far longer."""
    address = unquote(urlsplit(stores.urls(name)["REDIS_URL"]).path)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        connection.sendall(packed("SELECT", str(DATABASES.index(name))))
        connection.sendall(packed("CLIENT", "REPLY", "OFF"))
        while chunk := b"".join(islice(commands, CHUNK)):
            connection.sendall(chunk)
        connection.sendall(packed("CLIENT", "REPLY", "ON"))
        said = b""
        while said.count(b"\r\n") < 2:  # one for SELECT, one for ON
            said += connection.recv(4096)
        if b"-" in said:
            raise RuntimeError(f"Redis said {said!r}")
