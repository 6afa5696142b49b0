"""Operations on the distribution's PostgreSQL too, which is older: started, taken back, completed.

Normally those that lean on the catalogue most; with `MILEPOST_TEST_LONG` all.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from busy_shop import SCHEMA, Shop
from fix_postgres import DISTRIBUTION_BIN, chosen_bin, fresh_database
from milepost.doctor import Target
from milepost.postgres import EmbeddedServer, major_version
from test_rollout_operations import CASES, HASH, Case

SHORT = frozenset(
    {"partition_table", "change_type", "create_partitions", "create_statistics", "alter_sequence", "set_not_null"}
)
CHOSEN = [case for case in CASES if os.environ.get("MILEPOST_TEST_LONG") or str(case) in SHORT]


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    if not (DISTRIBUTION_BIN / "initdb").exists():
        pytest.skip(f"there is no PostgreSQL in {DISTRIBUTION_BIN}")
    if major_version(DISTRIBUTION_BIN) == major_version(chosen_bin()):
        pytest.skip("the other tests run on it")
    data_dir = tmp_path_factory.mktemp("older")
    with EmbeddedServer.start(data_dir, durable=False, bin_dir=DISTRIBUTION_BIN) as running:
        yield running
    shutil.rmtree(data_dir)


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
