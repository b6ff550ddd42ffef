"""One delivery: a signed POST, as the Standard Webhooks specification has it."""

import base64
import hashlib
import hmac
import json
import ssl
import time

import aiohttp

from store.errors import first_line
from store.event_log import Event
from webhooks.settings import Webhook

REQUEST_SECONDS = 15.0
"""How long a receiver may take for a response, from the connection on."""

_GONE = 410
_MAX_REASON = 200


class NotDelivered(Exception):
    """A receiver did not accept an event. The text says why, in one line."""

    def __init__(self, reason: str, *, is_gone: bool = False) -> None:
        super().__init__(reason)
        self.is_gone = is_gone
        """Whether the receiver has asked for no more events."""


class Deliveries:
    """Sends events over one pool of connections. `close` closes it."""

    def __init__(self, request_seconds: float = REQUEST_SECONDS) -> None:
        """Open the pool, on a running event loop."""
        self._seconds = request_seconds
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=ssl.create_default_context()),
            timeout=aiohttp.ClientTimeout(total=request_seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "Latchkey", "Content-Type": "application/json"},
        )

    async def deliver(self, webhook: Webhook, event: Event) -> None:
        """Send an event. Raises NotDelivered unless the receiver responds with a 2xx in time.

        Redirects are not followed, because the receiver would not be the one that was configured.
        """
        body = message(event)
        headers = signed_headers(webhook, event.id, body, int(time.time()))
        try:
            async with self._session.post(
                webhook.url, data=body, headers=headers, allow_redirects=False
            ) as response:
                status = response.status
        except TimeoutError:
            raise NotDelivered(f"no response in {self._seconds:g} s") from None
        except (aiohttp.ClientResponseError, aiohttp.InvalidURL):  # their texts have the URL
            raise NotDelivered("no valid response of HTTP") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NotDelivered(first_line(error)[:_MAX_REASON]) from None
        if not 200 <= status < 300:
            raise NotDelivered(f"status {status}", is_gone=status == _GONE)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()


def message(event: Event) -> bytes:
    """Return the body for an event: the same at each attempt."""
    shape = event.shape()
    whole = {"type": event.type, "timestamp": shape["time"], "data": shape}
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()


def signed_headers(webhook: Webhook, event_id: int, body: bytes, now: int) -> dict[str, str]:
    """Return the headers that identify and sign a body sent at `now`, in seconds since 1970."""
    message_id = f"event_{event_id}"
    signed = f"{message_id}.{now}.".encode() + body
    signatures = (hmac.digest(secret, signed, hashlib.sha256) for secret in webhook.secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(now),
        "webhook-signature": " ".join(
            f"v1,{base64.b64encode(signature).decode()}" for signature in signatures
        ),
    }
