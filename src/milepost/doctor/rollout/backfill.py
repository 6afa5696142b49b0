"""Changing all rows of a table in small transactions, while it is used.

The table is gone through by its blocks, which needs no key and no index; the statement says which rows still need it. A row that the
application moves meanwhile is found in the next pass: it is over when a whole pass changed nothing. The journal keeps the block, so that
a killed run goes on there.

A batch is sized to `batch_ms`, since a writer waits that long for a row of it (`Pace`). It waits for rows itself no longer than a lock
timeout, which is shorter than PostgreSQL's deadlock timeout: where two wait for each other, the batch gives way and the application never fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import LiteralString

from milepost.doctor.rollout.names import Table
from milepost.doctor.rollout.waits import Waits
from milepost.doctor.rollout.work import Statement, Work
from milepost.errors import Conflict
from milepost.postgres import load_queries, sql

__all__ = ["Pace", "backfill"]

queries = load_queries(__package__, "backfill.sql")

PASSES_MAX = 50


@dataclass(kw_only=True)
class Pace:
    """How many blocks the next batch has. density: rows that a block can hold. rows: that a batch shall have. blocks: of the next one.

    A bloated table has long parts without rows, which take no time: a batch that grew there would meet the rows that follow with all its
    size, and hold them for seconds. So it is sized by rows, as if each block were full, and learns from batches that were.
    """

    waits: Waits
    density: float
    rows: float
    blocks: int

    @classmethod
    def of(cls, waits: Waits, density: float) -> Pace:
        return cls(waits=waits, density=density, rows=waits.batch_rows, blocks=max(1, int(waits.batch_rows / density)))

    def learn(self, changed: int, spent_s: float, *, rereading: bool = False) -> None:
        """changed: rows of the batch. rereading: hardly any row of this pass needs it, so its time is that of reading, which holds nobody up."""
        faster = self.waits.batch_ms / 1000 / max(spent_s, 0.001)
        # Halved or doubled at most, so that one slow moment decides little.
        if changed * 4 >= self.rows:
            self.rows = min(max(faster * changed, self.rows / 2), self.rows * 2)
            self.blocks = max(1, int(self.rows / self.density))
        elif rereading:
            self.blocks = max(1, int(min(max(self.blocks * faster, self.blocks / 2), self.blocks * 2)))


async def backfill(
    work: Work,
    table: Table,
    statement: sql.Composable,
    what: str,
    *,
    before: Sequence[Statement] = (),
    ending: LiteralString = "",
    once: bool = False,
) -> None:
    """Until a pass changes nothing. statement: up to its condition on rows, to which a batch's blocks are added, and then `ending`. before:
    run in each of its transactions. once: one pass does, because what is written meanwhile is in step already. Raises `Conflict` if
    rows keep coming that need it.
    """
    pace = Pace.of(work.waits, await work.value(queries.density, {"table": table.oid}))
    for number in range(PASSES_MAX):
        changed = 0
        total = int(await work.value(queries.blocks, {"table": table.oid}))
        block = int(work.memory.get("block", 0))
        resumed = block > 0
        while block < total:
            last = min(total, block + pace.blocks)
            began = monotonic()
            batch = sql.SQL(queries.batch).format(
                statement=statement,
                first=sql.Literal(f"({block},0)"),
                last=sql.Literal(f"({last},0)"),
                ending=sql.SQL(ending),
            )
            done = await work.briefly(*before, batch, lock="rows", tables=(table,), remember={"block": last})
            spent = monotonic() - began
            changed += done
            pace.learn(done, spent, rereading=number > 0)
            work.say(what, last, total, "blocks")
            block = last
            await asyncio.sleep(spent * work.waits.batch_pause)
        await work.remember(block=0)
        if once or (changed == 0 and not resumed):
            return
    raise Conflict(f"{what}: after {PASSES_MAX} passes there are still rows that need it.")
