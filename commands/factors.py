"""`factors`: show or remove an account's second factors; import and export all secrets."""

import dataclasses
from argparse import ArgumentParser, Namespace

from commands.console import CommandError, as_json
from commands.naming import NAME_HELP, find, names_of
from commands.runner import command, on_core
from commands.transfer import factor_files
from store.core import Core

RESET = """\
Remove the second factor of an account, its recovery codes and its passkeys, for an owner who has
lost them. Sessions stay open. The owner is told by e-mail, if this server sends any."""


def add(parser: ArgumentParser) -> None:
    """Describe the command's arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    show = actions.add_parser("show", help="print an account's second factor and passkeys, as JSON")
    reset = actions.add_parser("reset", help="remove them", description=RESET)
    reset.add_argument("--json", action="store_true", help="print JSON")
    for action, run in ((show, _show), (reset, _reset)):
        action.add_argument("name", metavar="NAME", help=NAME_HELP)
        action.set_defaults(run=command(on_core(run), needs_redis=False))
    factor_files.add_import(
        actions.add_parser("import", help="import secrets of authenticator apps")
    )
    factor_files.add_export(actions.add_parser("export", help="export them, readable"))


async def _show(core: Core, chosen: Namespace) -> str:
    account = await find(core.accounts, chosen.name)
    factors = await core.factors.factors_of(account.id)
    passkeys = [
        dataclasses.asdict(each) for each in await core.passkeys.list_by_account(account.id)
    ]
    return as_json({**dataclasses.asdict(factors), "passkeys": passkeys}, indent=2)


async def _reset(core: Core, chosen: Namespace) -> str:
    account = await find(core.accounts, chosen.name)
    if not await core.factors.reset(account.id):
        raise CommandError(f"{names_of(account)} has no second factor and no passkey")
    if chosen.json:
        return as_json({"id": account.id, "factors": "removed"}, indent=2)
    return f"{names_of(account)} has no second factor and no passkeys any more"
