"""Django: the context of each request, requests and changed rows as activities, and a client for views.

    INSTALLED_APPS = [..., "milepost.integrations.django"]
    MIDDLEWARE = ["milepost.integrations.django.middleware.MilepostMiddleware", ...]
    MILEPOST = {"URL": "https://milepost.example.com", "KEY": "mp_…"}

    @milepost_audited(fields=["status", "total"])
    class Order(models.Model): ...

    log("ship", object={"kind": "shop.order", "id": order.pk})

Settings are in `conf`, the rows' story in `audit`, where activities go in `sinks`.
"""

from __future__ import annotations

from milepost.integrations.django.audit import milepost_audited, register
from milepost.integrations.django.conf import client, log

__all__ = ["client", "log", "milepost_audited", "register"]
