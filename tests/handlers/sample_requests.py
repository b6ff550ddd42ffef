"""One request for each kind of response."""

import io
import json

from yarl import URL

from tests.handlers.contract import JSON
from tests.handlers.dialects.lumotist_rows import TEST

OF_EVERY_KIND = [
    ("GET", "/healthz", None, 200),
    ("GET", "/readyz", None, 200),
    ("POST", "/account/register", json.dumps(TEST).encode(), 200),
    ("POST", "/account/login", b"{", 400),
    ("GET", "/account/profile", None, 401),
    ("GET", "/nowhere", None, 404),
    ("GET", "/lumotist/nowhere", None, 404),
    ("GET", "/two%0Alines", None, 404),
    ("GET", "/lumotist/two%0Alines", None, 404),
    ("GET", "/pictures/nowhere", None, 404),
    ("GET", "/account/login", None, 405),
    ("POST", "/account/login", b" " * (1024 * 1024 + 1), 413),
]
NAMES = [f"{status} {path}" for _, path, _, status in OF_EVERY_KIND]


async def ask(client, method, path, body=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    data = io.BytesIO(body) if body else None
    url = URL(path, encoded=True)
    return await client.request(method, url, data=data, headers=JSON | headers)
