"""Cold: activities that were archived, read where those in PostgreSQL end.

    found = await cold.newest(conn, tenant_id, wanted, low, high, 51)     # the newest of a list, as `Stream.newest` has them
    rows = await cold.of_ids(conn, tenant_id, ids)                        # those of these that are cold
    await cold.shown(conn, tenant_id, rows, presenter.columns)

Which files there are is read in `conn`'s snapshot. DuckDB finds candidates in them by the conditions that stored columns answer; whether
one may be seen, and whether it still is what the archive says (a row or tombstone in PostgreSQL shadows it), PostgreSQL
judges, by the very conditions that hold for rows of its own. So one cursor goes across the border.

A page opens `FILES_MAX` files and looks at `SCANNED_MAX` rows at most, and then says how far it got. Raises `ColdFileDamaged`,
`StoreUnavailable`: no page is shown as if nothing were missing.
"""

from __future__ import annotations

from asyncio import gather
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import itemgetter
from types import MappingProxyType
from typing import Any, LiteralString, Protocol
from uuid import UUID

import msgspec

from milepost.activity import LARGEST_ID, YEAR_ONE, activity_id, id_high, microseconds
from milepost.postgres import Connection, JsonText, load_queries
from milepost.schema.compile import ActivityColumn
from milepost.storage._cold_columns import ColdColumn, columns_of_row
from milepost.storage._parquet import NEWEST_FIRST, OLDEST_FIRST, bounds_of_ids, read
from milepost.storage.cold_files import ColdFiles
from milepost.storage.manifest import ColdFile, files_between, files_of

__all__ = ["OF_OBJECTS", "Cold", "ColdFound", "Wanted", "all_of", "as_json", "places", "plain"]

queries = load_queries(__package__, "cold.sql")

OF_OBJECTS = (
    "c.object_id IN (SELECT unnest($object_ids::VARCHAR[]))"  # which the bounds of a group of rows can rule out
    " AND (c.object_kind || chr(31) || c.object_id) IN (SELECT unnest($objects::VARCHAR[]))"
)
SCANNED_MAX = 4_000
STEP_MAX = 1_000
FILES_MAX = 16
PIECE = 2_000  # rows in one parameter


class Wanted(Protocol):
    """Which activities are wanted. matches: conditions on activities `s` in PostgreSQL. stored: conditions on cold rows `c` in DuckDB, of
    which each wanted one meets one, and no row two; none: any row may be wanted. parameters: of both.

    What is stored is looked for by each of these alone: the bounds of a column rule pieces of a file out, but never by an OR.
    """

    @property
    def matches(self) -> tuple[LiteralString, ...]: ...

    @property
    def stored(self) -> tuple[str, ...]: ...

    @property
    def parameters(self) -> dict[str, Any]: ...


@dataclass(frozen=True, kw_only=True)
class ColdFound:
    """rows: by id, newest first, each an object of JSON. end: every cold one from here up is among them; None: all there are."""

    rows: Mapping[UUID, bytes] = field(default_factory=dict)
    end: UUID | None = None


