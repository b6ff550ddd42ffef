"""A sender in a process of its own: `python -m tests.mail.sender_process <JSON of settings>`."""

import asyncio
import json
import sys

from prometheus_client import CollectorRegistry

from mail.links import Links
from mail.messages import Messages
from mail.sender import MailSender
from mail.transport import make_transport
from options import core_options, mail_options
from settings import Settings
from store.core import open_core
from telemetry.mail_metrics import MailMetrics

BATCH_SECONDS, LEASE_SECONDS = 1.0, 2.0


async def main() -> None:
    settings = Settings(**json.loads(sys.argv[1]))
    options = mail_options(settings)
    async with open_core(core_options(settings)) as core:
        sender = MailSender(
            core.mail,
            core.accounts,
            core.one_time_tokens,
            Messages(options),
            Links(options, settings.port),
            make_transport(options),
            MailMetrics(CollectorRegistry()),
            batch_seconds=BATCH_SECONDS,
            lease_seconds=LEASE_SECONDS,
            poll_seconds=0.1,
        )
        sender.start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
