"""How long statements take on a database that is in use, and which indexes their plans use: reads alone, each a few times in turn."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from milepost.doctor.advisor.planning import nodes_of
from milepost.doctor.advisor.shape_reader import written_by
from milepost.doctor.advisor.workload import Statement
from milepost.postgres import Connection, translated

__all__ = ["readable", "times"]

RUNS = 7


def readable(statement: Statement) -> bool:
    """It can be run, and writes nothing."""
    return not statement.parameters and written_by(statement.sql) is None


async def times(
    reader: Connection, statements: Sequence[Statement], *, runs: int = RUNS
) -> tuple[dict[str, float], dict[str, frozenset[str]]]:
    """Medians in ms, of runs in turn; the first of each fills the caches. And the indexes that each plan uses."""
    used: dict[str, frozenset[str]] = {}
    taken: dict[str, list[float]] = {one.name: [] for one in statements}
    with translated(reader):
        for number in range(runs + 1):
            for one in statements:
                row = await (await reader.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {one.sql}".encode())).fetchone()
                assert row is not None
                used[one.name] = frozenset(
                    str(node["Index Name"]) for node in nodes_of(row[0][0]["Plan"]) if "Index Name" in node
                )
                if number > 0:
                    taken[one.name].append(max(row[0][0]["Execution Time"], 1e-3))
    return {name: median(values) for name, values in taken.items()}, used
