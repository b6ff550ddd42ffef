"""The one view: knox has none for the account itself."""

from django.urls import path
from knox.auth import TokenAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView


class ProfileView(APIView):
    authentication_classes = (TokenAuthentication,)
    permission_classes = (IsAuthenticated,)

    def get(self, request, format=None):
        user = request.user
        return Response({"id": user.id, "username": user.username, "email": user.email})


urlpatterns = [path("account/profile", ProfileView.as_view())]
