#!/bin/sh
# Run once by PostgreSQL's image, on an empty volume: the servers get a role that owns one database
# and may do nothing besides.
set -eu
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres \
    --set password="$(cat "${DATABASE_PASSWORD_FILE:-/run/secrets/database_password}")" <<'SQL'
create role latchkey login password :'password';
create database latchkey owner latchkey;
SQL
