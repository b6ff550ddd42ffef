"""The user model, as Django's documentation has it for logins by e-mail."""

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.db import models


class People(BaseUserManager):
    """Makes accounts without a username."""

    def create_user(self, email: str, password: str | None = None, **more: object) -> "Person":
        """Create an account."""
        person = self.model(email=email, **more)
        person.set_password(password)
        person.save(using=self._db)
        return person


class Person(AbstractUser):
    """An account that is known by its e-mail."""

    username = None
    email = models.EmailField("email address", unique=True)
    objects = People()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = ("first_name",)
