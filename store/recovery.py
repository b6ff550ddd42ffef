"""What links in e-mails are for: verify an address, change it, reset a forgotten password.

The tokens are stateless (store/one_time_tokens.py), the messages are rows (store/mail_queue.py).
Without e-mail every method that would send some raises Unavailable.
"""

from collections.abc import Sequence

from store.access import Access
from store.account import Account
from store.accounts import Accounts
from store.authentication import Caller
from store.client import Client
from store.errors import LinkExpired, LinkInvalid, SecondFactorRequired, Taken, Unstorable
from store.limits import Limits
from store.link_effects import LinkEffects
from store.mail_queue import RESET, MailQueue
from store.names import FOLD, fold_email, is_valid_name
from store.notices import Notices
from store.one_time_tokens import OneTimeToken, OneTimeTokens, Purpose
from store.passwords import Passwords
from store.second_factors import SecondFactors
from store.session_record import IssuedToken, SessionSpec


class Recovery:
    """Sends links and does what they are for. Every method raises Unavailable."""

    def __init__(
        self,
        access: Access,
        accounts: Accounts,
        effects: LinkEffects,
        passwords: Passwords,
        tokens: OneTimeTokens,
        mail: MailQueue,
        notices: Notices,
        factors: SecondFactors,
        limits: Limits | None = None,
    ) -> None:
        """Compose recovery; without `limits`, attempts are not counted."""
        self._access = access
        self._accounts = accounts
        self._effects = effects
        self._passwords = passwords
        self._tokens = tokens
        self._mail = mail
        self._notices = notices
        self._factors = factors
        self._limits = limits

    @property
    def sends_mail(self) -> bool:
        """Whether this server sends mail."""
        return self._mail.rules.problem is None

    async def send_verification(self, caller: Caller) -> None:
        """Send the caller's address the link that verifies it; nothing if it has none or is.

        Past the limit of messages nothing is sent, and nothing says so.
        """
        self._mail.require()
        account = caller.account
        details = await self._accounts.details(account.id)
        if details is None or not details.email or details.email_verified_at:
            return
        if await self._notices.may_send(details.email, account.id):
            await self._mail.add("verify", details.email, account_id=account.id)

    async def request_change(
        self, caller: Caller, email: str, client: Client, dialect: str | None = None
    ) -> None:
        """Send a link to a new address, which replaces the old one when the link is used.

        The link is that of the dialect, if one is given. Raises Taken, Unstorable, RateLimited.
        """
        await self._request_change(caller.account, email, client, dialect)

    async def _request_change(
        self, account: Account, email: str, client: Client, dialect: str | None
    ) -> None:
        self._mail.require()
        if self._limits:
            await self._limits.change_name(account.id, client)
        if not is_valid_name(email):
            raise Unstorable("email")
        owners = await self._accounts.ids_of("email", [email])
        if owners.get(email, account.id) != account.id:
            raise Taken(frozenset({"email"}))
        if await self._notices.may_send(email, account.id):
            await self._mail.add(
                "change",
                email,
                account_id=account.id,
                session_epoch=account.epoch,
                previous=fold_email(account.email) if account.email else None,
                dialect=dialect,
            )

    async def verify(self, token: str) -> Account:
        """Do what a link's token says: verify an address, or change to a new one.

        A token that has had its effect is accepted again. Raises LinkInvalid, LinkExpired, Taken.
        """
        for _ in range(2):  # a concurrent use of the link may have its effect in between
            parsed, account = await self._check(token, Purpose.VERIFY, Purpose.CHANGE)
            if parsed.purpose is Purpose.CHANGE and parsed.address != account.email:
                effect = self._effects.change_email(account, parsed.address, parsed.requested)
            elif account.email_verified:
                return account  # a link that is used again writes nothing
            else:
                effect = self._effects.verify(account)
            changed = await effect
            if changed is not None:
                return changed
        raise LinkInvalid

    async def verify_once(self, token: str) -> bool:
        """Verify an address by a link's token.

        Return False for a token that is not valid, and for one that has had its effect.
        """
        try:
            _, account = await self._check(token, Purpose.VERIFY)
        except (LinkInvalid, LinkExpired):
            return False
        return not account.email_verified and await self._effects.verify(account) is not None

    def require_mail(self) -> None:
        """Raise Unavailable unless this server sends mail."""
        self._mail.require()

    def require_owner(self, token: str, account_id: int) -> None:
        """Raise LinkInvalid unless a link's token is of this account. It may be void all the same.

        For clients that send the account's id beside the token.
        """
        if self._tokens.parse(token, *Purpose).account_id != account_id:
            raise LinkInvalid

    async def activate(self, token: str) -> bool:
        """Activate an account by a link's token, or change to the new address that it says.

        Return False when the account is activated already. Raises LinkInvalid, LinkExpired, Taken.
        """
        parsed, account = await self._check(token, Purpose.ACTIVATE, Purpose.CHANGE)
        if parsed.purpose is Purpose.CHANGE:
            await self.verify(token)
            return True
        return not account.activated and await self._effects.activate(account) is not None

    async def request_reset(
        self, email: str, client: Client, kind: str = RESET, dialect: str | None = None
    ) -> None:
        """Send a link to an address, if an account has it; the sender looks for the account.

        `kind` is that of the message: a new password, another username, or the activation. The link
        is that of the dialect, if one is given. What is done here, and how long it takes, is the
        same for every address. Past the limit of resets nothing is sent, and nothing says so.
        Raises Unstorable, RateLimited.
        """
        self._mail.require()
        if self._limits:
            await self._limits.request_reset(client)
        if not is_valid_name(email):
            raise Unstorable("email")
        await self.send_reset(email, kind, dialect)

    async def send_reset(self, email: str, kind: str = RESET, dialect: str | None = None) -> None:
        """Send a link to an address, if an account has it, without counting the client.

        Past the limit of resets nothing is sent, and nothing says so.
        """
        self._mail.require()
        if self._limits is None or await self._limits.may_reset(email):
            await self._mail.add(kind, email, dialect=dialect)

    async def check_reset(self, token: str) -> Account:
        """Return the account whose password a token may reset. Raises LinkInvalid, LinkExpired."""
        _, account = await self._check(token, Purpose.RESET)
        return account

    async def change_name(
        self, token: str, field: str, name: str, client: Client, confirm_by: str = ""
    ) -> None:
        """Give an account another username or e-mail by a link's token.

        With `confirm_by`, another e-mail counts once the link of this dialect was used that is sent
        to it. The account's own name counts as taken. Raises LinkInvalid, LinkExpired, Taken,
        Unstorable, RateLimited.
        """
        _, account = await self._check(token, Purpose.USERNAME)
        kept = getattr(account, field)
        if kept and is_valid_name(name) and FOLD[field](name) == FOLD[field](kept):
            raise Taken(frozenset({field}))
        if confirm_by and field == "email":
            return await self._request_change(account, name, client, confirm_by)
        if self._limits:
            await self._limits.change_name(account.id, client)
        if await self._effects.change_name(account, field, name) is None:
            raise LinkInvalid
        return None

    async def reset(
        self,
        token: str,
        password: str,
        specs: Sequence[SessionSpec],
        client: Client,
        code: str = "",
    ) -> tuple[Account, list[IssuedToken]]:
        """Set a new password, end every session, and open new ones.

        Sessions are opened only with the code of the account's second factor, if that stays
        (SecondFactors.outlives_reset).
        Raises LinkInvalid, LinkExpired, SecondFactorRequired, WrongCode, Unstorable, Busy,
        RateLimited.
        """
        account = await self.check_reset(token)
        if specs and await self._factors.outlives_reset(account):
            await self._verify_factor(account, code)
        if self._limits:
            await self._limits.change_password(account.id, client)
        hash = await self._passwords.hash(password, client)
        await self._access.require_sessions(account)  # without Redis the link stays unused
        changed = await self._effects.reset_password(account, hash)
        if changed is None:
            raise LinkInvalid
        return changed, await self._access.open_after_raise(changed, specs)

    async def _verify_factor(self, account: Account, code: str) -> None:
        methods = (await self._factors.factors_of(account.id)).methods
        if methods and not code:
            raise SecondFactorRequired(methods)
        if methods:
            await self._factors.verify(account.id, code)

    async def _check(self, token: str, *purposes: Purpose) -> tuple[OneTimeToken, Account]:
        parsed = self._tokens.parse(token, *purposes)
        account = await self._accounts.get(parsed.account_id)
        self._tokens.check(parsed, account)
        if account is None or not account.is_active:
            raise LinkInvalid
        if not account.activated and parsed.purpose is not Purpose.ACTIVATE:
            raise LinkInvalid
        return parsed, account
