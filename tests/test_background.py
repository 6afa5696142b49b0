"""Work that gives way has the lowest priority, and rests; whoever asked for it keeps its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from threading import get_native_id
from typing import Any

import pytest

from milepost import background
from milepost.background import Pace
from milepost.storage import _parquet
from milepost.storage._cold_columns import columns_of_row


def priority() -> int:
    return os.getpriority(os.PRIO_PROCESS, get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of threads")
async def test_files_are_written_behind_all_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What computes is behind; readers, and the thread that waits for it, are not."""
    before, seen = priority(), list[int]()
    run = _parquet._run

    def noted(*given: Any) -> Any:
        seen.append(priority())
        return run(*given)

    monkeypatch.setattr(_parquet, "_run", noted)
    csv, target = tmp_path / "rows.csv", tmp_path / "rows.parquet"
    csv.write_text("")
    columns = columns_of_row({})
    await _parquet.write(target, columns, csv=csv)
    source = _parquet.Source(path=target, columns=tuple(column.name for column in columns))
    assert (await _parquet.summed([source], columns)).rows == 0
    assert await _parquet.read([source], columns) == []
    assert seen == [19, 19, before]
    assert priority() == before


class Clock:
    """A time that passes only where it is told to."""

    def __init__(self) -> None:
        self.now, self.slept = 100.0, list[float]()

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_a_pace_rests_in_proportion(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is worked beyond the first moments is rested for, slice by slice; what could not be cut, no longer than a while."""
    clock = Clock()
    monkeypatch.setattr(background, "time", clock)
    pace, whole = Pace(0.25), Pace(1.0)
    worked = 0.0
    for seconds in [0.002, *[0.01] * 30, 5.0]:
        clock.now += seconds
        worked += seconds
        pace.rest()
        whole.rest()
    assert not clock.slept[0] and clock.slept[-2:] == [pytest.approx(0.03), background.REST_MAX_S]
    assert sum(clock.slept[:-1]) == pytest.approx(3 * (worked - 5.0 - background.FREE_S), rel=0.1)
    assert whole.due is False
    clock.now += 1.0
    assert pace.due
    pace.hurry()
    assert pace.due is False


async def test_a_file_is_written_at_a_pace(tmp_path: Path) -> None:
    """Turns are taken while rows are read, and while they are written."""
    turns = list[int]()

    class Counted(Pace):
        def rest(self) -> None:
            turns.append(sum(one.stat().st_size for one in tmp_path.glob("*.parquet")))  # under whichever name it is written

    columns = columns_of_row({})
    lines = []
    for n in range(60_000):
        given = {"us": n, "hash": n * 7919, "received": 1, "actor_id": 1, "verb": "run", "group_id": n % 100}
        lines.append(",".join(str(given.get(column.name, "\\N")) for column in columns))
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    await _parquet.write(tmp_path / "rows.parquet", columns, csv=tmp_path / "rows.csv", pace=Counted())
    assert len(turns) > 3 * 60_000 / _parquet.TURN_ROWS / 2 and len(set(turns)) > 3
    seen = len(turns)
    source = _parquet.Source(path=tmp_path / "rows.parquet", columns=tuple(column.name for column in columns))
    assert (await _parquet.summed([source], columns, pace=Counted())).rows == 60_000
    assert len(turns) > seen