class Cold:
    """columns: every m_ and d_ column of the activity table."""

    def __init__(self, files: ColdFiles, columns: Mapping[str, ActivityColumn]) -> None:
        self.files = files
        self.columns = columns_of_row(columns)

    async def newest(self, conn: Connection, tenant_id: int, wanted: Wanted, low: UUID, high: UUID, most: int) -> ColdFound:
        """The newest cold ones from `low` on, below `high`: `most` of them, all there are, or fewer with an end."""
        waiting = await files_between(conn, tenant_id, low, high)
        found: dict[UUID, bytes] = {}
        opened: list[ColdFile] = []
        ahead, tried = 2, 0  # one statement reads them, and passes over the second as soon as the first has enough
        step, scanned, upper = min(most, STEP_MAX), 0, high
        while waiting:
            opened, waiting = [*opened, *waiting[:ahead]], waiting[ahead:]
            tried += ahead
            # Below the newest of the files that are not opened yet, nothing is certain.
            floor = max(low, UUID(int=waiting[0].high.int + 1)) if waiting else low
            if floor >= upper:
                continue
            # Where nothing is tested, about as many rows as are wanted lie in a window; else all there are would be sorted for them.
            near = floor if wanted.stored else max(floor, _window(opened, upper, 2 * most))
            near = near if near < upper else floor
            while True:
                rows = await self._rows(conn, tenant_id, opened, wanted, near, upper, step)
                kept = await self._judged(conn, tenant_id, wanted, rows)
                found |= {id: rows[id] for id in rows if id in kept}
                scanned += len(rows)
                exhausted = len(rows) < step
                upper = near if exhausted else min(rows)
                if exhausted and near == floor:
                    break
                if len(found) >= most or scanned >= SCANNED_MAX:
                    return ColdFound(rows=found, end=upper)
                if exhausted:
                    near = floor
                step = min(step * 4, STEP_MAX)
            if waiting and (len(found) >= most or tried >= FILES_MAX):
                return ColdFound(rows=found, end=floor)
            opened = [file for file in opened if file.low < floor]
            # As many as seem to hold the rest; what little there is of the file that a page begins in would promise far too many.
            seem = -(-tried * (most - len(found)) // len(found)) if found else tried
            ahead = min(FILES_MAX - tried, seem, 4 * tried)
        return ColdFound(rows=found, end=None)

    async def stretch(
        self, conn: Connection, tenant_id: int, low: UUID, high: UUID, most: int, *, newest: bool = False
    ) -> tuple[UUID, list[JsonText]]:
        """The first `most` cold ones from low on, below high, or the newest, for a table or index that is filled from history; shadowed
        ones too. → below which id (or, of the newest, from which id on) these are all, and their rows in pieces.
        """
        files = await files_between(conn, tenant_id, low, high)
        if not files:
            return (low if newest else high), []
        condition, bounds = bounds_of_ids(low, high)
        sources = await self.files.fetch_all(files)
        order = NEWEST_FIRST if newest else OLDEST_FIRST
        rows = await read(sources, self.columns, where=condition, parameters=bounds, order=order, limit=most + 1)
        found = [as_json(tenant_id, self.columns, row) for row in rows]
        end = low if newest else high
        if len(found) > most:
            after, _ = found.pop()
            end = found[-1][0] if newest else after
        texts = [text for _, text in found]
        return end, [JsonText(_list(texts[first : first + PIECE])) for first in range(0, len(texts), PIECE)]

    async def busy(
        self, conn: Connection, tenant_id: int, objects: Collection[tuple[str | None, str | None]], since: UUID
    ) -> list[str]:
        """Of these objects (kind and id) those of which there are cold activities from the id `since` on: kind and id, chr(31) between."""
        files = await files_between(conn, tenant_id, since, LARGEST_ID) if objects else []
        if not files:
            return []
        condition, bounds = bounds_of_ids(since, LARGEST_ID)
        given = {
            "object_ids": sorted({one or "" for _, one in objects}),
            "objects": sorted(f"{kind or ''}\x1f{one or ''}" for kind, one in objects),
        }
        where = f"{OF_OBJECTS} AND {condition}"
        sources = await self.files.fetch_all(files)
        rows = await read(
            sources, self.columns, picked=["c.object_kind", "c.object_id"], where=where, parameters=given | bounds
        )
        return sorted({f"{kind}\x1f{one}" for kind, one in rows})

    async def of_ids(
        self,
        conn: Connection,
        tenant_id: int,
        ids: Sequence[UUID],
        *,
        matches: LiteralString = "true",
        parameters: Mapping[str, Any] = MappingProxyType({}),
    ) -> dict[UUID, tuple[UUID, bytes]]:
        """asked id → current id and cold row, of those that are cold and meet the condition on `s`. One that was moved is found by its old id."""
        given = {"tenant_id": tenant_id, "ids": list(ids)}
        current: dict[UUID, UUID] = dict(await (await conn.execute(queries.current_ids, given)).fetchall())
        files = await files_of(conn, tenant_id, list(current.values()))
        if not files:
            return {}
        asked = _OfIds(ids=tuple(current.values()), matches=(matches,), given={**parameters, "tenant_id": tenant_id})
        low, high = min(asked.ids), UUID(int=max(asked.ids).int + 1)
        rows = await self._rows(conn, tenant_id, files, asked, low, high, None)
        kept = await self._judged(conn, tenant_id, asked, rows)
        return {old: (id, rows[id]) for old, id in current.items() if id in kept}

    async def shown(
        self, conn: Connection, tenant_id: int, rows: Sequence[bytes], columns: LiteralString
    ) -> list[tuple[Any, ...]]:
        """Cold rows in the columns that are selected of activities `s`, actors `a` and groups `g`; in no order."""
        if not rows:
            return []
        query = queries.shown.replace("{columns}", columns)
        return await (await conn.execute(query, {"tenant_id": tenant_id, "cold_rows": JsonText(_list(rows))})).fetchall()

    async def _rows(
        self,
        conn: Connection,
        tenant_id: int,
        files: Sequence[ColdFile],
        wanted: Wanted,
        low: UUID,
        high: UUID,
        limit: int | None,
    ) -> dict[UUID, bytes]:
        if high <= low:
            return {}
        within = [file for file in files if file.low < high and file.high >= low]
        if not within:
            return {}
        condition, bounds = bounds_of_ids(low, high)
        sources = await self.files.fetch_all(within)
        parameters = {name: plain(value) for name, value in wanted.parameters.items()} | bounds
        # Each condition by itself, so that they may take a processor each.
        parts = await gather(
            *(
                read(sources, self.columns, where=all_of([condition, one]), parameters=parameters, limit=limit)
                for one in wanted.stored or ("true",)
            )
        )
        rows = sorted((row for part in parts for row in part), key=itemgetter(0, 1), reverse=True)
        return dict(as_json(tenant_id, self.columns, row) for row in rows[:limit])

    async def _judged(self, conn: Connection, tenant_id: int, wanted: Wanted, rows: Mapping[UUID, bytes]) -> set[UUID]:
        if not rows:
            return set()
        query = queries.judged.replace("{matches}", " AND ".join(("true", *wanted.matches)))
        given = {**wanted.parameters, "tenant_id": tenant_id, "cold_rows": JsonText(_list(list(rows.values())))}
        return {row[0] for row in await (await conn.execute(query, given)).fetchall()}


@dataclass(frozen=True, kw_only=True)
class _OfIds:
    ids: tuple[UUID, ...]
    matches: tuple[LiteralString, ...]
    given: Mapping[str, Any]

    @property
    def stored(self) -> tuple[str, ...]:
        return ("(c.us::HUGEINT * 4611686018427387904) + c.hash IN (SELECT unnest($places::HUGEINT[]))",)

    @property
    def parameters(self) -> dict[str, Any]:
        return {**self.given, "places": places(self.ids)}


def _window(files: Sequence[ColdFile], upper: UUID, rows: int) -> UUID:
    """From which id on, below `upper`, about so many rows of these files lie."""
    top, newest = place_of(upper), max(place_of(file.high) for file in files)
    density = sum(file.rows / (place_of(file.high) - place_of(file.low) + 1) for file in files)
    return UUID(int=id_high(max(0, min(top, newest) - round(rows / density))) << 64)


def place_of(id: UUID) -> int:
    """An id's time, in microseconds."""
    return (id.int >> 80) * 1000 + min(id.int >> 66 & 0x3FF, 999)


def places(ids: Sequence[UUID]) -> list[int]:
    """Ids as DuckDB compares them with cold rows: the time above the 62 bits of hash."""
    return [((id.int >> 80) * 1000 + (id.int >> 66 & 0x3FF)) << 62 | id.int & (1 << 62) - 1 for id in ids]


def as_json(tenant_id: int, columns: Sequence[ColdColumn], row: Sequence[Any]) -> tuple[UUID, bytes]:
    """The id and the JSON of a cold row, as a record of the activity table."""
    values = {column.name: value for column, value in zip(columns, row, strict=True) if value is not None}
    us, hashed, received = values.pop("us"), values.pop("hash"), values.pop("received")
    id = UUID(int=activity_id(us, hashed))
    record: dict[str, Any] = {
        "tenant_id": tenant_id,
        "id": id,
        "occurred_at": _moment(us),
        "received_at": _moment(us + received),
    }
    for column in columns:
        if (value := values.get(column.name)) is None:
            continue
        if column.stage == "jsonb":
            value = msgspec.Raw(value.encode())
        elif column.back.startswith("timestamptz"):
            value = _moment(value)
        record[column.name] = value
    return id, msgspec.json.encode(record)


def _moment(us: int) -> datetime:
    return YEAR_ONE + timedelta(microseconds=us)


def all_of(conditions: Sequence[str]) -> str:
    return " AND ".join(f"({one})" for one in conditions)


def plain(value: Any) -> Any:
    """As DuckDB compares it: a time is its microseconds."""
    return microseconds(value) if isinstance(value, datetime) else value


def _list(rows: Sequence[bytes]) -> bytes:
    return b"[" + b",".join(rows) + b"]"
