"""A Django project for tests, on SQLite: orders, their lines and tags, and views that change them. To import it is to set up Django."""

from __future__ import annotations

import django
from django.conf import settings
from django.core.management import call_command
from django.test.utils import setup_test_environment

if not settings.configured:
    settings.configure(
        SECRET_KEY="test",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF="django_shop.urls",
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "milepost.integrations.django",
            "django_shop",
        ],
        MIDDLEWARE=[
            "milepost.integrations.django.middleware.MilepostMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "file:shop?mode=memory&cache=shared"}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        USE_TZ=True,
        LOGGING_CONFIG=None,
        MILEPOST={"ENABLED": False},
    )
    django.setup()
    setup_test_environment()
    call_command("migrate", run_syncdb=True, verbosity=0)
