"""Registrations a second against those of products, with the cheapest hash.

Latchkey, djoser and fastapi-users hash with bcrypt of cost 4, the lowest, which takes 0.9 ms.
better-auth has no bcrypt and hashes with scrypt of the lowest cost. Latchkey and better-auth open a
session as well, and return its token.

django-rest-knox and Flask-JWT-Extended are not measured, because they have no registration.
"""

from functools import partial

from bench.accounts import LOW_COST
from bench.figures import REGISTRATIONS, Figure, Result, compare
from bench.load import registrations
from bench.peers import CHEAP_HASH, PEERS
from bench.reads import NAMES, PRODUCTS
from bench.stage import Stage

CONNECTIONS = 64
SETTINGS = {"BCRYPT_ROUNDS": str(LOW_COST), "RATE_LIMITS": "off"}
AGAINST = {
    name: Figure(
        f"registers-{name}",
        f"registrations, bcrypt cost {LOW_COST}, {CONNECTIONS} connections, against {NAMES[name]}",
        f"registrations, {NAMES[name]}",
        None,
        10,
    )
    for name in PRODUCTS
    if PEERS[name].registration
}


def against(name: str, stage: Stage) -> list[Result]:
    """Compare registrations a second with a peer's.

    Latchkey has a database for this: more accounts in the others would change later figures.
    """
    with stage.latchkey("new", **SETTINGS) as ours, stage.peer(name, **CHEAP_HASH) as theirs:
        pairs = stage.load_in_turn(registrations, ours, theirs, CONNECTIONS, 1)
    return [compare(AGAINST[name], ("Latchkey", NAMES[name]), REGISTRATIONS, pairs)]


products = {name: partial(against, name) for name in AGAINST}
