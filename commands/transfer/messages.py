"""The messages of an import: each problem with what to do about it, and the summary."""

from collections.abc import Iterator, Sequence

from commands.columns import COLUMNS, must_be
from commands.console import count_of
from store.transfer.incoming import Kind, Problem, Tally
from store.transfer.pictures import PICTURE


def problem_message(problem: Problem) -> str:
    """Return where a problem is, what it is and what to do."""
    return f"{_place(problem)}: {_message(problem)}"


def summary(tally: Tally, kinds: Sequence[tuple[Kind, str, int]]) -> Iterator[str]:
    """Yield what would become of the lines, and how many problems of each kind there are."""
    yield (
        f"{count_of(tally.lines, 'line')}: {tally.new} can be imported, "
        f"{tally.already_there} already there, {tally.with_problems} with problems"
    )
    for kind, field, count in kinds:
        yield f"{count:>9}  {field} {kind}" if field else f"{count:>9}  {kind}"


def _place(problem: Problem) -> str:
    last = problem.other if problem.kind in (Kind.UNREADABLE, Kind.ENCODING) else None
    if last and last > problem.line:
        return f"lines {problem.line} to {last}"
    return f"line {problem.line}"


def _message(problem: Problem) -> str:
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
            return must_be(field, COLUMNS[field].allowed, value)
        case Kind.TOO_LONG if field:
            return f"{field} is too long; it must be {COLUMNS[field].allowed}"
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
