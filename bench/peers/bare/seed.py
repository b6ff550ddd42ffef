"""Write N headers: `seed.py N FILE`. Nothing is stored; they make requests as long as elsewhere."""

import secrets
import sys
from pathlib import Path


def main(count: str, file: str) -> None:
    Path(file).write_text("".join(f"Token {secrets.token_hex(20)}\n" for _ in range(int(count))))


if __name__ == "__main__":
    main(*sys.argv[1:])
