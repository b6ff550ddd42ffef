-- One-time codes of an authenticator app, passkeys, and sign-in with the ID token of a provider.
alter table account add column if not exists second_factor boolean not null default false;

create table if not exists totp (
    account_id  bigint primary key references account on delete cascade,
    secret      bytea       not null,
    confirmed_at timestamptz,
    last_step   bigint      not null default 0,
    email       text
);

create table if not exists recovery_code (
    account_id  bigint      not null references totp on delete cascade,
    digest      bytea       not null,
    primary key (account_id, digest)
);

create table if not exists passkey (
    id          bytea       primary key,
    account_id  bigint      not null references account on delete cascade,
    public_key  bytea       not null,
    sign_count  bigint      not null,
    name        text        not null,
    created     timestamptz not null default now(),
    last_used   timestamptz
);
create index if not exists passkey_account on passkey (account_id);

create table if not exists identity (
    provider    text collate "C" not null,
    subject     text collate "C" not null,
    account_id  bigint      not null references account on delete cascade,
    created     timestamptz not null default now(),
    primary key (provider, subject)
);
create unique index if not exists identity_account on identity (account_id, provider);
