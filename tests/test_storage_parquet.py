"""Files of cold rows: how they are laid out, which only time depends on."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import duckdb
import pytest

from milepost.storage import _parquet
from milepost.storage._cold_columns import columns_of_row

COLUMNS = columns_of_row({})
ROWS, TEAMS = 20_000, 200


def csv_of(path: Path, seed: int) -> None:
    """Rows in the order of time, each of a team, every twentieth addressed to a second one, every fiftieth to none."""
    chance = random.Random(seed)
    lines = []
    for n in range(ROWS):
        values = dict.fromkeys((column.name for column in COLUMNS), "\\N")
        values |= {
            "us": str(10**15 + n),
            "hash": str(chance.randrange(1 << 62)),
            "received": "1",
            "actor_id": "1",
            "verb": "run",
        }
        values["group_id"] = "\\N" if n % 50 == 1 else str(chance.randrange(TEAMS))
        values["more_groups"] = f'"{{{chance.randrange(TEAMS)},{TEAMS + 1}}}"' if n % 20 == 0 else "\\N"
        lines.append(",".join(values.values()))
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> _parquet.Source:
    """In bands of 4,096 rows, two pieces each."""
    folder = tmp_path_factory.mktemp("parquet")
    csv_of(folder / "rows.csv", 1)
    made = _parquet.Source(path=folder / "rows.parquet", columns=tuple(column.name for column in COLUMNS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_parquet, "BAND_ROWS", 4096)
        patch.setattr(_parquet, "PIECE_ROWS", 2048)
        asyncio.run(_parquet.write(made.path, COLUMNS, csv=folder / "rows.csv"))
    return made


def pieces(source: _parquet.Source, column: str) -> list[tuple[int, int] | None]:
    """The bounds of a column in each piece of the file, in their order; None where it has no value."""
    query = """SELECT stats_min_value::BIGINT, stats_max_value::BIGINT FROM parquet_metadata(?)
        WHERE path_in_schema = ? OR path_in_schema LIKE ? || ', list, %' ORDER BY row_group_id"""
    with duckdb.connect() as db:
        rows = db.execute(query, [str(source.path), column, column]).fetchall()
    return [None if row[0] is None else (row[0], row[1]) for row in rows]


def test_a_team_lies_in_the_pieces_of_a_band(source: _parquet.Source) -> None:
    """What one team alone did is in few pieces of the file, and by their bounds the others need not be read."""
    bounds = pieces(source, "group_id")
    assert len(bounds) == -(-ROWS // 2048)
    alone = [one for one, more in zip(bounds, pieces(source, "more_groups"), strict=True) if more is None and one]
    assert len(alone) == 8
    for team in range(TEAMS):
        assert sum(low <= team <= high for low, high in alone) <= 4


def test_what_several_have_is_together(source: _parquet.Source) -> None:
    """What is addressed to more than one group is in the last pieces, however little of it there is."""
    more = pieces(source, "more_groups")
    assert [one is None for one in more] == [True] * 8 + [False] * 2


def test_a_band_is_in_the_order_of_time(source: _parquet.Source) -> None:
    """A moment is in one piece of each band."""
    times = pieces(source, "us")
    for earlier, later in zip(times[::2], times[1::2], strict=True):
        assert earlier and later and earlier[1] < later[0]


@pytest.mark.asyncio
async def test_rows_come_in_the_order_that_is_asked_for(source: _parquet.Source) -> None:
    """The layout shows nowhere: the newest and the oldest are the same rows as in the file that they came from."""
    lines = [line.split(",")[:2] for line in source.path.with_suffix(".csv").read_text().splitlines()]
    places = [(int(us), int(hashed)) for us, hashed in lines]
    newest = await _parquet.read([source], COLUMNS, limit=300)
    assert [row[:2] for row in newest] == places[: -300 - 1 : -1]
    oldest = await _parquet.read([source], COLUMNS, order=_parquet.OLDEST_FIRST)
    assert [row[:2] for row in oldest] == places


@pytest.mark.parametrize("older_first", [True, False])
async def test_a_file_may_lack_a_column_that_another_has(source: _parquet.Source, tmp_path: Path, older_first: bool) -> None:
    """Read together, in whichever order: its rows have NULL there, the others' rows what they had; and one that all lack is NULL."""
    fewer = tuple(column for column in COLUMNS if column.name not in ("verb", "status"))
    older = _parquet.Source(path=tmp_path / "older.parquet", columns=tuple(column.name for column in fewer))
    await _parquet.write(older.path, fewer, csv=None, sources=[source])
    both = [older, source] if older_first else [source, older]
    rows = await _parquet.read(both, COLUMNS, picked=["c.verb", "c.status", "c.actor_id"])
    assert sorted(rows, key=str) == [("run", None, 1)] * ROWS + [(None, None, 1)] * ROWS
    assert await _parquet.read([older], COLUMNS, picked=["c.verb"], where="c.verb IS NOT NULL") == []
