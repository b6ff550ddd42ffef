"""The embedded stores: PostgreSQL, and Valkey as the Redis, from wheels, on unix sockets.

They work in a data directory, keep their data between runs and serve this user only. Stores that a
killed run left behind are taken over.
"""

from store.embedded.directory import data_directory, postgresql_url, redis_url, secret_key
from store.embedded.postgresql_server import postgresql
from store.embedded.programs import CantRun, DataDirectoryInUse, check_installed
from store.embedded.valkey_server import redis, valkey_program

__all__ = [
    "CantRun",
    "DataDirectoryInUse",
    "check_installed",
    "data_directory",
    "postgresql",
    "postgresql_url",
    "redis",
    "redis_url",
    "secret_key",
    "valkey_program",
]
