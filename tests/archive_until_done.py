"""An archiving run, or a restoring one, as a process of its own, for tests that kill it at a named point."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from milepost.postgres import Database
from milepost.settings import Settings
from milepost.storage import _export, _removal, restore
from milepost.storage.archive import run_once
from milepost.storage.due import Due

__all__ = ["PART", "due_before_february", "small"]

PART = "activity_2026_01"
FEBRUARY = datetime(2026, 2, 1, tzinfo=UTC)


def due_before_february(tenant_id: int, *, thinned: bool) -> Due:
    """All of a tenant's; thinned: but for those that are kept, too many to go into a new partition."""
    condition = "s.tenant_id = %(only)s" + (" AND s.status <> 'kept'" if thinned else "")
    return Due(condition=condition, parameters={"only": tenant_id}, border=FEBRUARY)


def small() -> None:
    """Few rows make several files and batches."""
    _export.FILE_ROWS_MAX, _export.SMALL_ROWS, _export.KEPT_MAX = 40, 5, 10
    _removal.BATCH_ROWS, restore.BATCH_ROWS = 25, 25


async def main(url: str, data_dir: str, tenant_id: int, what: str) -> None:
    small()
    settings = Settings(data_dir=Path(data_dir), write_pool_min=0, point_pool_min=0, analytics_pool_min=0)
    async with await Database.open(url, settings) as db:
        if what == "restore":
            await restore.restore_part(db, tenant_id, PART, keep=timedelta(0))
        else:
            await run_once(db, due=due_before_february(tenant_id, thinned=what == "thin"), settle_s=5)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))
