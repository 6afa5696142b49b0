"""Backfills: how large a batch is, whatever the table is like."""

from __future__ import annotations

import pytest

from milepost.doctor.rollout import Waits
from milepost.doctor.rollout.backfill import Pace

ROW_S, BLOCK_S = 0.000_05, 0.000_01


def batches(blocks: list[int], density: float) -> list[tuple[int, float]]:
    """blocks: rows in each. → rows and seconds of each batch, on a machine that takes so long for a row, and for a block."""
    pace = Pace.of(Waits(), density)
    found, at = [], 0
    while at < len(blocks):
        part = blocks[at : at + pace.blocks]
        at += len(part)
        spent = sum(part) * ROW_S + len(part) * BLOCK_S
        found.append((sum(part), spent))
        pace.learn(sum(part), spent)
    return found


@pytest.mark.parametrize(
    "blocks",
    [
        [0] * 20_000 + [75] * 2_000,
        [75] * 2_000 + [0] * 20_000 + [75] * 2_000,
        [1] * 20_000 + [75] * 2_000,
        [75, 0, 0, 0] * 5_000,
        [37] * 2_000 + [75] * 2_000,
    ],
)
@pytest.mark.parametrize("density", [60, 75, 170])
def test_no_batch_holds_rows_for_long(blocks: list[int], density: float) -> None:
    """Through parts without rows into dense ones, also where a block's rows are not known well: twice what was meant at most."""
    found = batches(blocks, density)
    assert sum(rows for rows, _ in found) == sum(blocks)
    assert max(spent for _, spent in found) < 0.2


def test_an_even_table_gets_its_full_size() -> None:
    """A tenth of a second each, after the first few."""
    found = batches([60] * 20_000, 75)
    assert all(0.05 < spent < 0.15 for _, spent in found[4:-1])


def test_reading_again_is_quick() -> None:
    """A pass in which nothing needs it is not made in steps of a few blocks."""
    pace = Pace.of(Waits(), 75)
    for _ in range(12):
        pace.learn(0, pace.blocks * BLOCK_S, rereading=True)
    assert pace.blocks > 5_000
