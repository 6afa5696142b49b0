"""A loader as a process of its own, for tests that kill it: loads a lane until nothing waits, then ends with 0.

Exit code 3: the database or the lease was lost. A lane that a killed loader's session still holds is waited for, as a server does.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from tempfile import gettempdir
from time import monotonic

from milepost.errors import MilepostError
from milepost.intake.load import Lane
from milepost.intake.queue import Queue, backlog
from milepost.postgres import Database
from milepost.settings import Settings

OPEN_S = 15.0  # until PostgreSQL has noticed that a session's client is dead, at the latest


async def main(url: str, data_dir: str = gettempdir()) -> int:
    settings = Settings(
        data_dir=Path(data_dir), write_pool_min=0, point_pool_min=0, analytics_pool_min=0, lease_s=1, batch_rows_max=200
    )
    try:
        async with await Database.open(url, settings) as db:
            lane = Lane(db, Queue(db, settings), 0, "killed", settings)
            until = monotonic() + OPEN_S
            while not await lane.open():
                if monotonic() > until:
                    return 3
                await asyncio.sleep(0.05)
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
    sys.exit(asyncio.run(main(*sys.argv[1:])))
