-- Names are folded in Python, so store/refold.py refolds them after this migration, in batches.
alter table schema_version add column if not exists folding integer not null default 1;
