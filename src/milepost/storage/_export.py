"""Export: the due activities of one tenant in one partition, into files that are read back and compared.

It is read in slices, each of one snapshot. What is loaded, corrected or retracted since the export began is named by the journal, and stays in
PostgreSQL, whichever a slice has seen. A file is on the list before it is on the store, so what a killed run leaves can be found; it is `verified`
once what was fetched again from the store has as many rows as PostgreSQL counted, and their marks come to the same sum.

Files that the archive has already and that reach into the span are written anew where a row of theirs is in PostgreSQL again, or was
retracted or moved, or where they are small; so each activity is in one file, and late data does not leave a file for each run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

from milepost import faults
from milepost.activity import activity_id
from milepost.background import Pace
from milepost.postgres import Connection, load_queries
from milepost.storage._cold_columns import ColdColumn, postgres_mark
from milepost.storage._parquet import ColdFileDamaged, Source, summed, write
from milepost.storage.by_index import plan_by_index
from milepost.storage.cold import places
from milepost.storage.cold_files import ColdFiles, digest_of
from milepost.storage.due import Due
from milepost.storage.manifest import ColdFile, files_between
from milepost.storage.manifest import queries as manifest

__all__ = ["IN_LIST", "Exported", "Exporter"]

queries = load_queries(__package__, "archive.sql")

FILE_ROWS_MAX = 250_000
SLICE_ROWS = 300  # that are read at once: some milliseconds
SLICE_ROWS_HURRIED = 4_000  # where a run never rests
SLICE_ROWS_IDLE = 20_000  # where none is due, slices grow to so many
SMALL_ROWS = 25_000  # of a file that is put together with what comes to its span
KEPT_MAX = 5_000  # rows that may stay of a partition that goes as a whole
IN_LIST = "(c.us::HUGEINT * 4611686018427387904) + c.hash IN (SELECT unnest($without::HUGEINT[]))"


@dataclass(frozen=True, kw_only=True)
class Exported:
    """new: files that are verified. old: files that they replace. rows: that left PostgreSQL's side. kept: ids of the rows that stay; None:
    too many to list. position: of the tenant's journal when the export began.
    """

    new: tuple[ColdFile, ...] = ()
    old: tuple[ColdFile, ...] = ()
    rows: int = 0
    bytes: int = 0
    kept: tuple[UUID, ...] | None = ()
    position: int = 0


@dataclass(kw_only=True)
class _Taken:
    """What was taken for one file. first: id of its rows. kept: ids that stay, no more than tell that they are too many. next: where the next file begins; None: that was all."""

    rows: int = 0
    marks: Decimal = Decimal(0)
    first: UUID | None = None
    kept: list[UUID] = field(default_factory=list)
    next: UUID | None = None


@dataclass(kw_only=True)
class Exporter:
    """owner: writes the list of files. reading: another of the owner's connections, outside of transactions. pace: between slices of the work."""

    owner: Connection
    reading: Connection
    files: ColdFiles
    columns: Sequence[ColdColumn]
    pace: Pace = field(default_factory=Pace)

    async def export(self, tenant_id: int, part: str, low: UUID, high: UUID, due: Due) -> Exported:
        given = {**due.parameters, "tenant_id": tenant_id, "low": low, "high": high}
        if await self._one(queries.filling, given):
            return Exported(kept=None)
        # Before all that is read: what is loaded later is named by the journal.
        position = await self._one(queries.position, given)
        new, old, rows, kept = list[ColdFile](), dict[ColdFile, list[UUID]](), 0, list[UUID]()
        first, at = None, low if low < high else None
        while at is not None:
            csv = self.files.scratch("csv")
            try:
                taken = await self._take(csv, due, {**given, "low": at})
                at, first, rows = taken.next, first or taken.first, rows + taken.rows
                kept += taken.kept[: KEPT_MAX + 1 - len(kept)]
                if at is None and first is not None:
                    old = await self._replaced(tenant_id, first, high)
                made = await self._file(
                    tenant_id, part, csv=csv if taken.rows else None, hot=(taken.rows, taken.marks), old=old
                )
            finally:
                csv.unlink(missing_ok=True)
            new += [made] if made else []
        return Exported(
            new=tuple(new), old=tuple(old), rows=rows, bytes=sum(file.bytes for file in new),
            kept=None if len(kept) > KEPT_MAX else tuple(kept), position=position,
        )  # fmt: skip

    async def rewrite(self, tenant_id: int, old: dict[ColdFile, list[UUID]]) -> ColdFile | None:
        """One file in place of these, without those ids. None: nothing is left."""
        return await self._file(tenant_id, next(iter(old)).part, csv=None, hot=(0, Decimal(0)), old=old)

    # ── one file ──

    async def _file(
        self, tenant_id: int, part: str, *, csv: Path | None, hot: tuple[int, Decimal], old: dict[ColdFile, list[UUID]]
    ) -> ColdFile | None:
        sources = await self.files.fetch_all(old)
        without = {"without": places([id for ids in old.values() for id in ids])}
        rows, marks = hot
        if sources:
            cold = await summed(sources, self.columns, f"NOT ({IN_LIST})", without, pace=self.pace)
            rows, marks = rows + cold.rows, marks + cold.marks
        if not rows:
            return None
        begun = {"tenant_id": tenant_id, "part": part, "folder": f"cold/{tenant_id}/{part}"}
        file_id, path = await (await self.owner.execute(manifest.begin, begun)).fetchone() or (0, "")
        scratch = self.files.scratch("parquet")
        try:
            await write(scratch, self.columns, csv=csv, sources=sources, without=IN_LIST, parameters=without, pace=self.pace)
            data = await asyncio.to_thread(scratch.read_bytes)
            await self.files.put(path, data)
            faults.reach("archive.written")
            await asyncio.to_thread(scratch.write_bytes, await self.files.get(path))
            again = await summed(
                [Source(path=scratch, columns=tuple(c.name for c in self.columns))], self.columns, pace=self.pace
            )
        finally:
            scratch.unlink(missing_ok=True)
        if (again.rows, again.marks) != (rows, int(marks)) or again.span is None:
            raise ColdFileDamaged(
                f"The file {path} was read back with {again.rows} rows and the sum {again.marks}, not {rows} and {marks}.",
                path=path,
            )
        file = ColdFile(
            file_id=file_id, path=path, part=part, low=_id(again.span[:2]), high=_id(again.span[2:]), rows=rows, checksum=Decimal(marks),
            bytes=len(data), digest=digest_of(data), columns=tuple(column.name for column in self.columns),
        )  # fmt: skip
        values = {
            "tenant_id": tenant_id,
            **{name: getattr(file, name) for name in ("file_id", "low", "high", "rows", "checksum")},
        }
        values |= {"bytes": file.bytes, "digest": file.digest, "columns": list(file.columns)}
        await self.owner.execute(manifest.verified, values)
        faults.reach("archive.verified")
        return file

    async def _replaced(self, tenant_id: int, low: UUID, high: UUID) -> dict[ColdFile, list[UUID]]:
        """The files in this span that are written anew, each with the ids that it loses."""
        found = {}
        for file in await files_between(self.reading, tenant_id, low, high):
            given = {"tenant_id": tenant_id, "low": file.low, "high": file.high}
            shadows = await self._ids(queries.shadows, given)
            held = await summed(
                [await self.files.fetch(file)], self.columns, IN_LIST, {"without": places(shadows)}, pace=self.pace
            )
            if held.rows or file.rows <= SMALL_ROWS:
                found[file] = list(shadows)
        return found

    # ── asking ──

    async def _take(self, csv: Path, due: Due, given: dict[str, Any]) -> _Taken:
        """The due rows from `low` on, as many as a file has, slice by slice. Each slice is of one snapshot, and soon over: rows that change
        meanwhile could not be cleaned up behind it, and all who read or count on the rows that change most would have to step over the dead.
        """
        taken, least = _Taken(), min(SLICE_ROWS if self.pace.rests else SLICE_ROWS_HURRIED, FILE_ROWS_MAX)
        export = self._due(queries.export, due, columns=", ".join(column.out for column in self.columns))
        sums = self._due(queries.marks, due, mark=postgres_mark(self.columns))
        low, size, more = given["low"], least, True
        with csv.open("wb") as file:
            while more and taken.rows + size <= FILE_ROWS_MAX:
                look = self._due(queries.slice, due, rows=str(size))
                async with self.reading.transaction():
                    await self.reading.execute(queries.snapshot)
                    await plan_by_index(self.reading, sorts=True)
                    seen, here, first, stay, last = await self._row(
                        look, {**given, "low": low, "room": KEPT_MAX + 1 - len(taken.kept)}
                    )
                    if here:
                        span = {**given, "low": low, "high": UUID(int=last.int + 1)}
                        async with self.reading.cursor() as cursor, cursor.copy(export, span) as copy:
                            async for data in copy:
                                file.write(data)
                        rows, marks = await self._row(sums, span)
                        taken.rows, taken.marks, taken.first = taken.rows + rows, taken.marks + marks, taken.first or first
                    taken.kept += stay or ()
                more, low = seen == size, UUID(int=last.int + 1) if seen else low
                size = least if here else min(4 * size, SLICE_ROWS_IDLE, FILE_ROWS_MAX)
                await self.pace.pause()
        taken.next = low if more else None
        return taken

    def _due(self, query: LiteralString, due: Due, **words: LiteralString) -> LiteralString:
        for name, word in {"due": due.condition, **words}.items():
            query = query.replace("{" + name + "}", f"({word})" if name == "due" else word)
        return query

    async def _row(self, query: LiteralString, given: dict[str, Any]) -> Any:
        return await (await self.reading.execute(query, given)).fetchone()

    async def _one(self, query: LiteralString, given: dict[str, Any]) -> Any:
        return (await self._row(query, given))[0]

    async def _ids(self, query: LiteralString, given: dict[str, Any]) -> tuple[UUID, ...]:
        return tuple(row[0] for row in await (await self.reading.execute(query, given)).fetchall())


def _id(place: Sequence[int]) -> UUID:
    return UUID(int=activity_id(*place))
