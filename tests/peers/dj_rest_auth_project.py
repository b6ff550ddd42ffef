"""Django with dj-rest-auth and django-allauth, on SQLite, which writes its mail to a directory.

Run by the Python that has them: `python dj_rest_auth_project.py <port> <directory> <settings>`,
where the settings are a JSON object that updates those of this file.
"""

import json
import sys
from pathlib import Path
from wsgiref.simple_server import make_server

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import include, path, re_path
from django.views.generic import TemplateView

PORT, DIRECTORY, OPTIONS = int(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
_VALIDATORS = (
    "UserAttributeSimilarityValidator",
    "MinimumLengthValidator",
    "CommonPasswordValidator",
    "NumericPasswordValidator",
)
_USES_JWT = OPTIONS.get("REST_AUTH", {}).get("USE_JWT")
_AUTHENTICATION = (
    "dj_rest_auth.jwt_auth.JWTCookieAuthentication"
    if _USES_JWT
    else "rest_framework.authentication.TokenAuthentication"
)

OWN = {
    "ALLOWED_HOSTS": ["*"],
    "ROOT_URLCONF": __name__,
    "SECRET_KEY": "only for this test, on this machine",
    "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
    "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DIRECTORY / "db"}},
    "INSTALLED_APPS": [
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "django.contrib.sites",
        "allauth",
        "allauth.account",
        "allauth.socialaccount",
        "rest_framework",
        "rest_framework.authtoken",
        "rest_framework_simplejwt.token_blacklist",
        "dj_rest_auth",
        "dj_rest_auth.registration",
    ],
    "MIDDLEWARE": [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "allauth.account.middleware.AccountMiddleware",
    ],
    "AUTHENTICATION_BACKENDS": [
        "django.contrib.auth.backends.ModelBackend",
        "allauth.account.auth_backends.AuthenticationBackend",
    ],
    "ACCOUNT_RATE_LIMITS": False,
    "SITE_ID": 1,
    "TIME_ZONE": "UTC",
    "TEMPLATES": [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
        }
    ],
    "PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"],
    "AUTH_PASSWORD_VALIDATORS": [
        {"NAME": f"django.contrib.auth.password_validation.{name}"} for name in _VALIDATORS
    ],
    "REST_FRAMEWORK": {
        "DEFAULT_AUTHENTICATION_CLASSES": [_AUTHENTICATION],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    },
    "EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend",
    "EMAIL_FILE_PATH": str(DIRECTORY / "mail"),
}
settings.configure(**{**OWN, **OPTIONS})
django.setup()
urlpatterns = [
    path("registration/", include("dj_rest_auth.registration.urls")),
    re_path(
        r"^reset/(?P<uidb64>[^/]+)/(?P<token>[^/]+)$",
        TemplateView.as_view(),
        name="password_reset_confirm",
    ),
    path("accounts/", include("allauth.urls")),
    path("", include("dj_rest_auth.urls")),
]

if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    make_server("127.0.0.1", PORT, get_wsgi_application()).serve_forever()
