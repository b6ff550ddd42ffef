"""Client of a Latchkey server: who sends a request, and the accounts.

`LatchkeyClient` and `AsyncLatchkeyClient` are independent of frameworks. The integrations are the
modules `django`, `rest_framework`, `flask`, `starlette` (FastAPI, too) and `aiohttp`, which import
their framework, and which this module does not import.
"""

from latchkey_client.accounts import Account, Changes, NewAccount, Page, Session
from latchkey_client.aio import AsyncLatchkeyClient
from latchkey_client.errors import ApiError, FieldError, LatchkeyError, Unavailable
from latchkey_client.identity import Identity, TokenStatus, token_of
from latchkey_client.sync import LatchkeyClient

__version__ = "1.0.0"

__all__ = [
    "Account",
    "ApiError",
    "AsyncLatchkeyClient",
    "Changes",
    "FieldError",
    "Identity",
    "LatchkeyClient",
    "LatchkeyError",
    "NewAccount",
    "Page",
    "Session",
    "TokenStatus",
    "Unavailable",
    "token_of",
]
