"""Configures Django, once for a process: tests that use parts of it import this."""

from django.conf import settings

_HASHERS = (
    "PBKDF2PasswordHasher",
    "PBKDF2SHA1PasswordHasher",
    "Argon2PasswordHasher",
    "BCryptSHA256PasswordHasher",
    "BCryptPasswordHasher",
    "ScryptPasswordHasher",
)

settings.configure(
    ALLOWED_HOSTS=["*"],
    USE_I18N=False,
    PASSWORD_HASHERS=[f"django.contrib.auth.hashers.{name}" for name in _HASHERS],
)
