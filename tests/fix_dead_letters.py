"""`site`: two tenants on one lane of a database of their own, and a loader for it in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dead_letter_site import Site
from milepost.intake.queue import Queue
from milepost.postgres import Database
from milepost.settings import Settings

__all__ = ["site"]


@pytest.fixture
async def site(db: Database, settings: Settings) -> AsyncIterator[Site]:
    owner = await db.owner()
    queue = Queue(db, settings)
    await queue.start()
    made = Site(db, owner, settings, queue)
    try:
        await made.prepare()
        yield made
    finally:
        await made.lane.close()
        await queue.stop()
        await owner.close()
