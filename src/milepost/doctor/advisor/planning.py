"""The target's planner without the target: a copy of schema, statistics and sizes that holds no row.

pg_dump brings the schema and the statistics. The planner takes a table's and an index's pages from the size of their files, so each
file is made as long as on the target: a hole, which takes no disk. Then every statement is planned as there (with the target's
planner settings), and an index is made in an instant, since there is nothing to sort; its file, too, is made as long as the index
would be. Which indexes a plan may use is one UPDATE of `pg_index`. What the copy cannot know is told in `docs/decisions/`: the
height of a B-tree, data of extended statistics, and what differs between the target's version and the copy's.

Nothing is written to the target, and nothing but its catalogue is read. The copy's server must be one of ours, of version 18 or
later (it takes statistics), with autovacuum off, on this machine. How it fails: `DatabaseUnavailable` if the target does not let
itself be dumped; what the copy does not take (a missing extension) is in `missing`, and statements that need it have no plan.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from milepost.doctor.advisor.index import Index
from milepost.doctor.advisor.workload import Statement
from milepost.doctor.target import Target
from milepost.errors import DatabaseUnavailable, InvalidInput, MilepostError
from milepost.postgres import Connection, Database, EmbeddedServer, Jsonb, dict_row, find_bin, load_queries, translated

__all__ = ["Plan", "PlanningCopy", "Size", "nodes_of"]

queries = load_queries(__package__, "planning.sql")

PAGE_BYTES = 8192
SEGMENT_BYTES = 1 << 30
VERSION_MIN = 180_000
DUMP = (
    "--no-data --statistics --no-owner --no-privileges --no-comments --no-publications --no-subscriptions --no-tablespaces"
    " --no-security-labels --lock-wait-timeout=5s"
)


@dataclass(frozen=True, kw_only=True)
class Size:
    """Of a relation: pages of 8 kB, and rows."""

    pages: int
    rows: float

    @property
    def bytes(self) -> int:
        return self.pages * PAGE_BYTES


@dataclass(frozen=True, kw_only=True)
class Plan:
    """cost: the planner's units. rows: it expects. used: names of indexes, as EXPLAIN prints them; of a partitioned one, not those of its parts. root: the whole, as JSON."""

    cost: float
    rows: float
    used: frozenset[str]
    root: Mapping[str, Any]


