"""The sender: a task that takes messages from the queue and delivers them, at least once.

No request waits for it. Several processes and servers may each run one: a message is claimed by
one of them at a time. docs/mail.md has the rules.
"""

import asyncio
import contextlib
import datetime
import logging
import random
from email.message import EmailMessage

from mail.links import Links
from mail.messages import Messages
from mail.settings import deliverable
from mail.tokens import make_token, still_fits
from mail.transport import Connection, DeliveryError, Rejected, Transport, Unreachable
from store.account import Account
from store.accounts import Accounts
from store.errors import Unavailable
from store.limits import Limits
from store.mail_queue import MailQueue, QueuedMail
from store.one_time_tokens import OneTimeTokens
from telemetry.mail_metrics import MailMetrics

BATCH = 10
"""Messages that are claimed together and sent over one connection."""
BATCH_SECONDS = 60.0
"""The longest time a batch takes, however slow the server is. After it, the rest is released."""
LEASE_SECONDS = 90.0
"""How long only one sender has a claimed message: longer than a batch, so that none is sent twice.
If the process is killed, another one sends its messages after this time."""
POLL_SECONDS = 5.0
"""How often the queue is read, for messages of other processes and for retries."""
WAKE_SECONDS = (0.1, 1.0)
"""The range of the random pause between a message and the batch that sends it. A message takes
the event loop 3.5 ms. Without the pause, the duration of the next request would reveal whether a
reset was for an account. Messages that are queued together also share a connection."""
FIRST_RETRY, LONGEST_RETRY = 30.0, 3600.0
"""Seconds until the second attempt, doubled for each further one, and the most they become."""
TRIED_FOR = datetime.timedelta(days=1)
"""How long a message is retried, counted from when it was queued."""
CLOSE_SECONDS = 3.0
"""How long the message in progress may still take when the server stops."""
_COUNT_SECONDS = 15.0

_log = logging.getLogger("latchkey.mail")


