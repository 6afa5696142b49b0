"""A Celery app for tests, in publisher and worker alike: its broker is a folder, and its server what the environment says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery import Celery

from milepost.client import Milepost
from milepost.integrations.celery import MilepostCelery
from milepost.integrations.context import InContext

__all__ = ["app", "client"]


def folder(name: str) -> str:
    made = Path(os.environ["SHOP_FOLDER"], name)
    made.mkdir(parents=True, exist_ok=True)
    return str(made)


app = Celery("shop", broker="filesystem://", backend=f"file://{folder('results')}")
app.conf.update(
    broker_transport_options={
        "data_folder_in": folder("queue"),
        "data_folder_out": folder("queue"),
        "control_folder": folder("control"),
        "polling_interval": 0.05,
    },
    worker_hijack_root_logger=False,
    task_default_queue="shop",
)
# Made before the worker forks, as apps do.
client = InContext(Milepost(spool_dir=folder("spool"), exit_timeout_s=1))
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
