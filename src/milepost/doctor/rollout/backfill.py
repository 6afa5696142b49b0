"""Changing all rows of a table in small transactions, while it is used.

The table is gone through by its blocks, which needs no key and no index; the statement says which rows still need it. A row that the
application moves meanwhile is found in the next pass: it is over when a whole pass changed nothing. The journal keeps the block, so that
a killed run goes on there.

A batch is sized to `batch_ms`, since a writer waits that long for a row of it. It waits for rows itself no longer than a lock timeout,
which is shorter than PostgreSQL's deadlock timeout: where two wait for each other, the batch gives way and the application never fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import monotonic

from milepost.doctor.rollout.names import Table
from milepost.doctor.rollout.work import Statement, Work
from milepost.errors import Conflict
from milepost.postgres import load_queries, sql

__all__ = ["backfill"]

queries = load_queries(__package__, "backfill.sql")

PASSES_MAX = 50
ROWS_A_BLOCK = 50  # guessed for the first batch; then it is measured


async def backfill(work: Work, table: Table, statement: sql.Composable, what: str, *, before: Sequence[Statement] = ()) -> None:
    """Until a pass changes nothing. statement: an UPDATE with `{first}` and `{last}` still open, as `sql.SQL` takes them. before: run
    in each of its transactions. Raises `Conflict` if rows keep coming that need it.
    """
    blocks_a_batch = max(1, work.waits.batch_rows // ROWS_A_BLOCK)
    for _ in range(PASSES_MAX):
        changed = 0
        total = int(await work.value(queries.blocks, {"table": table.oid}))
        block = int(work.memory.get("block", 0))
        resumed = block > 0
        while block < total:
            last = min(total, block + blocks_a_batch)
            began = monotonic()
            batch = sql.SQL(queries.batch).format(
                statement=statement, first=sql.Literal(f"({block},0)"), last=sql.Literal(f"({last},0)")
            )
            changed += await work.briefly(*before, batch, lock="rows", tables=(table,), remember={"block": last})
            spent = monotonic() - began
            work.say(what, last, total, "blocks")
            # Halved or doubled at most, so that one slow moment decides little.
            wanted = blocks_a_batch * work.waits.batch_ms / 1000 / max(spent, 0.001)
            blocks_a_batch = max(1, int(min(max(wanted, blocks_a_batch / 2), blocks_a_batch * 2)))
            block = last
            await asyncio.sleep(spent * work.waits.batch_pause)
        await work.remember(block=0)
        if changed == 0 and not resumed:
            return
    raise Conflict(f"{what}: after {PASSES_MAX} passes there are still rows that need it.")
