"""djoser's routes; the benchmark reads `/auth/users/me/` and registers at `/auth/users/`."""

from django.urls import include, path

urlpatterns = [
    path("auth/", include("djoser.urls")),
    path("auth/", include("djoser.urls.authtoken")),
]
