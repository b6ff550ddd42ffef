"""The caller, from the headers that nginx sets."""

from django.contrib.auth.models import User
from rest_framework.authentication import BaseAuthentication


class LatchkeyAuthentication(BaseAuthentication):
    """The user whose id is the account's. An account that is new here gets a row."""

    def authenticate(self, request):
        account_id = request.headers.get("X-Account-Id")
        if not account_id:
            return None
        names = {"username": f"account-{account_id}"}
        user, _ = User.objects.get_or_create(pk=int(account_id), defaults=names)
        return user, None

    def authenticate_header(self, request):
        return "Token"
