"""The embedded stores: PostgreSQL, and Valkey as the Redis, from wheels, on unix sockets.

They work in a data directory, keep their data between runs and serve this user only. Stores that a
killed run left behind are taken over.
"""

from embedded.data_directory import open_data_directory, postgresql_url, redis_url, secret_key
from embedded.postgresql import run_postgresql
from embedded.programs import DataDirectoryInUse, EmbeddedStoreError, check_installed
from embedded.redis import run_redis, valkey_program

__all__ = [
    "DataDirectoryInUse",
    "EmbeddedStoreError",
    "check_installed",
    "open_data_directory",
    "postgresql_url",
    "redis_url",
    "run_postgresql",
    "run_redis",
    "secret_key",
    "valkey_program",
]
