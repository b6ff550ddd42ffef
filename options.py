"""What the settings mean for the core, and for e-mail."""

import handlers
from handlers.passkey_origins import first_host
from mail.settings import MailOptions
from settings import Settings
from store.core import CoreOptions
from store.event_writer import EventWriter
from store.limits import RateLimits
from store.mail_queue import MailRules
from store.passkey_rules import PasskeyRules
from store.threads import usable_cores

NOBODY = "no-reply@localhost"
"""The sender of messages in files, if MAIL_FROM names no other."""


def core_options(settings: Settings) -> CoreOptions:
    """Return the options of the core of one worker process."""
    limits = RateLimits(
        settings.login_limit,
        settings.address_limit,
        settings.register_limit,
        settings.refresh_limit,
        settings.mail_limit,
        settings.code_limit,
    )
    return CoreOptions(
        database_url=settings.database_url,
        redis_url=settings.redis_url,
        secret_keys=settings.secret_keys,
        database_pool=settings.database_pool,
        redis_pool=settings.redis_pool,
        store_timeout=settings.store_timeout,
        start_timeout=settings.start_timeout,
        lifetimes=settings.lifetimes,
        sessions_per_account=settings.sessions_per_account,
        imported_tokens=settings.imported_tokens == "on",
        jwt_keys=settings.jwt_signing_keys if handlers.issue_jwts(settings.dialects) else (),
        moved_at=settings.jwt_moved_at,
        bcrypt_rounds=settings.bcrypt_rounds,
        password_wait=settings.password_wait,
        picture_max_pixels=settings.picture_max_pixels,
        rate_limits=limits if settings.rate_limits == "on" else None,
        mail=MailRules(
            mail_options(settings).problem,
            settings.verify_link_lifetime,
            settings.reset_link_lifetime,
            settings.device_notices == "on",
        ),
        passkeys=PasskeyRules(
            settings.passkey_rp_id or first_host(settings.passkey_origins),
            settings.product_name,
            settings.passkey_origins,
        ),
        events=EventWriter(settings.events == "on"),
        event_days=settings.event_days,
        require_verified_email=settings.require_verified_email == "on",
        cores=max(1, usable_cores() // settings.workers),
        decoder_environment=settings.decoder_environment,
    )


def mail_options(settings: Settings) -> MailOptions:
    """Return what messages are made of and how they are sent."""
    return MailOptions(
        url=settings.mail_url,
        sender=settings.mail_from or NOBODY,
        templates=settings.mail_templates,
        language=settings.mail_language,
        product=settings.product_name,
        verify_url=settings.verify_url,
        reset_url=settings.reset_url,
        public_url=settings.public_url or settings.own_url,
    )
