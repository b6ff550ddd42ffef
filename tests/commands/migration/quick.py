"""Django's own hashers at a cost that tests can pay."""

from django.contrib.auth import hashers


class PBKDF2(hashers.PBKDF2PasswordHasher):
    iterations = 1000


class PBKDF2SHA1(hashers.PBKDF2SHA1PasswordHasher):
    iterations = 1000


class Argon2(hashers.Argon2PasswordHasher):
    time_cost, memory_cost, parallelism = 1, 1024, 1


class BCryptSHA256(hashers.BCryptSHA256PasswordHasher):
    rounds = 4


class BCrypt(hashers.BCryptPasswordHasher):
    rounds = 4


class Scrypt(hashers.ScryptPasswordHasher):
    work_factor = 2**10


BY_NAME = {
    each.algorithm: f"quick.{each.__name__}"
    for each in (PBKDF2, PBKDF2SHA1, Argon2, BCryptSHA256, BCrypt, Scrypt)
}
"""How a setting names each, by the name that stands in its hashes."""
