"""What it costs to look things up in a file of the archive, by how its rows are laid out.

    .venv/bin/python docs/decisions/2026-11-29-cold-files-have-bands-of-groups.py

A file of 250,000 activities of a week as `milepost bench lifecycle` has them, of 4,000 teams by Zipf's law, every twentieth addressed to a
second one. Milliseconds of this thread, the least of 30.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from time import thread_time
from typing import Any

import duckdb

ROWS, START, STEP = 250_000, 63_900_000_000_000_000, 2_592_000
ROUNDS = 6
TEAM = 2000  # has some 40
ZSTD, LZ4 = "CODEC zstd, COMPRESSION_LEVEL 15", "CODEC lz4_raw"
BY_TIME = "us, hash"

ACTIVITIES = f"""CREATE TABLE a AS SELECT {START} + n * {STEP} AS us, (hash(n) >> 2)::BIGINT AS hash,
    (50000 + 400000 * pow(late, 3))::BIGINT AS received, actor AS actor_id, actor % 4000 AS group_id, 1 AS version,
    (CASE WHEN luck < 0.6 THEN 0 WHEN luck < 0.95 THEN 1 ELSE 2 END)::SMALLINT AS audience,
    (['run', 'run', 'run', 'run', 'ride', 'ride', 'ride', 'walk', 'walk', 'climb'])[1 + n % 10] AS verb,
    'route' AS object_kind, 'r-' || object AS object_id, (['strava', 'strava', 'garmin', 'polar'])[1 + n % 4] AS source,
    CASE WHEN n % 97 = 0 THEN 'late' ELSE '' END AS status, 'h' || n AS key,
    CASE WHEN n % 20 = 0 THEN [(actor + 1) % 4000]::BIGINT[] END AS more_groups, NULL::VARCHAR AS public_id,
    '{{"note": "river loop", "device": "device-' || device || '"}}' AS data, NULL::VARCHAR AS content,
    (1000 + 20000 * luck)::BIGINT AS m_distance_m, (300 + 6000 * luck)::BIGINT AS m_duration_s, 'device-' || device AS d_device
FROM (
    SELECT n, random() AS luck, random() AS late, floor(pow(100000, random()))::BIGINT AS actor,
        floor(pow(200000, random()))::BIGINT AS object, floor(pow(200, random()))::BIGINT AS device
    FROM range({ROWS}) r (n)
)"""

NEWEST = "ORDER BY c.us DESC, c.hash DESC LIMIT 51"
MIDDLE = START + ROWS // 2 * STEP
ASKED = {
    "either": f"(c.group_id = {TEAM} OR c.more_groups @> [{TEAM}]::BIGINT[]) {NEWEST}",
    "group": f"c.group_id = {TEAM} {NEWEST}",
    "second": f"list_contains(c.more_groups, {TEAM}) AND c.group_id IS DISTINCT FROM {TEAM} {NEWEST}",
    "moment": f"c.us >= {MIDDLE - 102 * STEP} AND c.us < {MIDDLE} {NEWEST}",
    "verb": f"c.verb = 'climb' {NEWEST}",
    "actor": f"c.actor_id = 10000 {NEWEST}",
    "20,000": f"c.us >= {MIDDLE} ORDER BY c.us, c.hash LIMIT 20001",
}


def band(rows: int) -> str:
    return f"(row_number() OVER (ORDER BY more_groups IS NOT NULL, group_id, us, hash) - 1) // {rows}, us, hash"


LAYOUTS = {
    "by time, 32": (BY_TIME, 32, ZSTD),
    "by time, 8": (BY_TIME, 8, ZSTD),
    "by group, 8": ("group_id, us, hash", 8, ZSTD),
    **{
        f"bands of {rows}, {piece}": (band(rows * 1024), piece, ZSTD)
        for rows, piece in ((16, 8), (16, 16), (24, 12), (32, 8), (32, 16), (64, 16))
    },
    "bands of 24, 12, lz4": (band(24 * 1024), 12, LZ4),
}


def main(folder: Path) -> None:
    db = duckdb.connect(config={"threads": 1})
    db.execute("SELECT setseed(0.5)")
    db.execute(ACTIVITIES)
    for name, (order, piece, codec) in LAYOUTS.items():
        options = f"FORMAT parquet, {codec}, ROW_GROUP_SIZE {piece * 1024}, PARQUET_VERSION v2"
        db.execute(f"COPY (SELECT * FROM a ORDER BY {order}) TO '{folder / name}' ({options})")
    least: dict[tuple[str, str], float] = {}
    for _ in range(ROUNDS):  # one after the other, so that what else the machine does meets all
        for name in LAYOUTS:
            for what, asked in ASKED.items():
                took = _least(db, f"SELECT * FROM read_parquet('{folder / name}') c WHERE {asked}")
                least[name, what] = min(took, least.get((name, what), took))
    print("| rows, thousands a piece | bytes | " + " | ".join(ASKED) + " |")
    for name in LAYOUTS:
        size = (folder / name).stat().st_size / ROWS
        print(f"| {name} | {size:.1f} | " + " | ".join(f"{least[name, what]:.0f}" for what in ASKED) + " |")


def _least(db: Any, statement: str) -> float:
    times = []
    for _ in range(5):
        began = thread_time()
        db.execute(statement).fetchall()
        times.append(thread_time() - began)
    return min(times) * 1000


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        main(Path(folder))
