"""Work that gives way has the lowest priority; whoever asked for it keeps its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from threading import get_native_id
from typing import Any

import pytest

from milepost.storage import _parquet
from milepost.storage._cold_columns import columns_of_row

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of threads")


def priority() -> int:
    return os.getpriority(os.PRIO_PROCESS, get_native_id())


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
