"""A Celery app for tests, in publisher and worker alike: its broker is the Redis server that the environment names, as is its server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery import Celery

from milepost.client import Milepost
from milepost.integrations.celery import MilepostCelery
from milepost.integrations.context import InContext

__all__ = ["app", "client"]


app = Celery("shop", broker=os.environ["SHOP_REDIS"], backend=os.environ["SHOP_REDIS"])
app.conf.update(worker_hijack_root_logger=False, task_default_queue="shop")
# Made before the worker forks, as apps do.
client = InContext(Milepost(spool_dir=Path(os.environ["SHOP_SPOOL"]), exit_timeout_s=1))
tasks = MilepostCelery(client, flush_s=1)
tasks.connect()


@app.task
def ship(order: str) -> str:
    client.log("order", object={"kind": "order", "id": order})
    notify.delay(order)
    return order


@app.task
def notify(order: str) -> int:
    return os.getpid()


@app.task(bind=True, max_retries=1)
def flaky(self: Any) -> str:
    if self.request.retries == 0:
        raise self.retry(exc=OSError("gone"), countdown=0)
    return "done"


@app.task
def broken() -> None:
    raise ZeroDivisionError
