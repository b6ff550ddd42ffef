#!/bin/sh
# Create the secrets for compose.yaml in secrets/ beside this file. Existing files are kept.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
cd secrets
printf '*\n' > .gitignore

# Compose mounts each file as it is, and its readers have other user IDs. Therefore the files are
# readable by everyone, and only their owner can enter the directory.
keep() {
    [ -s "$1" ] || { cat > "$1.new" && chmod 444 "$1.new" && mv "$1.new" "$1"; }
}

random() {
    od -An -v -tx1 -N 32 /dev/urandom | tr -d ' \n'
}

random | keep secret_keys
random | keep postgres_password
random | keep database_password
printf 'requirepass %s\n' "$(random)" | keep redis.conf
printf 'postgresql://latchkey:%s@postgresql/latchkey\n' "$(cat database_password)" | keep database_url
printf 'redis://:%s@redis:6379/0\n' "$(sed -n 's/^requirepass //p' redis.conf)" | keep redis_url
