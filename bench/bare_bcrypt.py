"""`bare_bcrypt.py COUNT COST`: check passwords on all cores, nothing else; print the time taken."""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import bcrypt

PASSWORD = b"a" * 64


def main(count: str, cost: str) -> None:
    """Check COUNT passwords at this COST."""
    kept = bcrypt.hashpw(PASSWORD, bcrypt.gensalt(int(cost)))
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        began, used = time.perf_counter(), time.process_time()
        right = list(pool.map(lambda _: bcrypt.checkpw(PASSWORD, kept), range(int(count))))
        took, used = time.perf_counter() - began, time.process_time() - used
    assert all(right)
    print(json.dumps({"seconds": took, "cpu": used}))


if __name__ == "__main__":
    main(*sys.argv[1:])