class PlanningCopy:
    """calls: how often a statement was planned so far. missing: what the copy did not take, as psql said it."""

    def __init__(self, url: str, folder: Path, sizes: list[dict[str, Any]], connection: Connection) -> None:
        self._url = url
        self._folder = folder
        self._sizes = {row["relation"]: row for row in sizes}
        self._connection = connection
        self._files: dict[str, Path] = {}
        self._toggled: dict[
            str, tuple[str, ...]
        ] = {}  # name of an index → what names it, or each of its partitions, to PostgreSQL
        self._made: dict[str, str] = {}  # the same of those that were made, whole
        self._whole: dict[str, str] = {}  # name of a partition's index → name of the index that it is a part of
        self._numbers: dict[str, int] = {}  # oid of a qualified name
        self._shown: frozenset[str] | None = None  # None: nobody knows
        self.calls = 0
        self.missing: tuple[str, ...] = ()

    @classmethod
    @asynccontextmanager
    async def open(cls, target: Target, server: EmbeddedServer) -> AsyncIterator[PlanningCopy]:
        """A copy of the target as it is now, gone when the block ends."""
        name = f"planning_{uuid4().hex[:12]}"
        url = server.ensure_database(name)
        try:
            if (await Target.open(url)).version < VERSION_MIN:
                raise InvalidInput(
                    "Planning without the target's rows needs programs of PostgreSQL 18 or later (MILEPOST_PG_BIN)."
                )
            missing = await _restore(target.url, url)
            async with target.reading() as connection:
                settings = dict(await (await connection.execute(queries.settings)).fetchall())
                await connection.execute("SET search_path = ''")
                cursor = connection.cursor(row_factory=dict_row)
                sizes = await (await cursor.execute(queries.sizes)).fetchall()
            async with await _connect(url) as connection:
                with translated(connection):
                    row = await (await connection.execute(queries.data_directory)).fetchone()
                    assert row is not None
                    copy = cls(url, Path(row[0]), sizes, connection)
                    copy.missing = missing
                    await copy._resize(connection, sizes)
                    await connection.execute(queries.set, [Jsonb(settings)])
                    yield copy
        finally:
            server.drop_database(name)

    @asynccontextmanager
    async def catalogue(self) -> AsyncIterator[Connection]:
        """A connection to the copy with an empty search path: every name that it prints is qualified."""
        async with await _connect(self._url) as connection:
            with translated(connection):
                yield connection

    async def make(self, wanted: Mapping[str, tuple[Index, Size]]) -> dict[str, MilepostError]:
        """Makes an index of each name, as large as given. → what could not be made, and why."""
        failed: dict[str, MilepostError] = {}
        # A session that has seen a table of many segments keeps looking at the last one: a build needs one that has not.
        async with self.catalogue() as connection:
            tables = [sorted({index.table for index, _ in wanted.values()})]
            leaves = [leaf for (leaf,) in await (await connection.execute(queries.leaves, tables)).fetchall()]
            heaps = [self._sizes[leaf] for leaf in leaves if leaf in self._sizes]
            for heap in heaps:
                _lengthen(self._files[heap["relation"]], 0)  # a build reads its table: it must be short meanwhile
            for name, (index, _) in wanted.items():
                try:
                    with translated(connection):
                        await connection.execute(index.definition(name).encode())
                except MilepostError as error:
                    failed[name] = error
            made = {f"{index.schema}{name}": (name, size) for name, (index, size) in wanted.items() if name not in failed}
            parts: dict[str, list[tuple[str, str]]] = {}
            for whole, part, leaf in await (await connection.execute(queries.parts, [list(made)])).fetchall():
                parts.setdefault(whole, []).append((part, leaf))
            rows = [one for whole, (_, size) in made.items() for one in self._shares(parts[whole], size)]
            await self._resize(connection, [*rows, *heaps])
        for whole, (name, _) in made.items():
            self._made[name] = whole
            self._toggled[name] = tuple(part for part, _ in parts[whole])
            self._whole |= {part.rpartition(".")[2].strip('"'): name for part in self._toggled[name]}
        self._shown = None
        return failed

    def _shares(self, parts: list[tuple[str, str]], size: Size) -> Iterator[dict[str, Any]]:
        """How large each part of an index is. parts: (index, table)."""
        pages = [max(1, self._sizes[leaf]["pages"]) if leaf in self._sizes else 1 for _, leaf in parts]
        for (part, _), here in zip(parts, pages, strict=True):
            share = here / sum(pages)
            yield {"relation": part, "pages": math.ceil(size.pages * share), "rows": size.rows * share}

    async def describe(self, keys: Iterable[Mapping[str, Any]]) -> None:
        """Statistics of expressions: `relation` (a name given to `make`), `key` (from 1), `null_frac`, `width`, `n_distinct`."""
        given = [{**one, "relation": part} for one in keys for part in self._toggled[one["relation"]]]
        async with self.catalogue() as connection:
            await connection.execute(queries.describe, [Jsonb(given)])

    async def forget(self, names: Collection[str]) -> None:
        """Drops what `make` made."""
        if gone := [self._made.pop(name) for name in sorted(names)]:
            self._toggled = {name: parts for name, parts in self._toggled.items() if name not in names}
            self._shown = None
            async with self.catalogue() as connection:
                await connection.execute(queries.forget.format(names=", ".join(gone)).encode())

    def toggle(self, names: Mapping[str, str]) -> None:
        """Of these indexes of the target (name in plans → qualified name), too, it can be said whether they are there."""
        self._toggled |= {name: (qualified,) for name, qualified in names.items()}

    async def plan(self, statement: Statement, shown: Iterable[str]) -> Plan:
        """The plan when of all indexes that were made or are toggled only these are there."""
        now = frozenset(shown)
        if now != self._shown:
            changed = self._toggled.keys() if self._shown is None else now ^ self._shown
            numbers = {name: [self._numbers[part] for part in self._toggled[name]] for name in changed}
            shown_now = [number for name, parts in numbers.items() if name in now for number in parts]
            given = {"shown": shown_now, "changed": [number for parts in numbers.values() for number in parts]}
            await self._connection.execute(queries.show, given)
            self._shown = now
        return await self.explain(statement)

    async def explain(self, statement: Statement) -> Plan:
        """The plan with the indexes that are shown now."""
        self.calls += 1
        options = "FORMAT JSON, GENERIC_PLAN" if statement.parameters else "FORMAT JSON"
        # The simple protocol: `$1` stays open, and a `%` is one. What is asked often would be prepared, and then `$1` wants a value.
        with translated(self._connection):
            cursor = await self._connection.execute(f"EXPLAIN ({options}) {statement.sql}".encode(), prepare=False)
            row = await cursor.fetchone()
        assert row is not None
        root = row[0][0]["Plan"]
        names = [str(node["Index Name"]) for node in nodes_of(root) if "Index Name" in node]
        used = frozenset(self._whole.get(name, name) for name in names)
        return Plan(cost=root["Total Cost"], rows=root["Plan Rows"], used=used, root=root)

    async def _resize(self, connection: Connection, sizes: list[dict[str, Any]]) -> None:
        """Gives files their length, and the catalogue its counts."""
        names = [[row["relation"] for row in sizes]]
        for relation, file, number in await (await connection.execute(queries.files, names)).fetchall():
            self._files[relation], self._numbers[relation] = self._folder / file, number
        for row in sizes:
            if row["relation"] in self._files:
                _lengthen(self._files[row["relation"]], row["pages"] * PAGE_BYTES)
        await connection.execute(queries.count, [Jsonb(sizes)])


async def _connect(url: str) -> Connection:
    return await Database.connect_foreign(url, "doctor", settings={"search_path": ""})


def nodes_of(node: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from nodes_of(below)


def _lengthen(file: Path, length: int) -> None:
    """Makes a relation's file as long as that: a hole, in segments of 1 GB, as PostgreSQL looks for them."""
    number = 0
    while True:
        segment = file if number == 0 else file.with_name(f"{file.name}.{number}")
        here = min(length, SEGMENT_BYTES)
        if number > 0 and here == 0 and not segment.exists():
            return
        with segment.open("ab"):
            os.truncate(segment, here)
        length -= here
        number += 1


async def _restore(source: str, copy: str) -> tuple[str, ...]:
    """Schema and statistics, in one pipe of text. → what the copy refused."""
    programs = find_bin()
    dump = await _program([str(programs / "pg_dump"), *DUMP.split(), "-d", source], b"")
    if dump.code != 0:
        raise DatabaseUnavailable(f"The target's schema cannot be read: {dump.errors.strip()}")
    filled = await _program([str(programs / "psql"), "-X", "-q", "-d", copy], dump.output)
    return tuple(line for line in filled.errors.splitlines() if "ERROR:" in line)


@dataclass(frozen=True, kw_only=True)
class Ended:
    code: int
    output: bytes
    errors: str


async def _program(words: list[str], given: bytes) -> Ended:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe, stderr=pipe)
    output, errors = await process.communicate(given)
    return Ended(code=process.returncode or 0, output=output, errors=errors.decode(errors="replace"))
