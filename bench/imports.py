"""How long `account import` and `account export` take, and whether their memory is flat.

    python bench/imports.py [100000 1000000]

For each number of accounts: an embedded PostgreSQL of its own, a CSV as Django's auth_user has it,
import, import again (everything is there), export.
"""

import base64
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parent.parent
HASH = f"pbkdf2_sha256$600000${'s' * 22}${base64.b64encode(bytes(32)).decode()}"
HEAD = (
    "id,password,last_login,is_superuser,username,first_name,last_name,email,is_staff,is_active,"
    "date_joined\n"
)
STORES = {"DATABASE_URL", "REDIS_URL"}


def write(file: Path, count: int) -> None:
    """Write a file of this many accounts."""
    with file.open("w") as stream:
        stream.write(HEAD)
        for n in range(1, count + 1):
            names = f"user{n},First,Last,user{n}@example.com"
            stream.write(f"{n},{HASH},,f,{names},f,t,2021-01-09 12:00:00.123456+00\n")


def run(words: Iterable[str], directory: Path) -> str:
    """Run `account …` and say what it took: of this program, not of PostgreSQL."""
    environment = {name: value for name, value in os.environ.items() if name not in STORES}
    environment["DATA_DIR"] = str(directory / "data")
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    command = [sys.executable, str(ROOT / "server.py"), "account", *words]
    begun = time.perf_counter()
    pid = os.posix_spawn(sys.executable, command, environment, file_actions=quiet)
    _, status, used = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"{command} failed")
    took, cpu = time.perf_counter() - begun, used.ru_utime + used.ru_stime
    return f"{took:.0f} s, {cpu:.0f} s of CPU, at most {used.ru_maxrss / 1024:.0f} MiB"


def main(counts: Iterable[int]) -> None:
    """Measure each number of accounts."""
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="latchkey-") as name:
            directory = Path(name)
            file, out = directory / "accounts.csv", directory / "accounts.jsonl"
            write(file, count)
            run(["list"], directory)  # makes the database
            print(f"{count} accounts, import: {run(['import', str(file)], directory)}")
            print(f"{count} accounts, again:  {run(['import', str(file)], directory)}")
            print(f"{count} accounts, export: {run(['export', str(out)], directory)}", flush=True)


if __name__ == "__main__":
    main(map(int, sys.argv[1:] or ("100000", "1000000")))