class _Dropped(Exception):
    """A message is not to be sent. `outcome` says why."""

    def __init__(self, outcome: str) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class MailSender:
    """Sends what is in the queue. `start` and `close` belong to the event loop that it runs on."""

    def __init__(
        self,
        queue: MailQueue,
        accounts: Accounts,
        tokens: OneTimeTokens,
        messages: Messages,
        links: Links,
        transport: Transport,
        metrics: MailMetrics,
        limits: Limits | None = None,
        *,
        batch_seconds: float = BATCH_SECONDS,
        lease_seconds: float = LEASE_SECONDS,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        """Compose a sender; the lease must be longer than a batch.

        Without `limits`, messages are not counted.
        """
        self._queue, self._accounts, self._tokens = queue, accounts, tokens
        self._messages, self.links, self._transport = messages, links, transport
        self._metrics, self._limits = metrics, limits
        self._batch_seconds, self._lease_seconds = batch_seconds, lease_seconds
        self._poll_seconds = poll_seconds
        self._woken = asyncio.Event()
        self._closing = asyncio.Event()
        self._delivered: set[int] = set()
        """Ids of messages whose delivery PostgreSQL could not record yet."""
        self._next_count = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to send."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def wake(self) -> None:
        """Have the queue read soon: this process has just queued a message."""
        self._woken.set()

    async def close(self) -> None:
        """Stop. The message in progress has CLOSE_SECONDS to be delivered."""
        self._closing.set()
        self._woken.set()
        if self._task:
            done, _ = await asyncio.wait((self._task,), timeout=CLOSE_SECONDS)
            if not done:
                self._task.cancel()
                await asyncio.wait((self._task,))

    async def _run(self) -> None:
        is_available = True
        while not self._closing.is_set():
            self._woken.clear()
            try:
                goes_on = await self._send_batch()
                await self._count()
                is_available = True
            except Unavailable as error:
                if is_available:  # one line for each outage
                    _log.warning("no mail is sent: %s", error)
                goes_on = is_available = False
            except Exception:
                _log.exception("mail could not be sent")  # a bug: the next batch may do without it
                goes_on = False
            if not goes_on and not self._closing.is_set():
                await self._pause()

    async def _pause(self) -> None:
        """Wait for POLL_SECONDS, or until soon after `wake`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), self._poll_seconds)
            delay = random.uniform(*WAKE_SECONDS)  # noqa: S311  # not a secret
            await asyncio.wait_for(self._closing.wait(), delay)

    async def _send_batch(self) -> bool:
        """Send some of what is due; return whether to look for more at once."""
        if not self.links.is_ready:
            return False
        for mail_id in list(self._delivered):
            await self._record(mail_id)
        batch = await self._queue.claim(BATCH, self._lease_seconds)
        if not batch:
            return False
        connection = self._transport.open()
        waiting = batch[::-1]
        try:
            async with asyncio.timeout(self._batch_seconds):
                while waiting and not self._closing.is_set():
                    await self._send(waiting[-1], connection)
                    waiting.pop()
        except Unreachable as problem:
            _log.warning("the mail server cannot be used: %s", problem)
            for mail in waiting:
                await self._retry(mail, problem)
            return False
        except TimeoutError:
            late = waiting.pop()
            if late.id not in self._delivered:
                await self._retry(late, DeliveryError("timeout"))
        finally:
            await connection.close()
        for mail in waiting:
            await self._queue.release(mail)
        return True

    async def _send(self, mail: QueuedMail, connection: Connection) -> None:
        """Deliver a message, drop it, or have it tried again. Raises Unreachable, Unavailable."""
        try:
            message = await self._compose(mail)
            await connection.deliver(mail, message)
        except _Dropped as dropped:
            await self._drop(mail, dropped.outcome, 0)
        except Rejected as error:
            await self._drop(mail, "refused", error.code)
        except Unreachable:
            raise
        except DeliveryError as error:
            await self._retry(mail, error)
        else:
            self._metrics.count(mail.kind, "sent")
            self._delivered.add(mail.id)
            await self._record(mail.id)

    async def _record(self, mail_id: int) -> None:
        """Record a delivery; if PostgreSQL is unavailable, again before the next batch."""
        await self._queue.delivered(mail_id)
        self._delivered.discard(mail_id)

    async def _compose(self, mail: QueuedMail) -> EmailMessage:
        """Return the message of a row. Raises _Dropped when it is not to be sent."""
        now = datetime.datetime.now(datetime.UTC)
        if mail.expires and mail.expires <= now:
            raise _Dropped("expired")
        account = await self._account_of(mail)
        if account is None or not account.is_active or not still_fits(mail, account):
            raise _Dropped("void")
        # The address that was typed may be another mailbox than the account's.
        address = account.email if mail.account_id is None else mail.address
        recipient = deliverable(address) if address else None
        if recipient is None:
            raise _Dropped("invalid_address")
        link = self._link(mail, account)
        if link is None:  # its option was removed since
            raise _Dropped("void")
        if mail.account_id is None and mail.attempts == 1:
            await self._count_request(account)
        return self._messages.compose(mail, recipient, link)

    async def _count_request(self, account: Account) -> None:
        """Count a link for its account, which nobody knew before. Raises _Dropped, DeliveryError.

        Messages of other kinds were counted when they were queued.
        """
        try:
            allowed = self._limits is None or await self._limits.may_mail_account(account.id)
        except Unavailable:  # Redis: the batch goes on, this message is tried again
            raise DeliveryError("unavailable") from None
        if not allowed:
            raise _Dropped("limited")

    def _link(self, mail: QueuedMail, account: Account) -> str | None:
        """Return the link of a message, "" for a kind without one; None if no option names one."""
        token = make_token(self._tokens, mail, account)
        if token is None:
            return ""
        return self.links.link(mail.kind, token, account.id, mail.dialect)

    async def _account_of(self, mail: QueuedMail) -> Account | None:
        """Return the account that a message is about; without an id, that of its address."""
        account_id = mail.account_id
        if account_id is None:
            ids = await self._accounts.ids_of("email", [mail.address])
            account_id = ids.get(mail.address)
        if account_id is None:
            return None
        deadline = asyncio.get_running_loop().time() + self._batch_seconds
        return (await self._accounts.get_many([account_id], deadline)).get(account_id)

    async def _drop(self, mail: QueuedMail, outcome: str, code: int) -> None:
        await self._queue.drop(mail.id)
        self._metrics.count(mail.kind, outcome)
        # Not of an unknown address, of a link that would do nothing, or of one message too many.
        if outcome not in ("void", "limited"):
            _log.warning(
                "mail dropped: %s, kind %s, row %d, account %s, SMTP code %d",
                outcome,
                mail.kind,
                mail.id,
                mail.account_id,
                code,
            )

    async def _retry(self, mail: QueuedMail, error: DeliveryError) -> None:
        """Schedule the next attempt, or drop the message after a day."""
        wait = min(FIRST_RETRY * 2 ** min(mail.attempts - 1, 20), LONGEST_RETRY)
        next_attempt = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=wait)
        if next_attempt > mail.created + TRIED_FOR:
            await self._drop(mail, "given_up", error.code)
            return
        await self._queue.failed(mail, wait)
        self._metrics.count(mail.kind, "retried")
        if not isinstance(error, Unreachable):  # that is logged once for the batch
            _log.warning(
                "mail deferred for %d s: %s, kind %s, row %d, account %s, SMTP code %d",
                wait,
                error.reason,
                mail.kind,
                mail.id,
                mail.account_id,
                error.code,
            )

    async def _count(self) -> None:
        """Update the metrics of the queue every 15 seconds."""
        now = asyncio.get_running_loop().time()
        if now >= self._next_count:
            self._next_count = now + _COUNT_SECONDS
            backlog = await self._queue.backlog()
            self._metrics.show_backlog(backlog.count, backlog.oldest_seconds)
