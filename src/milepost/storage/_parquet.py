"""Parquet, by DuckDB: cold rows written, summed up, looked for and read back.

All of it runs in threads, on cursors of one in-memory database of the process, which may take `MEMORY` and spills beyond it; nothing is
installed or loaded from anywhere. Readers have a thread each; files are written and summed up in one that gives way to all else.

A file is a stretch of time in bands of `BAND_ROWS` rows: each has the activities of some groups, and one band or more those that are
addressed to several. A band is sorted by id, in pieces of `PIECE_ROWS` rows ("row groups" to Parquet) with the bounds of each column. So
what is of one group is in the few pieces of its band, what is of one moment in one piece of each band, and of the pieces that the
bounds leave only the columns that are asked for are unpacked. How a file is laid out is nothing but a matter of time: readers ask for
the order that they need.
"""

from __future__ import annotations

import asyncio
import atexit
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import gettempdir
from threading import Lock, local
from typing import Any
from uuid import UUID

from milepost.activity import HASH_MASK
from milepost.background import Pace, give_way
from milepost.errors import MilepostError
from milepost.storage._cold_columns import ColdColumn, duck_mark

__all__ = [
    "NEWEST_FIRST",
    "OLDEST_FIRST",
    "ColdFileDamaged",
    "Source",
    "Sum",
    "bounds_of_ids",
    "in_thread",
    "read",
    "summed",
    "to_csv",
    "write",
]

MEMORY = "512MB"
THREADS = 1  # a second one would take what readers and loads have
BAND_ROWS, PIECE_ROWS = 24_576, 12_288  # smaller: a moment costs more, larger: a group does
LEVEL = 6  # of zstd: 15 takes 3 % less bytes and three times as long
TURN_ROWS = 512  # looked at or written between two looks at the pace, about
LINE_BYTES_MAX = 128 * 1024 * 1024
PARAMETER = re.compile(r"\$([a-z_][a-z0-9_]*)")
NEWEST_FIRST, OLDEST_FIRST = "c.us DESC, c.hash DESC", "c.us, c.hash"

_CSV = "header = false, delim = ',', quote = '\"', escape = '\"', nullstr = '\\N', allow_quoted_nulls = false"


class ColdFileDamaged(MilepostError):
    """A file of the archive is missing, or is not what was written."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file of cold rows, here on disk. columns: the names that it has."""

    path: Path
    columns: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Sum:
    """rows: how many. marks: their sum. span: the first and last id as (us, hash, us, hash); None where there is no row."""

    rows: int
    marks: int
    span: tuple[int, int, int, int] | None


@cache
def _database() -> Any:
    import duckdb  # 40 ms and 30 MB that a process without an archive need not pay

    config = {"autoinstall_known_extensions": False, "autoload_known_extensions": False, "threads": THREADS}
    database = duckdb.connect(
        ":memory:", config={**config, "memory_limit": MEMORY, "temp_directory": f"{gettempdir()}/milepost-duckdb"}
    )
    database.create_function("milepost_turn", _turn, ["BIGINT"], "BOOLEAN", side_effects=True)
    atexit.register(database.close)  # with a function of ours in it, it is not closed by itself
    return database


_at_work = local()


def _turn(_: int) -> bool:
    """Called by DuckDB in the middle of a statement, in the thread that runs it, which rests if it is time."""
    _at_work.pace.rest()
    return True


def _turns(pace: Pace | None) -> str:
    """A condition on cold rows that is always true, and looks at the pace now and then."""
    return "true" if pace is None else f"CASE WHEN hash & {TURN_ROWS - 1} = 0 THEN milepost_turn(us) ELSE true END"


_opening = Lock()


