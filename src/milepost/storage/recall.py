"""Recall: cold activities come back into PostgreSQL, within a load, before it changes something that depends on them.

    await recall.of_ids(conn, tenant_id, ids)                   # they are corrected or retracted
    await recall.for_delta(conn, tenant_id, compiled, taken_back=True)  # what is derived anew reads them
    await recall.of_history(conn, tenant_id, groups, actors, low)       # they are attributed anew

So a load knows one kind of row. A row that came back shadows its cold copy, equal to it, and goes back with the next archiving run.
Loads that touch nothing cold pay one look at an index.

`ROWS_MAX` bounds what one command may bring back; beyond it the command is refused (`Conflict`): restore the month first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

from milepost.activity import LARGEST_ID, SMALLEST_ID, id_from
from milepost.errors import Conflict
from milepost.postgres import Connection, JsonText, load_queries
from milepost.schema.compile import ActivityColumn, CompiledModel
from milepost.storage._cold_columns import columns_of_row
from milepost.storage._parquet import bounds_of_ids, read
from milepost.storage.cold import OF_OBJECTS, Cold, as_json, places, plain
from milepost.storage.cold_files import ColdFiles
from milepost.storage.manifest import files_between, files_of

__all__ = ["Recall"]

queries = load_queries(__package__, "recall.sql")

ROWS_MAX = 100_000
CHUNK = 2_000
# From the noon of a day in UTC to the end of what a repair of any local day that touches it reads.
AROUND = timedelta(hours=80)
IN_PLACES = "(c.us::HUGEINT * 4611686018427387904) + c.hash IN (SELECT unnest($places::HUGEINT[]))"
OF_ACTORS = "c.actor_id IN (SELECT unnest($actors::BIGINT[]))"
OF_GROUPS = "(c.group_id IN (SELECT unnest($groups::BIGINT[])) OR list_has_any(coalesce(c.more_groups, []), $groups::BIGINT[]))"


class Recall:
    """Of one lane. columns: every m_ and d_ column of the activity table. require_partitions: makes sure that ids have one."""

    def __init__(
        self,
        files: ColdFiles,
        columns: Mapping[str, ActivityColumn],
        require_partitions: Callable[[UUID, UUID], Awaitable[None]],
    ) -> None:
        self.cold = Cold(files, columns)
        self._columns = columns_of_row(columns)
        self._names: LiteralString = ", ".join(
            ("tenant_id", *(column.target for column in self._columns if column.target is not None))
        )
        self._require = require_partitions

    async def reaches(self, conn: Connection, tenant_id: int, low: UUID, high: UUID) -> bool:
        """Whether the archive may hold ids from low to high, both included."""
        return bool(await files_between(conn, tenant_id, low, UUID(int=min(high.int + 1, LARGEST_ID.int))))

    async def known(self, conn: Connection, tenant_id: int, ids: Sequence[UUID]) -> list[UUID]:
        """Which of these ids are in the archive, whatever became of them since."""
        files = await files_of(conn, tenant_id, ids)
        if not files:
            return []
        sources = await self.cold.files.fetch_all(files)
        rows = await read(sources, self._columns, where=IN_PLACES, parameters={"places": places(ids)})
        return [as_json(tenant_id, self._columns, row)[0] for row in rows]

    async def of_ids(self, conn: Connection, tenant_id: int, ids: Sequence[UUID]) -> None:
        """ids: also earlier ones, of activities that were moved."""
        found = await self.cold.of_ids(conn, tenant_id, ids)
        await self._bring_back(conn, tenant_id, dict(found.values()))

    async def for_delta(
        self, conn: Connection, tenant_id: int, compiled: CompiledModel, *, taken_back: bool, totals: bool = True
    ) -> None:
        """What the statements that derive from the delta read beside it. taken_back: it holds rows of sign -1. totals: numbers follow it."""
        if not (compiled.pairs or taken_back):
            return
        row = await (await conn.execute(queries.any, {"tenant_id": tenant_id})).fetchone()
        if row is None:
            return
        for pair in compiled.pairs:
            declared = compiled.model.pairs[pair.name]
            query = queries.touched_objects.replace("{pairs}", pair.table)
            verbs = [*declared.open, *declared.close]
            asked = {"tenant_id": tenant_id, "verbs": verbs, "high": row[0]}
            touched = await (await conn.execute(query, asked)).fetchall()
            await self._of_keys(conn, tenant_id, verbs, ("object_kind", "object_id"), touched)
        if not taken_back:
            return
        for latest in compiled.latest:
            # Of a key whose row shows something else, nothing changes.
            shown = await (await conn.execute(latest.shown, {"tenant_id": tenant_id})).fetchall()
            await self._of_keys(conn, tenant_id, latest.of, latest.keys, shown)
        if totals:
            gone = await (await conn.execute(queries.taken_back)).fetchall()
            await self._days(conn, tenant_id, compiled, gone)

    async def _of_keys(
        self, conn: Connection, tenant_id: int, verbs: Sequence[str], keys: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """All of these verbs that have one of these values of each key."""
        if not rows:
            return
        of = {key: sorted(set(values)) for key, values in zip(keys, zip(*rows, strict=True), strict=True)}
        given: dict[str, Any] = {"verbs": list(verbs)}
        conditions = ["c.verb IN (SELECT unnest($verbs::VARCHAR[]))"]
        if "object_id" in of:
            kind, one = keys.index("object_kind"), keys.index("object_id")
            given |= _objects([(row[kind], row[one]) for row in rows])
            conditions.append(OF_OBJECTS)
        if "actor_id" in of:
            given["actors"] = of["actor_id"]
            conditions.append(OF_ACTORS)
        if "group_id" in of:
            given["groups"] = of["group_id"]
            conditions.append(OF_GROUPS)
        await self._where(conn, tenant_id, " AND ".join(conditions), **given)

    async def _days(self, conn: Connection, tenant_id: int, compiled: CompiledModel, gone: Sequence[tuple[Any, ...]]) -> None:
        """The days of what is taken back, where a rollup or board keeps extremes: of its verbs, and of the actors if all go by actor."""
        model = compiled.model
        kept = [(part.keys, model.rollups[part.name].of) for part in compiled.rollups if part.note_dirty is not None]
        kept += [(one.tally.keys, model.boards[one.name].of) for one in compiled.boards if one.tally.note_dirty is not None]
        if not kept:
            return
        where = "c.verb IN (SELECT unnest($verbs::VARCHAR[]))"
        if all("actor_id" in keys for keys, _ in kept):
            where += f" AND {OF_ACTORS}"
        verbs = sorted({verb for _, of in kept for verb in of})
        for day in sorted({at.date() for _, at in gone}):
            noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
            low = id_from(noon - AROUND) if day.year > 1 else SMALLEST_ID
            actors = sorted({actor for actor, at in gone if at.date() == day})
            await self._where(conn, tenant_id, where, low=low, high=id_from(noon + AROUND), verbs=verbs, actors=actors)

    async def of_history(
        self, conn: Connection, tenant_id: int, *, groups: Collection[int], actors: Collection[int], low: UUID, members: bool
    ) -> None:
        """What a change of these groups or actors from `low` on attributes anew. members: also by who belongs to the groups."""
        if await (await conn.execute(queries.any, {"tenant_id": tenant_id})).fetchone() is None:
            return
        asked: dict[str, Any] = {"tenant_id": tenant_id, "groups": list(groups)}
        below = [row[0] for row in await (await conn.execute(queries.groups_below, asked)).fetchall()]
        who = set(actors)
        if members:
            asked["groups"] = below
            who |= {row[0] for row in await (await conn.execute(queries.members_below, asked)).fetchall()}
        await self._where(conn, tenant_id, f"{OF_GROUPS} OR {OF_ACTORS}", low=low, groups=below, actors=sorted(who))

    async def _where(
        self, conn: Connection, tenant_id: int, where: str, *, low: UUID = SMALLEST_ID, high: UUID = LARGEST_ID, **given: Any
    ) -> None:
        files = await files_between(conn, tenant_id, low, high)
        if not files:
            return
        condition, bounds = bounds_of_ids(low, high)
        sources = await self.cold.files.fetch_all(files)
        parameters = {name: plain(value) for name, value in given.items()} | bounds
        rows = await read(sources, self._columns, where=f"({where}) AND {condition}", parameters=parameters, limit=ROWS_MAX + 1)
        if len(rows) > ROWS_MAX:
            raise Conflict(
                f"This would bring back more than {ROWS_MAX} activities from the archive: restore what it concerns first"
                " (`milepost archive restore`)."
            )
        await self._bring_back(conn, tenant_id, dict(as_json(tenant_id, self._columns, row) for row in rows))

    async def _bring_back(self, conn: Connection, tenant_id: int, rows: Mapping[UUID, bytes]) -> None:
        if not rows:
            return
        await self._require(min(rows), max(rows))
        query = queries.bring_back.replace("{names}", self._names)
        texts = list(rows.values())
        for first in range(0, len(texts), CHUNK):
            text = JsonText(b"[" + b",".join(texts[first : first + CHUNK]) + b"]")
            await conn.execute(query, {"tenant_id": tenant_id, "cold_rows": text})


def _objects(objects: Sequence[Sequence[str]]) -> dict[str, Any]:
    """The parameters of `OF_OBJECTS`."""
    texts = sorted({f"{kind}\x1f{one}" for kind, one in objects})
    return {"objects": texts, "object_ids": sorted({one for _, one in objects})}
