"""Composes the application, with one cleanup context for each resource."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web

import handlers
from handlers import app_keys
from handlers.body_memory import BODY_BYTES, BodyMemory
from handlers.breached_passwords import BreachedPasswords
from handlers.id_tokens import IdTokens
from handlers.internal.service_keys import SERVICE_KEYS
from handlers.new_passwords import BREACHED_PASSWORDS, PASSWORD_RULES
from handlers.proxies import PROXIES, Proxies
from handlers.system.health import READINESS, Readiness
from handlers.system.metrics import METRICS_ALLOW
from mail.links import Links
from options import core_options, mail_options
from settings import VERSION, BadSetting, Settings
from store.core import Core, Report, open_core
from store.identity import Provider
from store.mail_queue import ACTIVATE, KINDS, RENAME
from store.pruning import Prune, Pruner
from store.webhook_states import WebhookStates
from telemetry.log import REQUEST_LOGS
from telemetry.metrics import Metrics
from telemetry.observer import Observer
from webhooks.settings import Webhook

if TYPE_CHECKING:
    from mail.messages import Messages
    from telemetry.tracing import Tracing

CORE = web.AppKey("core", Core)
LINKS = web.AppKey("links", Links)
"""Present if this server sends mail."""


def create_app(settings: Settings, report: Report | None = None) -> web.Application:
    """Return the application. `settings` must have the URLs of both stores and a secret key.

    `report` is called with one line each time that a store is unavailable at the start, before the
    next attempt. Raises handlers.Conflict when two dialects claim one path.
    """
    app = web.Application()
    all_origins = settings.cors_origins == ("*",)
    app[app_keys.ALLOW_ORIGIN] = "*" if all_origins else ""
    app[app_keys.PUBLIC_URL] = settings.public_url
    app[app_keys.PRODUCT] = settings.product_name
    app[PROXIES] = Proxies(settings.trusted_proxies)
    app[app_keys.BODY_TIMEOUT] = settings.body_timeout
    app[app_keys.PICTURE_LIMITS] = app_keys.PictureLimits(
        settings.picture_max_bytes, settings.picture_timeout
    )
    app[app_keys.BODY_MEMORY] = BodyMemory(BODY_BYTES)
    app[app_keys.PICTURE_MEMORY] = BodyMemory(
        max(BODY_BYTES, 4 * app[app_keys.PICTURE_LIMITS].body_bytes)
    )
    app[app_keys.DRAINING] = asyncio.Event()
    tracing = _make_tracing(app, settings)
    app[app_keys.REQUEST_LOG] = REQUEST_LOGS[settings.log_requests](
        sys.stderr,
        as_json=settings.log_format == "json",
        trace_id=tracing.current_trace_id if tracing else None,
    )
    metrics = app[app_keys.METRICS] = Metrics(shared=settings.workers > 1, version=VERSION)
    metrics.stores.set_pool_sizes(postgresql=settings.database_pool, redis=settings.redis_pool)
    app[METRICS_ALLOW] = settings.metrics_allow
    observer = tracing.store_spans(metrics.stores) if tracing else metrics.stores
    app[PASSWORD_RULES] = settings.password_rules
    app[app_keys.REQUIRE_VERIFIED_EMAIL] = settings.require_verified_email == "on"
    app[SERVICE_KEYS] = settings.service_keys
    handlers.mount(
        app,
        settings.dialects,
        pages=settings.pages,
        with_docs=settings.docs == "on",
        internal_port=settings.internal_port,
    )
    credentials = handlers.allows_credentials(settings.dialects)
    app[app_keys.COOKIE_ORIGINS] = frozenset(settings.cors_origins if credentials else ())
    if not all_origins:
        from handlers import cors  # noqa: PLC0415  # most servers allow all origins

        cors.restrict_origins(app, settings.cors_origins, credentials=credentials)
    # Opened in this order at the start, closed in the reverse order.
    if tracing:
        app.cleanup_ctx.append(partial(_send_spans, tracing))
    app.cleanup_ctx.append(partial(_open_core, settings, report, observer))
    if mail_options(settings).problem is None:
        app.cleanup_ctx.append(_send_mail(app, settings))
    if settings.events == "on":
        app.cleanup_ctx.append(partial(_prune, "events", lambda core: core.events.prune))
    if settings.service_keys:
        app.cleanup_ctx.append(
            partial(_prune, "requests of services", lambda core: core.idempotency_keys.prune)
        )
    if settings.webhooks:
        app.cleanup_ctx.append(partial(_send_events, settings.webhooks))
    if settings.oidc_providers:
        app.cleanup_ctx.append(partial(_verify_id_tokens, settings.oidc_providers))
    if settings.breached_passwords:
        app.cleanup_ctx.append(partial(_ask_about_breaches, settings.breached_passwords, observer))
    app.cleanup_ctx.append(_flush)
    app.cleanup_ctx.append(_open_readiness)
    return app


async def _send_spans(tracing: "Tracing", app: web.Application) -> AsyncIterator[None]:
    async with contextlib.AsyncExitStack() as closing:
        with _bad_tracing_setting():
            await closing.enter_async_context(tracing.sending())
        yield


async def _open_core(
    settings: Settings, report: Report | None, observer: Observer, app: web.Application
) -> AsyncIterator[None]:
    async with open_core(core_options(settings), report, observer) as core:
        app[CORE] = core
        app[app_keys.ACCESS], app[app_keys.ACCOUNTS] = core.access, core.accounts
        app[app_keys.PICTURES], app[app_keys.IMAGES] = core.pictures, core.images
        app[app_keys.RECOVERY], app[app_keys.FACTORS] = core.recovery, core.factors
        app[app_keys.PASSKEYS], app[app_keys.IDENTITIES] = core.passkeys, core.identities
        app[app_keys.FRESH_SESSIONS] = core.fresh_sessions
        app[app_keys.ADMIN], app[app_keys.DIRECTORY] = core.admin, core.directory
        app[app_keys.IDEMPOTENCY_KEYS] = core.idempotency_keys
        if core.limits:
            app[app_keys.LIMITS] = core.limits
        if core.jwts:
            app[app_keys.JWTS] = core.jwts
        app[app_keys.INTROSPECTION] = core.introspection
        app[app_keys.EVENTS] = core.events
        yield


async def _prune(
    rows: str, prune_of: Callable[[Core], Prune], app: web.Application
) -> AsyncIterator[None]:
    pruner = Pruner(rows, prune_of(app[CORE]))
    pruner.start()
    yield
    await pruner.close()


async def _send_events(webhooks: Sequence[Webhook], app: web.Application) -> AsyncIterator[None]:
    from webhooks.sender import WebhookSender  # noqa: PLC0415  # only a server with webhooks

    core, metrics = app[CORE], app[app_keys.METRICS].webhooks
    sender = WebhookSender(webhooks, core.events, WebhookStates(core.database), metrics)
    sender.start()
    yield
    await sender.close()


async def _verify_id_tokens(
    providers: Sequence[Provider], app: web.Application
) -> AsyncIterator[None]:
    async with IdTokens(providers) as id_tokens:
        app[CORE].identities.verify = id_tokens.verify
        yield


async def _ask_about_breaches(
    url: str, observer: Observer, app: web.Application
) -> AsyncIterator[None]:
    async with BreachedPasswords(url, observer) as breached:
        app[BREACHED_PASSWORDS] = breached
        yield


def _send_mail(
    app: web.Application, settings: Settings
) -> Callable[[web.Application], AsyncIterator[None]]:
    """Return the cleanup context of the sender, whose templates and links are ready already."""
    from mail.sender import MailSender  # noqa: PLC0415  # only a server that sends mail loads it
    from mail.transport import make_transport  # noqa: PLC0415

    options = mail_options(settings)
    messages = make_messages(settings)
    links = app[LINKS] = Links(options, settings.port, handlers.links(settings.dialects))
    metrics = app[app_keys.METRICS].mail

    async def send(app: web.Application) -> AsyncIterator[None]:
        core = app[CORE]
        sender = MailSender(
            core.mail,
            core.accounts,
            core.one_time_tokens,
            messages,
            links,
            make_transport(options),
            metrics,
            core.limits,
        )
        sender.start()
        core.mail.wake = sender.wake
        yield
        await sender.close()

    return send


def tell_port(app: web.Application, port: int) -> None:
    """Have links begin with the port that the server listens on; PORT=0 does not name it."""
    if LINKS in app:
        app[LINKS].port = port


def make_messages(settings: Settings) -> "Messages":
    """Return what composes messages. Raises BadSetting when a template cannot be used.

    Templates for the links of dialects are needed only where an option gives such a link.
    """
    from mail.messages import BadTemplate, Messages  # noqa: PLC0415

    absent = {ACTIVATE, RENAME} - {kind for _, kind in handlers.links(settings.dialects)}
    try:
        return Messages(mail_options(settings), [kind for kind in KINDS if kind not in absent])
    except BadTemplate as problem:
        raise BadSetting(f"MAIL_TEMPLATES and MAIL_LANGUAGE: {problem}") from None


async def _flush(app: web.Application) -> AsyncIterator[None]:
    yield
    app[app_keys.METRICS].flush()
    app[app_keys.REQUEST_LOG].flush()


async def _open_readiness(app: web.Application) -> AsyncIterator[None]:
    core = app[CORE]
    readiness = Readiness({"postgresql": core.database.ping, "redis": core.redis.ping})
    app[READINESS] = readiness
    yield
    await readiness.close()


def _make_tracing(app: web.Application, settings: Settings) -> "Tracing | None":
    """Return the tracing, or None when it is off: OpenTelemetry is not imported then."""
    if settings.tracing == "off":
        return None
    from telemetry.tracing import Tracing  # noqa: PLC0415

    with _bad_tracing_setting():
        tracing = app[app_keys.TRACING] = Tracing()
    return tracing


@contextlib.contextmanager
def _bad_tracing_setting() -> Iterator[None]:
    """Raise BadSetting for an invalid setting of OpenTelemetry, as for one of this program."""
    try:
        yield
    except ValueError as problem:
        raise BadSetting(f"TRACING is on, and OpenTelemetry says: {problem}") from None
