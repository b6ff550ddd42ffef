"""The core of a server: both stores and the objects that use them, composed in this one place.

The server, the commands, the tests and the benchmarks all open it here. `open_core` closes every
object that starts a task, a thread or a process, in the reverse order.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from store.access import Access
from store.accounts import Accounts
from store.admin import Admin
from store.challenges import Challenges
from store.directory import Directory
from store.event_log import EventLog
from store.event_writer import EventWriter
from store.factor_transfer import FactorTransfer
from store.fresh_sessions import FreshSessions
from store.idempotency import IdempotencyKeys
from store.identities import Identities
from store.identity_links import IdentityLinks
from store.images import Images
from store.introspection import Introspection
from store.jwt_sessions import JwtSessions
from store.jwt_tokens import JwtTokens
from store.limits import Limits, RateLimits
from store.link_effects import LinkEffects
from store.logins import Logins
from store.mail_queue import MailQueue, MailRules
from store.notices import Notices
from store.one_time_tokens import OneTimeTokens
from store.passkey_rules import PasskeyRules
from store.passkeys import Passkeys
from store.passwords import Passwords
from store.pictures import Pictures
from store.postgresql.database import Database, connect_database
from store.recovery import Recovery
from store.redis.client import Redis, connect_redis
from store.retry import retry
from store.schema import prepare
from store.second_factors import SecondFactors
from store.sessions import Sessions
from store.tokens import Tokens
from store.totp import TotpSecrets
from telemetry.observer import UNOBSERVED, Observer

Report = Callable[[str], None]
"""Called with one line when a store cannot be reached yet and is tried again."""


@dataclass(frozen=True, kw_only=True)
class CoreOptions:
    """The options of a core. Times are in seconds."""

    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    secret_keys: Sequence[str] = field(repr=False)
    database_pool: int
    redis_pool: int
    store_timeout: float
    start_timeout: float
    """How long connecting to an unavailable store is retried; 0 for one attempt."""
    lifetimes: Mapping[str, int]
    """How long a session of each kind lives."""
    sessions_per_account: int
    imported_tokens: bool
    jwt_keys: Sequence[str] = field(repr=False)
    """The keys of JWTs, where OWN stands for those of `secret_keys`; none if no dialect has any."""
    moved_at: float
    """When the back end was replaced whose refresh tokens are accepted, in seconds since 1970."""
    bcrypt_rounds: int
    password_wait: float
    picture_max_pixels: int
    rate_limits: RateLimits | None
    """None when attempts are not counted."""
    mail: MailRules
    passkeys: PasskeyRules
    events: EventWriter
    event_days: int
    """How long events are kept."""
    require_verified_email: bool
    """Whether an account whose e-mail is not verified cannot log in."""
    cores: int
    """The processor cores that this process may use for passwords and pictures."""
    decoder_environment: Mapping[str, str]
    """The environment of the processes that decode pictures. It must hold no secret."""


@dataclass(frozen=True)
class Core:
    """One process's connections to both stores, and the objects that use them."""

    database: Database
    redis: Redis
    tokens: Tokens
    sessions: Sessions
    passwords: Passwords
    images: Images
    accounts: Accounts
    pictures: Pictures
    limits: Limits | None
    mail: MailQueue
    events: EventLog
    one_time_tokens: OneTimeTokens
    factors: SecondFactors
    factor_transfer: FactorTransfer
    passkeys: Passkeys
    identities: Identities
    fresh_sessions: FreshSessions
    access: Access
    jwts: JwtSessions | None
    recovery: Recovery
    introspection: Introspection
    admin: Admin
    directory: Directory
    idempotency_keys: IdempotencyKeys


