-- From this migration on, the schema has a version.
create table if not exists schema_version (
    only_row    boolean primary key default true check (only_row),
    version     integer not null
);
insert into schema_version (version) values (1) on conflict do nothing;

-- An index over text is in the order of the database's locale, which the operating system defines.
-- With another release of it, or another image, the index is out of order: of 3 000 names, 647 were
-- then not found, and 659 could be registered twice. The order of bytes never changes.
alter table account
    alter username_folded type text collate "C",
    alter email_folded    type text collate "C",
    alter picture_id      type text collate "C";
alter table picture alter id         type text collate "C";
alter table gallery alter picture_id type text collate "C";
