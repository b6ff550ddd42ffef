#!/bin/sh
# PostgreSQL's image runs this once, on an empty volume. The servers get a role that owns one database
# and has no other privileges.
set -eu
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres \
    --set password="$(cat "${DATABASE_PASSWORD_FILE:-/run/secrets/database_password}")" <<'SQL'
create role latchkey login password :'password';
create database latchkey owner latchkey;
SQL
