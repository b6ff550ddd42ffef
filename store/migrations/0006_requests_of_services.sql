-- Pages of accounts that are active, or are not.
create index if not exists account_active on account (is_active, id);

-- Requests of services with an Idempotency-Key.
create table if not exists idempotent_request (
    service       text collate "C" not null,
    key           text collate "C" not null,
    digest        bytea       not null,
    account_id    bigint      not null,
    session_epoch bigint      not null,
    created       timestamptz not null default now(),
    leased_until  timestamptz not null,
    status        integer,
    location      text,
    body          bytea,
    primary key (service, key)
);
create index if not exists idempotent_request_created on idempotent_request (created);
