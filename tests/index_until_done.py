"""An indexer as a process of its own, for tests that kill it: indexes until nothing is left, then ends with 0.

A lock that a killed indexer's session still holds is waited for, as a server does. Exit code 3: the database was lost.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from tempfile import gettempdir
from time import monotonic

from milepost.errors import MilepostError, Timeout
from milepost.postgres import Database
from milepost.search.indexer import Indexer
from milepost.settings import Settings

LOCKED_S = 15.0  # until PostgreSQL has noticed that a session's client is dead, at the latest


async def main(url: str) -> int:
    settings = Settings(data_dir=Path(gettempdir()), write_pool_min=0, point_pool_min=0, analytics_pool_min=0)
    until = monotonic() + LOCKED_S
    try:
        async with await Database.open(url, settings) as db:
            while True:
                try:
                    await Indexer(db).run_once()
                except Timeout:
                    if monotonic() > until:
                        raise
                    await asyncio.sleep(0.05)
                else:
                    return 0
    except MilepostError as error:
        print(error, file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1])))
