"""Which messages a change causes: none without e-mail, and none past the limit of messages."""

from collections.abc import Sequence

from store.account import Account
from store.authentication import Caller, resolve_caller
from store.limits import Limits
from store.mail_queue import ACTIVATE, DialectMail, Mail, MailQueue
from store.session_record import SessionSpec
from store.sessions import Sessions


class Notices:
    """Decides on messages. Every method raises Unavailable."""

    def __init__(self, sessions: Sessions, mail: MailQueue, limits: Limits | None = None) -> None:
        """Compose notices; without `limits`, messages are not counted."""
        self._sessions = sessions
        self._mail = mail
        self._limits = limits

    async def may_send(self, address: str, account_id: int | None = None) -> bool:
        """Count a message; return whether to send it. Nobody is told of one that is not sent."""
        if self._mail.rules.problem:
            return False
        return self._limits is None or await self._limits.may_mail(address, account_id)

    async def for_registration(
        self, email: str | None, dialect: str = "", *, activate: bool = False
    ) -> Mail | None:
        """Return the message of a registration: a link that verifies an address.

        The link is that of the dialect, if one is given. With `activate`, it activates the account
        as well, and without e-mail Unavailable is raised.
        """
        if activate:
            self._mail.require()
        if not email or not await self.may_send(email):
            return None
        kind = ACTIVATE if activate else "verify"
        return DialectMail(kind, dialect) if dialect else kind

    async def for_login(self, account: Account, specs: Sequence[SessionSpec]) -> str | None:
        """Return the kind of message that a login causes: on a device that has no live session."""
        label = specs[0].device
        if label is None or not account.email or not self._mail.rules.device_notices:
            return None
        accounts = {account.id: account}
        known = {
            session.device
            for session, _ in await self._sessions.list_by_account(account.id)
            if isinstance(resolve_caller(session, accounts), Caller)
        }
        if label in known:
            return None
        return "device" if await self._may_notify(account.id) else None

    async def for_new_password(self, account: Account) -> str | None:
        """Return the kind of message that a change of the password causes."""
        return "password" if account.email and await self._may_notify(account.id) else None

    async def for_factor(self, account: Account, kind: str) -> str | None:
        """Return the kind of message that a change of the second factor causes."""
        return kind if account.email and await self._may_notify(account.id) else None

    async def _may_notify(self, account_id: int) -> bool:
        if self._mail.rules.problem:
            return False
        return self._limits is None or await self._limits.may_notify(account_id)
