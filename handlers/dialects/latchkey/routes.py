"""The routes of the dialect latchkey, to which its modules add their endpoints."""

from handlers.authorization import authenticate
from handlers.dialects.latchkey.problems import render_error
from handlers.routes import Checks, Routes

PATCH = ("PATCH",)
DELETE = ("DELETE",)

routes = Routes(render_error, Checks(authenticate, method_first=True))
