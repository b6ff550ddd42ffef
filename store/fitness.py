"""Whether this server can work in a database: its encoding, its tables and the role's rights."""

from collections.abc import Awaitable, Callable
from typing import Any

Execute = Callable[..., Awaitable[list[tuple[Any, ...]]]]

COLUMNS = {
    "schema_version": "only_row version folding",
    "account": "id username email username_folded email_folded password session_epoch is_active "
    "activated is_staff is_superuser first_name last_name created modified last_login group_name "
    "is_admin towns days_count groups user_permissions cellar wants address address2 city state "
    "zipcode picture_id kept_session email_verified_at last_event second_factor",
    "picture": "id account_id side_512 side_256 side_64 created",
    "gallery": "id group name picture_id",
    "mail": "id kind dialect account_id address session_epoch previous expires created due "
    "attempts",
    "event": "id transaction time type account_id username actor_type actor_name data",
    "event_retention": "only_row transaction event_id",
    "webhook": "name transaction event_id failures failing_since due paused problem leased_by "
    "leased_until",
    "idempotent_request": "service key digest account_id session_epoch created leased_until "
    "status location body",
    "totp": "account_id secret confirmed_at last_step email",
    "recovery_code": "account_id digest",
    "passkey": "id account_id public_key sign_count name created last_used",
    "identity": "provider subject account_id created",
}
"""The tables and columns that schema.sql creates."""
LATER = {
    "schema_version": "folding",
    "account": "kept_session email_verified_at last_event activated second_factor",
    "mail": "dialect",
}
"""The columns that a migration adds to a table of an older release."""
LATER_TABLES = frozenset(
    {
        "mail",
        "event",
        "event_retention",
        "webhook",
        "idempotent_request",
        "totp",
        "recovery_code",
        "passkey",
        "identity",
    }
)
"""The tables that a migration creates in a database of an older release."""
PRIVILEGES = {
    "schema_version": "select",
    "account": "select insert update delete",
    "picture": "select insert delete",
    "gallery": "select",
    "mail": "select insert update delete",
    "event": "select insert update delete",
    "event_retention": "select update",
    "webhook": "select insert update",
    "idempotent_request": "select insert update delete",
    "totp": "select insert update delete",
    "recovery_code": "select insert delete",
    "passkey": "select insert update delete",
    "identity": "select insert delete",
}
"""The privileges that a server uses. Some may be granted for single columns."""
SEQUENCE = "account_id"

_LOOK = """select name, to_regclass(name) is not null,
       array(select attname::text from pg_attribute
              where attrelid = to_regclass(name) and attnum > 0 and not attisdropped),
       array(select privilege from unnest(array['select', 'insert', 'update', 'delete']) privilege
              where has_table_privilege(to_regclass(name), privilege)
                 or case privilege when 'delete' then false
                    else has_any_column_privilege(to_regclass(name), privilege) end),
       (select pg_has_role(relowner, 'usage') from pg_class where oid = to_regclass(name)),
       has_sequence_privilege(to_regclass(%(sequence)s), 'usage'),
       current_setting('server_encoding'), current_schema()::text,
       has_schema_privilege(current_schema()::text, 'usage')
           and has_schema_privilege(current_schema()::text, 'create')
  from unnest(%(tables)s::text[]) name"""


async def unusable_reason(
    execute: Execute, *, is_made: bool, must_migrate: bool = False
) -> str | None:
    """Return why a server cannot work in this database, None when it can.

    `execute` runs a statement and returns its rows. `is_made` says that the schema exists,
    `must_migrate` that it is of an older release.
    """
    tables = await execute(_LOOK, {"tables": list(COLUMNS), "sequence": SEQUENCE})
    *_, may_count, encoding, schema, may_create = tables[0]
    if encoding != "UTF8":
        return f"the database's encoding is {encoding}: it must be UTF8, for names in any script"
    if not is_made:
        for name, is_there, *_ in tables:
            if is_there:
                return (
                    f"it has a table {name} that this server did not create: use another database"
                )
        if schema is None:
            return "no schema of the search_path exists, or the role may not use it"
        return None if may_create else f"the role may not create tables in the schema {schema}"
    for name, is_there, columns, privileges, is_owner, *_ in tables:
        if name == "schema_version" and not is_there:
            continue  # the first release had none
        if must_migrate and not is_there and name in LATER_TABLES:
            continue
        if must_migrate and is_there and not is_owner:
            return f"the role does not own the table {name}, which this release migrates"
        missing = set(COLUMNS[name].split()) - set(columns)
        if must_migrate:
            missing -= set(LATER.get(name, "").split())
        if missing:
            return f"its table {name} has no column {min(missing)}: this server did not create it"
        if lacking := set(PRIVILEGES[name].split()) - set(privileges):
            return f"the role has no {min(lacking)} privilege on the table {name}"
    return None if may_count else f"the role may not use the sequence {SEQUENCE}"