def _run(statement: str, parameters: Mapping[str, Any] | None = None) -> Any:
    """A cursor that has run it."""
    import duckdb

    with _opening:
        cursor = _database().cursor()
    try:
        # Only those that the statement names: DuckDB refuses others.
        named = set(PARAMETER.findall(statement))
        given = {name: value for name, value in (parameters or {}).items() if name in named}
        return cursor.execute(statement, given) if given else cursor.execute(statement)
    except duckdb.ProgrammingError:
        raise  # ours
    except duckdb.Error as error:
        raise ColdFileDamaged(f"The archive could not be read: {error}") from error


async def in_thread(statement: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
    return await asyncio.to_thread(lambda: _run(statement, parameters).fetchall())


async def _behind(statement: str, parameters: Mapping[str, Any] | None, pace: Pace | None) -> list[tuple[Any, ...]]:
    """As `in_thread`, with what others leave of the processors, at a pace."""

    def work() -> list[tuple[Any, ...]]:
        _at_work.pace = pace
        found: list[tuple[Any, ...]] = _run(statement, parameters).fetchall()
        return found

    return await asyncio.get_running_loop().run_in_executor(_giving_way, work)


_giving_way = ThreadPoolExecutor(1, "milepost-archive", initializer=give_way)


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _from(sources: Sequence[Source], columns: Sequence[ColdColumn]) -> str:
    """A relation `c` of the rows of all these files, with NULL for columns that a file is too old to have.

    One reader has them all: with one for each, by UNION ALL or in turn, a processor works up to twice as long.
    """
    held = {name for source in sources for name in source.columns}
    named = ", ".join(column.name if column.name in held else f"NULL::{column.duck} AS {column.name}" for column in columns)
    paths = ", ".join(_quoted(source.path) for source in sources)
    return f"(SELECT {named} FROM read_parquet([{paths}], union_by_name = true)) c"


async def write(
    target: Path,
    columns: Sequence[ColdColumn],
    *,
    csv: Path | None,
    sources: Sequence[Source] = (),
    without: str = "false",
    parameters: Mapping[str, Any] | None = None,
    pace: Pace | None = None,
) -> None:
    """A file of the rows in `csv`, as `ColdColumn.out` gives them, and of those of `sources` that are not `without`."""

    def rows(names: Sequence[str]) -> str:
        parts = []
        if csv is not None:
            parts.append(f"SELECT {', '.join(names)} FROM {_of_csv(csv, columns)} WHERE {_turns(pace)}")
        if sources:
            named = ", ".join(f"c.{name}" for name in names)
            parts.append(f"SELECT {named} FROM {_from(sources, columns)} WHERE NOT ({without}) AND {_turns(pace)}")
        return f"({' UNION ALL '.join(parts)})"

    # Bands are counted with little in hand, and the rows sorted once: a sort ends in one go, without a turn. Turns of the writing are taken
    # where a column comes from: as a condition DuckDB would look at them before the sort, with those of the reading.
    names = [column.name for column in columns]
    band = f"(row_number() OVER (ORDER BY more_groups IS NOT NULL, group_id, us, hash) - 1) // {BAND_ROWS} AS band"
    bands = f"(SELECT us, hash, {band} FROM {rows(('us', 'hash', 'group_id', 'more_groups'))})"
    banded = f"SELECT * FROM {rows(names)} JOIN {bands} USING (us, hash) ORDER BY band, us, hash"
    written = [f"CASE WHEN {_turns(pace)} THEN us END AS us" if name == "us" else name for name in names]
    await _behind(
        f"COPY (SELECT {', '.join(written)} FROM ({banded})) TO {_quoted(target)}"
        f" (FORMAT parquet, CODEC zstd, COMPRESSION_LEVEL {LEVEL}, ROW_GROUP_SIZE {PIECE_ROWS}, PARQUET_VERSION v2)",
        parameters,
        pace,
    )


def _of_csv(csv: Path, columns: Sequence[ColdColumn]) -> str:
    """A relation of the rows in it."""
    declared = ", ".join(f"'{column.name}': '{column.duck if column.duck != 'BIGINT[]' else 'VARCHAR'}'" for column in columns)
    picked = ", ".join(
        f"string_split(regexp_replace({c.name}, '[{{}}]', '', 'g'), ',')::BIGINT[] AS {c.name}"
        if c.duck == "BIGINT[]"
        else c.name
        for c in columns
    )
    return (
        f"(SELECT {picked} FROM read_csv({_quoted(csv)}, auto_detect = false, columns = {{{declared}}}, {_CSV},"
        f" parallel = false, max_line_size = {LINE_BYTES_MAX}, buffer_size = {2 * LINE_BYTES_MAX}))"
    )


async def summed(
    sources: Sequence[Source],
    columns: Sequence[ColdColumn],
    where: str = "true",
    parameters: Mapping[str, Any] | None = None,
    *,
    pace: Pace | None = None,
) -> Sum:
    rows = await _behind(
        f"SELECT count(*), coalesce(sum({duck_mark(columns)}::HUGEINT), 0), min((c.us, c.hash)), max((c.us, c.hash))"
        f" FROM {_from(sources, columns)} WHERE ({where}) AND {_turns(pace)}",
        parameters,
        pace,
    )
    count, marks, first, last = rows[0]
    return Sum(rows=count, marks=int(marks), span=None if first is None else (*_pair(first), *_pair(last)))


def _pair(place: Any) -> tuple[int, int]:
    us, hashed = place.values() if isinstance(place, dict) else place
    return us, hashed


async def read(
    sources: Sequence[Source],
    columns: Sequence[ColdColumn],
    *,
    picked: Sequence[str] | None = None,
    where: str = "true",
    parameters: Mapping[str, Any] | None = None,
    order: str = NEWEST_FIRST,
    limit: int | None = None,
) -> list[tuple[Any, ...]]:
    """Rows of these columns (or of these expressions over `c`), in the order asked for."""
    what = ", ".join(picked or [f"c.{column.name}" for column in columns])
    bound = "" if limit is None else f" LIMIT {limit}"
    return await in_thread(f"SELECT {what} FROM {_from(sources, columns)} WHERE {where} ORDER BY {order}{bound}", parameters)


async def to_csv(
    target: Path, sources: Sequence[Source], columns: Sequence[ColdColumn], where: str, parameters: Mapping[str, Any]
) -> None:
    """Rows as PostgreSQL's COPY takes them into a stage of these columns."""
    picked = ", ".join(
        f"'{{' || array_to_string(c.{column.name}, ',') || '}}' AS {column.name}"
        if column.duck == "BIGINT[]"
        else f"c.{column.name}"
        for column in columns
    )
    await in_thread(
        f"COPY (SELECT {picked} FROM {_from(sources, columns)} WHERE {where}) TO {_quoted(target)}"
        " (FORMAT csv, HEADER false, DELIMITER ',', QUOTE '\"', ESCAPE '\"', NULLSTR '\\N')",
        parameters,
    )


def bounds_of_ids(low: UUID, high: UUID) -> tuple[str, dict[str, int]]:
    """The condition on cold rows that their ids are from `low` on and below `high`."""
    (low_us, low_hash), (high_us, high_hash) = _place(low), _place(high)
    condition = "c.us >= $low_us AND (c.us > $low_us OR c.hash >= $low_hash) AND c.us <= $high_us AND (c.us < $high_us OR c.hash < $high_hash)"
    return condition, {"low_us": low_us, "low_hash": low_hash, "high_us": high_us, "high_hash": high_hash}


def _place(id: UUID) -> tuple[int, int]:
    """The time and hash of an id or of a bound, whose lower half need not have an id's variant."""
    us = (id.int >> 80) * 1000 + min((id.int >> 66) & 0x3FF, 999)
    lower = id.int & (1 << 64) - 1
    if lower >> 62 != 2:
        return us, 0 if lower >> 62 < 2 else HASH_MASK + 1
    return us, lower & HASH_MASK
