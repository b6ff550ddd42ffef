"""Before anything is measured: peers installed, databases filled, everybody on their cores."""

import os
import secrets
import sys
from collections.abc import Sequence

from bench import accounts, peers
from bench.accounts import COST, LOW_COST, Accounts
from bench.machine import CantRun
from bench.plan import Part
from bench.stage import Stage

SMALL = 10_000
MIXED = 2_000
AGES = {"small": 2 * 86_400}
"""Seconds since the sessions of a database were opened. Above a hundredth of their lifetime, the
first read of each renews it in the background, as in service. Not so in "large": wrk would not be
through with the first reads of its hundred thousand sessions before the last pair."""


def prepare(stage: Stage, parts: Sequence[Part], large: int) -> None:
    """Fill the stage with what these parts need. What can't be had is noted there as CantRun."""
    for name in dict.fromkeys(part.peer for part in parts if part.peer):
        stage.progress.tick(f"peer {name}")
        stage.peers[name] = _peer(stage, name)
    sizes = {
        "small": (SMALL, COST),
        "large": (large, COST),
        "mixed": (MIXED, LOW_COST),
        "new": (SMALL, LOW_COST),
    }
    for name in dict.fromkeys(name for part in parts for name in part.databases):
        count, cost = sizes[name]
        stage.progress.tick(f"{count} accounts and sessions")
        stage.accounts[name] = _accounts(stage, name, count, cost)
    stage.progress.tick("letting the stores write it down")
    stage.stores.settle()
    stage.stores.pin(stage.load_core)
    os.sched_setaffinity(0, set(stage.load_core))


def _peer(stage: Stage, name: str) -> peers.Peer | CantRun:
    try:
        peer = peers.install(peers.PEERS[name], stage.cache / "peers")
        peers.seed(peer, stage.stores.urls("peers"), SMALL, stage.headers(name))
    except peers.ToolMissing as missing:
        return CantRun(f"{missing.tool} is not installed")
    except peers.PeerFailed as error:
        print(f"\n{error}", file=sys.stderr)
        return CantRun(str(error).splitlines()[0])
    return peer


def _accounts(stage: Stage, name: str, count: int, cost: int) -> Accounts:
    headers = stage.headers(name)
    headers.touch()
    # The server makes its own tables.
    stage.accounts[name] = Accounts(secrets.token_hex(32), [], headers)
    with stage.latchkey(name, stage.cores):
        pass
    return accounts.seed(stage.stores, name, count, cost, headers, AGES.get(name, 0))
