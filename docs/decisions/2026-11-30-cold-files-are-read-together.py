"""What it costs to look a team up in several files of the archive: each by itself, all by UNION ALL, and all by one reader.

    .venv/bin/python docs/decisions/2026-11-30-cold-files-are-read-together.py

Nine files of 50,000 activities each, as the decision on bands has them. Milliseconds of one processor, the least of 5; `UNION ALL` and
`one reader` are one statement.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

FILES, ROWS = 9, 50_000
TEAMS = (40, 400, 2000, 3900)
BANDS = runpy.run_path(str(Path(__file__).with_name("2026-11-29-cold-files-have-bands-of-groups.py")), run_name="bands")
least = BANDS["_least"]


def main(folder: Path) -> None:
    db = duckdb.connect(config={"threads": 1})
    db.execute("SELECT setseed(0.5)")
    # Newest first, as they are read.
    paths = [_written(db, folder / f"{number}.parquet", number) for number in reversed(range(FILES))]
    each = [f"read_parquet({path})" for path in paths]
    union = "(" + " UNION ALL ".join(f"SELECT * FROM {one}" for one in each) + ")"
    one_reader = f"read_parquet([{', '.join(paths)}], union_by_name = true)"
    print(
        "| team | rows | each by itself | UNION ALL | one reader | addressed to it: each by itself | UNION ALL | one reader |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for team in TEAMS:
        (rows,) = db.execute(f"SELECT count(*) FROM {one_reader} WHERE group_id = {team}").fetchone() or (0,)
        cells = []
        for where in (
            f"c.group_id = {team}",
            f"list_contains(c.more_groups, {team}) AND c.group_id IS DISTINCT FROM {team}",
        ):
            ordered = f"WHERE {where} ORDER BY c.us DESC, c.hash DESC LIMIT 51"
            cells.append(sum(least(db, f"SELECT * FROM {one} c {ordered}") for one in each))
            cells += [least(db, f"SELECT * FROM {many} c {ordered}") for many in (union, one_reader)]
        print(f"| {team} | {rows} | " + " | ".join(f"{cell:.0f}" for cell in cells) + " |")


def _written(db: Any, path: Path, number: int) -> str:
    """→ the path as SQL has it."""
    db.execute("CREATE OR REPLACE TEMP TABLE a AS " + BANDS["ACTIVITIES"].partition(" AS ")[2])
    options = f"FORMAT parquet, {BANDS['ZSTD']}, ROW_GROUP_SIZE {12 * 1024}, PARQUET_VERSION v2"
    later = number * BANDS["ROWS"] * BANDS["STEP"]
    rows = f"SELECT * REPLACE (us + {later} AS us) FROM a WHERE hash % {BANDS['ROWS']} < {ROWS}"
    db.execute(f"COPY ({rows} ORDER BY {BANDS['band'](24 * 1024)}) TO '{path}' ({options})")
    return f"'{path}'"


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        main(Path(folder))
