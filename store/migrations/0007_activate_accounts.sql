-- Accounts that wait for the link of an e-mail, and links of dialects.
alter table account add column if not exists activated boolean not null default true;
alter table mail add column if not exists dialect text;
