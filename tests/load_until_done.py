"""A loader as a process of its own, for tests that kill it: loads a lane until nothing waits, then ends with 0.

Exit code 3: the database or the lease was lost.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from tempfile import gettempdir

from milepost.errors import MilepostError
from milepost.intake.load import Lane
from milepost.intake.queue import Queue, backlog
from milepost.postgres import Database
from milepost.settings import Settings


async def main(url: str) -> int:
    settings = Settings(
        data_dir=Path(gettempdir()), write_pool_min=0, point_pool_min=0, analytics_pool_min=0, lease_s=1, batch_rows_max=200
    )
    try:
        async with await Database.open(url, settings) as db:
            lane = Lane(db, Queue(db, settings), 0, "killed", settings)
            if not await lane.open():
                return 3
            while True:
                await lane.run_once()
                async with db.transaction("point") as conn:
                    if not any(waiting.batches for waiting in await backlog(conn)):
                        await lane.close()
                        return 0
    except MilepostError as error:
        print(error, file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1])))
