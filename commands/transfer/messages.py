"""What is said of an import: each problem with what to do about it, and the summary."""

from collections.abc import Iterator, Sequence

from commands.transfer.columns import COLUMNS, PICTURE
from store.names import MAX_NAME
from store.transfer.incoming import Kind, Problem, Tally


def sentence(problem: Problem) -> str:
    """Say where a problem is, what it is and what to do."""
    return f"{_where(problem)}: {_what(problem)}"


def summary(tally: Tally, kinds: Sequence[tuple[Kind, str, int]]) -> Iterator[str]:
    """Say what would become of the lines, and how many problems of each kind there are."""
    yield (
        f"{number(tally.lines, 'line')}: {tally.new} can be imported, "
        f"{tally.already_there} already there, {tally.with_problems} with problems"
    )
    for kind, field, count in kinds:
        yield f"{count:>9}  {field} {kind}" if field else f"{count:>9}  {kind}"


def number(count: int, of_what: str) -> str:
    """Say how many there are of something."""
    return f"{count} {of_what}" if count == 1 else f"{count} {of_what}s"


def _where(problem: Problem) -> str:
    last = problem.other if problem.kind in (Kind.UNREADABLE, Kind.ENCODING) else None
    if last and last > problem.line:
        return f"lines {problem.line} to {last}"
    return f"line {problem.line}"


def _what(problem: Problem) -> str:
    field, value, other = problem.field, problem.value, problem.other
    match problem.kind:
        case Kind.UNREADABLE:
            return f"it cannot be read ({value}); correct it"
        case Kind.ENCODING:
            return "it is not UTF-8; save the file as UTF-8"
        case Kind.UNKNOWN_COLUMN:
            return (
                f"the column {field!r} is unknown; rename it to one of "
                f"{', '.join(COLUMNS)}, or skip it with --ignore-column {field!r}"
            )
        case Kind.COLUMN_TWICE:
            return f"two columns mean {field}; skip one of them with --ignore-column"
        case Kind.NAMELESS:
            return "it has neither username nor email; give one"
        case Kind.HASHLESS:
            return "its password is missing; give the hash, or ! for an unusable password"
        case Kind.UNKNOWN_HASH:
            return (
                f"its password cannot be verified: {value}; give a hash of Django, werkzeug or "
                "bcrypt, or ! for an unusable password"
            )
        case Kind.BAD_VALUE | Kind.UNSTORABLE if field == "password":
            return "its password is not a hash; give one as text"
        case Kind.BAD_VALUE if field == PICTURE:
            return "its picture is not as `account export --pictures` writes it; remove it"
        case Kind.BAD_VALUE:
            return f"{field} is {value!r}, but must be {COLUMNS[field].allowed}"
        case Kind.TOO_LONG if field:
            most = f"; at most {MAX_NAME} characters are kept" if field != "password" else ""
            return f"{field} is too long{most}; shorten it"
        case Kind.TOO_LONG:
            return "it is longer than 16 MiB; shorten it"
        case Kind.UNSTORABLE:
            return (
                f"{field} is {value!r}, which cannot be stored (NUL, or half of a surrogate pair)"
            )
        case Kind.UNASKED:
            return (
                f"{field} {value!r} has surrounding white space, which no login can match; trim it"
            )
        case Kind.TAKEN:
            return f"{field} {value!r} is taken by account {other}; change one of the two"
        case Kind.TWICE:
            return f"{field} {value!r} is in line {other}, too; remove one of them"
        case Kind.LOST:
            return "its username, email or id was taken during the import; run it again for details"
