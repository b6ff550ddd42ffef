"""How the dialect latchkey renders errors (docs/contracts/latchkey.md#errors)."""

from handlers import problems
from handlers.dialects import drf
from handlers.http.response import Response
from handlers.problems import NOT_AN_OBJECT, FieldError, InvalidFields
from store.errors import AppError


def render_error(error: AppError) -> Response:
    """Return the response to an error."""
    if isinstance(error, drf.InvalidFields):  # of an uploaded picture
        error = InvalidFields([FieldError("", "invalid", NOT_AN_OBJECT)])
    return problems.render_error(error)
