"""What indexes do to statements, measured: both sides in turn on a database with rows, many times, with an interval.

The indexes are really built; before each run those that do not belong to its side are taken out of the catalogue in the run's own
transaction, which is rolled back: so two sides take turns (A B B A …) within milliseconds, on the same rows and the same caches, and
what a statement writes is gone again. Only for a database where this may be done: a scratch copy, by a superuser.

A time is the server's own (EXPLAIN ANALYZE's execution time). What is answered is the median of the ratios of neighbouring runs,
with the interval in which it lies by 95 % (order statistics: nothing is supposed of how times are distributed).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import comb
from statistics import median
from typing import Any

from milepost.doctor.advisor.index import Index
from milepost.doctor.advisor.planning import nodes_of
from milepost.doctor.advisor.workload import Statement
from milepost.postgres import Connection, load_queries, translated

__all__ = ["Bench", "Proof", "interval"]

queries = load_queries(__package__, "proof.sql")

ROUNDS_MIN, ROUNDS_MAX = 6, 30  # below six, no order statistic bounds the median by 95 %
CONFIDENCE = 0.95
SLOWER_RATIO, SLOWER_MS = 1.05, 0.03  # below, a difference is no regression that anyone would see


@dataclass(frozen=True, kw_only=True)
class Run:
    """ms: of execution. rows: that came from each index, before they were filtered. wal_bytes, updated, hot: of what it wrote."""

    ms: float
    used: frozenset[str]
    rows: Mapping[str, int]
    wal_bytes: int
    updated: int
    hot: int


@dataclass(frozen=True, kw_only=True)
class Proof:
    """One statement, before and after: medians in ms, and after/before with its interval. runs: of each side. used: by its plan after.
    wal_bytes, hot_share: before and after; of one that writes nothing 0 and None. rows: that came from each index after. doubt: why the
    ratio is no promise (`sample`).
    """

    statement: str
    before_ms: float
    after_ms: float
    ratio: float
    low: float
    high: float
    runs: int
    used: frozenset[str]
    wal_bytes: tuple[int, int]
    hot_share: tuple[float | None, float | None]
    rows: Mapping[str, int] = field(default_factory=dict)
    doubt: str | None = None

    @property
    def slower(self) -> bool:
        """Surely, by so much that it matters, and by its plan: what a write pays for new indexes is no regression."""
        return bool(self.used) and self.low > SLOWER_RATIO and self.after_ms - self.before_ms > SLOWER_MS

    @property
    def faster(self) -> bool:
        return self.high < 1 / SLOWER_RATIO


class Bench:
    """Indexes that are built on a database with rows, and may be there or not."""

    def __init__(self, connection: Connection, names: Iterable[str], toggled: Iterable[str]) -> None:
        self._connection = connection
        self.names = frozenset(names)
        self._all = sorted({*self.names, *toggled})
        self._toggled = frozenset(toggled)
        self._whole: dict[str, str] = {}  # a part's name → that of its partitioned index

    @classmethod
    async def build(
        cls, connection: Connection, indexes: Mapping[str, Index], toggled: Iterable[str] = ()
    ) -> tuple[Bench, Mapping[str, int]]:
        """→ with the bytes that each index takes. toggled: indexes of the database itself that a side may be without."""
        with translated(connection):
            for name, index in indexes.items():
                await connection.execute(index.definition(name).encode())
            # Statistics of expressions come with their index; and without the visibility map no side reads an index alone.
            for table in sorted({index.table for index in indexes.values()}):
                await connection.execute(f"VACUUM ANALYZE {table}".encode())
            bench = cls(connection, indexes, toggled)
            bench._whole = dict(await (await connection.execute(queries.parts, [list(indexes)])).fetchall())
            return bench, dict(await (await connection.execute(queries.sizes, [list(indexes)])).fetchall())

    async def compare(
        self, statement: Statement, before: Iterable[str], after: Iterable[str], *, seconds: float = 1.0
    ) -> Proof:
        """Both sides in turn, for about so many seconds."""
        sides = (frozenset(before), frozenset(after))
        runs: tuple[list[Run], list[Run]] = ([], [])
        for side in sides:
            await self.run(statement, side)  # caches are filled, for both alike
        spent = 0.0
        while len(runs[0]) < ROUNDS_MIN or (len(runs[0]) < ROUNDS_MAX and spent < seconds * 1000):
            for which in (0, 1) if len(runs[0]) % 2 == 0 else (1, 0):
                runs[which].append(await self.run(statement, sides[which]))
                spent += runs[which][-1].ms
        ratios = [max(two.ms, 1e-3) / max(one.ms, 1e-3) for one, two in zip(*runs, strict=True)]
        low, high = interval(ratios)
        return Proof(
            statement=statement.name,
            before_ms=median(run.ms for run in runs[0]),
            after_ms=median(run.ms for run in runs[1]),
            ratio=median(ratios),
            low=low,
            high=high,
            runs=len(ratios),
            used=runs[1][-1].used,
            wal_bytes=(_wal(runs[0]), _wal(runs[1])),
            hot_share=(_hot(runs[0]), _hot(runs[1])),
            rows=runs[1][-1].rows,
        )

    async def cost(self, statement: Statement, shown: frozenset[str]) -> float:
        """The planner's, with these indexes alone of those that were built."""
        with translated(self._connection):
            async with self._connection.transaction(force_rollback=True):
                await self._connection.execute(queries.show, {"shown": sorted(shown), "all": self._all})
                row = await (await self._connection.execute(f"EXPLAIN (FORMAT JSON) {statement.sql}".encode())).fetchone()
        assert row is not None
        return float(row[0][0]["Plan"]["Total Cost"])

    async def drop(self) -> None:
        """Drops all of them, those that are toggled included."""
        if self._all:
            await self._connection.execute(queries.drop.format(names=", ".join(self._all)).encode())

    async def run(self, statement: Statement, shown: frozenset[str]) -> Run:
        """Once, with these indexes alone of those that were built; what it wrote is gone."""
        connection = self._connection
        analyze = "EXPLAIN (ANALYZE, TIMING OFF, BUFFERS OFF, WAL, FORMAT JSON)"
        with translated(connection):
            async with connection.transaction(force_rollback=True):
                await connection.execute(queries.show, {"shown": sorted(shown), "all": self._all})
                before = await (await connection.execute(queries.hot)).fetchone()
                row = await (await connection.execute(f"{analyze} {statement.sql}".encode())).fetchone()
                after = await (await connection.execute(queries.hot)).fetchone()
        assert row is not None and before is not None and after is not None
        found: dict[str, Any] = row[0][0]
        rows: Counter[str] = Counter()
        for node in nodes_of(found["Plan"]):
            if "Index Name" in node:
                rows[self._whole.get(node["Index Name"], node["Index Name"])] += _fetched(node)
        updated, hot = (int(then) - int(now) for then, now in zip(after, before, strict=True))
        wal_bytes = int(found["Plan"].get("WAL Bytes", 0))
        used = frozenset(rows) & shown
        return Run(
            ms=found["Execution Time"],
            used=used,
            rows={name: rows[name] for name in used},
            wal_bytes=wal_bytes,
            updated=updated,
            hot=hot,
        )


def interval(ratios: Sequence[float]) -> tuple[float, float]:
    """Where the median lies by 95 %: between two of the values, counted from both ends."""
    ordered, n = sorted(ratios), len(ratios)
    tail, at = 0.0, 0
    while at < n // 2 and 2 * (tail + comb(n, at) / 2**n) <= 1 - CONFIDENCE:
        tail += comb(n, at) / 2**n
        at += 1
    if at == 0:
        return 0.0, float("inf")  # too few to say
    return ordered[at - 1], ordered[n - at]


def _fetched(node: Mapping[str, Any]) -> int:
    """Rows that a scan found, in all its rounds."""
    kinds = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
    return round(sum(float(node.get(kind, 0)) for kind in kinds) * float(node.get("Actual Loops", 0)))


def _wal(runs: Sequence[Run]) -> int:
    return int(median(run.wal_bytes for run in runs))


def _hot(runs: Sequence[Run]) -> float | None:
    updated = sum(run.updated for run in runs)
    return sum(run.hot for run in runs) / updated if updated else None
