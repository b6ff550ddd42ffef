"""Say by the exit status whether the server of this container answers: `healthcheck.py HOST PORT`.

It runs every ten seconds, so it imports nothing of the program, whose start costs half a second.
"""

import socket
import sys

ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # the address to connect to for each wildcard
PATIENCE = 2.5


def status_line(host: str, port: int) -> bytes:
    """Return the first line of the answer to a probe. Raises OSError."""
    address = ANYWHERE.get(host, host), port
    with socket.create_connection(address, PATIENCE) as connection:
        connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        return connection.recv(256).partition(b"\r\n")[0]


def main() -> int:
    """Probe; return the exit status."""
    try:
        line = status_line(sys.argv[1], int(sys.argv[2]))
    except OSError as error:
        line = str(error).encode()
    sys.stdout.write(line.decode("latin-1"))
    return 0 if line.split()[1:2] == [b"200"] else 1


if __name__ == "__main__":
    sys.exit(main())
