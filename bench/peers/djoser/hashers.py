"""The hash of registrations, as Django's "Increasing the work factor" page has it, but lower."""

from django.contrib.auth.hashers import BCryptSHA256PasswordHasher


class CheapHasher(BCryptSHA256PasswordHasher):
    rounds = 4
