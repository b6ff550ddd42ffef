"""What is asked of whoever runs a command: to go on, or a password. Never through an argument."""

import getpass
import sys

from commands.fields import BadInput
from commands.printing import printable


def is_at_a_terminal() -> bool:
    """Tell whether there is somebody to ask."""
    return sys.stdin.isatty()


def agrees(question: str) -> bool:
    """Ask, and tell whether the answer is yes."""
    print(f"{printable(question)} Continue? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def new_password() -> str:
    """Return a password that is typed twice, or else the first line of standard input.

    Raises BadInput.
    """
    password = _typed_twice() if is_at_a_terminal() else _first_line()
    if not password:
        raise BadInput("no password was given: type it, or write it to standard input")
    return password


def _typed_twice() -> str:
    typed = getpass.getpass("Password: ", sys.stderr)
    if getpass.getpass("Again: ", sys.stderr) != typed:
        raise BadInput("the two passwords differ")
    return typed


def _first_line() -> str:
    try:
        return sys.stdin.readline().rstrip("\r\n")
    except UnicodeDecodeError:
        raise BadInput("the password is not UTF-8") from None
