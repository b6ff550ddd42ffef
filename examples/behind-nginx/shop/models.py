"""An order belongs to a user, by a foreign key to Django's own table."""

from django.conf import settings
from django.db import models


class Order(models.Model):
    """One order."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    article = models.CharField(max_length=100)

    class Meta:
        app_label = "shop"

    def __str__(self) -> str:
        return self.article
