"""The app: checks its settings when Django starts, and begins to watch the registered models."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Warning, register

from milepost.integrations.django import audit, conf

__all__ = ["MilepostConfig"]


class MilepostConfig(AppConfig):
    """Raises ImproperlyConfigured for settings and registrations that are wrong."""

    name = "milepost.integrations.django"
    label = "milepost"
    verbose_name = "Milepost"

    def ready(self) -> None:
        conf.settings()
        audit.begin()
        register(_says_where)


def _says_where(**_: Any) -> list[CheckMessage]:
    if conf.sends() or not conf.settings().enabled:
        return []
    return [
        Warning(
            "Activities go nowhere: there is no address of a milepost server.",
            hint='Set MILEPOST = {"URL": …, "KEY": …}, or {"ENABLED": False} where that is meant.',
            id="milepost.W001",
        )
    ]