@contextlib.asynccontextmanager
async def open_core(
    options: CoreOptions,
    report: Report | None = None,
    observer: Observer = UNOBSERVED,
    *,
    redis_required: bool = True,
) -> AsyncIterator[Core]:
    """Connect to both stores, prepare the schema, and compose the core. Raises Unavailable.

    `observer` is called for each operation. Unless `redis_required`, Redis is connected to at its
    first use.
    """
    async with contextlib.AsyncExitStack() as closing:
        database = await _connect_database(options, report, observer)
        closing.push_async_callback(database.close)
        redis = await _connect_redis(options, report, observer, redis_required)
        closing.push_async_callback(redis.close)
        await prepare(database)
        limits = Limits(redis, *options.rate_limits) if options.rate_limits else None
        tokens = make_tokens(options)
        jwt_tokens = JwtTokens(options.jwt_keys, _keys(options)) if options.jwt_keys else None
        sessions = make_sessions(redis, tokens, options, observer, jwt_tokens)
        closing.push_async_callback(sessions.close)
        passwords = Passwords(options.bcrypt_rounds, options.cores, options.password_wait, observer)
        closing.callback(passwords.close)
        images = _make_images(options, observer)
        closing.callback(images.close)
        mail = MailQueue(database, options.mail)
        accounts = Accounts(database, mail, observer, options.events)
        closing.callback(accounts.close)
        directory = Directory(database, observer)
        closing.callback(directory.close)
        notices = Notices(sessions, mail, limits)
        one_time_tokens = OneTimeTokens(_keys(options))
        totp = TotpSecrets(_keys(options))
        factors = SecondFactors(database, totp, limits, notices, mail, options.events)
        links = IdentityLinks(database, notices, mail, options.events)
        logins = Logins(
            accounts,
            sessions,
            passwords,
            limits,
            notices,
            factors,
            one_time_tokens,
            links,
            observer,
            require_verified=options.require_verified_email,
        )
        access = Access(accounts, sessions, passwords, limits, notices, logins, observer)
        closing.callback(access.close)
        identities = Identities(redis, accounts, access, logins, links, limits, observer)
        jwts = None
        if jwt_tokens:
            jwts = JwtSessions(
                redis, jwt_tokens, sessions, accounts, access.caller_of, limits, options.moved_at
            )
        introspection = Introspection(access.authenticate, redis)
        closing.callback(introspection.close)
        challenges = Challenges(redis, _keys(options))
        passkeys = Passkeys(
            database, challenges, options.passkeys, notices, mail, options.events, limits
        )
        effects = LinkEffects(database, mail, options.events)
        recovery = Recovery(
            access, accounts, effects, passwords, one_time_tokens, mail, notices, factors, limits
        )
        yield Core(
            database=database,
            redis=redis,
            tokens=tokens,
            sessions=sessions,
            passwords=passwords,
            images=images,
            accounts=accounts,
            pictures=Pictures(database),
            limits=limits,
            mail=mail,
            events=EventLog(database, is_on=options.events.is_on, days=options.event_days),
            one_time_tokens=one_time_tokens,
            factors=factors,
            factor_transfer=FactorTransfer(database, totp, options.events),
            passkeys=passkeys,
            identities=identities,
            fresh_sessions=FreshSessions(redis),
            access=access,
            jwts=jwts,
            recovery=recovery,
            introspection=introspection,
            admin=Admin(accounts, sessions, passwords),
            directory=directory,
            idempotency_keys=IdempotencyKeys(database, _keys(options)),
        )


@contextlib.asynccontextmanager
async def open_database(
    options: CoreOptions, report: Report | None = None
) -> AsyncIterator[Database]:
    """Connect to PostgreSQL alone and prepare the schema. Raises Unavailable."""
    database = await _connect_database(options, report, UNOBSERVED)
    try:
        await prepare(database)
        yield database
    finally:
        await database.close()


def make_tokens(options: CoreOptions) -> Tokens:
    """Return the tokens under the options' secret keys."""
    return Tokens(_keys(options))


def _keys(options: CoreOptions) -> list[bytes]:
    return [key.encode() for key in options.secret_keys]


def make_sessions(
    redis: Redis,
    tokens: Tokens,
    options: CoreOptions,
    observer: Observer = UNOBSERVED,
    jwts: JwtTokens | None = None,
) -> Sessions:
    """Return the sessions in this Redis. Await their `close` before closing Redis."""
    return Sessions(
        redis,
        tokens,
        options.lifetimes,
        options.sessions_per_account,
        imported_tokens=options.imported_tokens,
        jwts=jwts,
        observer=observer,
    )


async def _connect_database(
    options: CoreOptions, report: Report | None, observer: Observer
) -> Database:
    return await retry(
        lambda: connect_database(
            options.database_url,
            options.database_pool,
            options.store_timeout,
            observer=observer,
        ),
        options.start_timeout,
        report or _ignore,
    )


async def _connect_redis(
    options: CoreOptions, report: Report | None, observer: Observer, required: bool
) -> Redis:
    return await retry(
        lambda: connect_redis(
            options.redis_url,
            options.redis_pool,
            options.store_timeout,
            at_once=required,
            observer=observer,
        ),
        options.start_timeout,
        report or _ignore,
    )


def _make_images(options: CoreOptions, observer: Observer) -> Images:
    return Images(
        max(1, options.cores // 2),
        options.password_wait,
        options.picture_max_pixels,
        options.decoder_environment,
        observer,
    )


def _ignore(_: str) -> None:
    pass
