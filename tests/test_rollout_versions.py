"""Operations on older PostgreSQLs too: started, taken back, completed.

Normally those that lean on the catalogue most; with `MILEPOST_TEST_LONG` all.
"""

from __future__ import annotations

import os

import pytest

from busy_shop import SCHEMA, Shop
from fix_postgres import fresh_database
from milepost.doctor import Target
from milepost.postgres import EmbeddedServer
from test_rollout_operations import CASES, HASH, Case

SHORT = frozenset(
    {"partition_table", "change_type", "create_partitions", "create_statistics", "alter_sequence", "set_not_null"}
)
CHOSEN = [case for case in CASES if os.environ.get("MILEPOST_TEST_LONG") or str(case) in SHORT]


@pytest.mark.parametrize("case", CHOSEN, ids=str)
async def test_start_roll_back_complete(older: EmbeddedServer, case: Case) -> None:
    """As on the newest one: back it is as it was found, complete it is done, and no row has changed."""
    with fresh_database(older) as url:
        shop = Shop(url, await Target.open(url))
        await shop.query(SCHEMA + case.before)
        before, rows = await shop.shape(), await shop.value(HASH)
        assert (await shop.run(case.operation, hold=True)).standing.state == "held", shop.said
        assert (await shop.roll_back()).standing.state == "rolled_back"
        assert case.one_way or await shop.shape() == before
        assert (await shop.run(case.operation)).standing.state == "completed", shop.said
        assert await shop.value(case.done)
        assert await shop.value(HASH) == rows
