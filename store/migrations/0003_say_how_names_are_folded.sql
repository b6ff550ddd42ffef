-- Names are folded in Python, and so refolded: store/refold.py does it after this, in batches.
alter table schema_version add column if not exists folding integer not null default 1;
