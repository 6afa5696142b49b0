"""The last rung: an index built on the database itself, judged there, and kept only if it helps.

The statements that it shall help, and others as controls, are run before and after the build, reads alone, each a few times within a
time limit. What changed for the controls has nothing to do with the index (load, caches): ratios are taken against theirs. An index
that is used by none of its statements to run faster, or that was not built validly, is dropped again, without blocking anyone either way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from milepost.doctor.advisor.index import Index
from milepost.doctor.advisor.planning import nodes_of
from milepost.doctor.advisor.shapes import written_by
from milepost.doctor.advisor.workload import Statement
from milepost.doctor.target import Target
from milepost.errors import InvalidInput, MilepostError
from milepost.postgres import Connection, load_queries, translated

__all__ = ["Applied", "apply"]

queries = load_queries(__package__, "apply.sql")

RUNS = 7
CONTROLS_MAX = 3
TIMEOUT_MS = 30_000
HELPS_RATIO = 0.95  # of the time before, against the controls
# A build waits for every transaction that is older than it, and holds nobody up meanwhile; a drop, too.
BUILDING = {"lock_timeout": "0", "statement_timeout": "0"}


@dataclass(frozen=True, kw_only=True)
class Applied:
    """kept: whether the index stays. ratios: of each statement's time after to before, against the controls'. why: if it does not."""

    index: Index
    kept: bool
    ratios: Mapping[str, float]
    control_ratio: float
    why: str | None


async def apply(target: Target, index: Index, helped: Iterable[Statement], others: Iterable[Statement]) -> Applied:
    """Builds it concurrently on the target. helped: statements that it shall make faster. others: of them come the controls."""
    helped = [one for one in helped if _readable(one)]
    controls = [one for one in others if _readable(one) and one not in helped][:CONTROLS_MAX]
    name = f"{index.schema}{index.name}"
    async with target.reading(statement_timeout_ms=TIMEOUT_MS) as reader, target.writing(settings=BUILDING) as writer:
        # What bears the name already is somebody else's: nothing of it is touched.
        if await (await writer.execute(queries.is_valid, [name])).fetchone() is not None:
            raise InvalidInput(f"There is an index {name} already.")
        before, _ = await _times(reader, [*helped, *controls])
        try:
            with translated(writer):
                await writer.execute(index.definition(index.name, concurrently=True).encode())
        except MilepostError as error:
            await _drop(writer, name)
            return Applied(index=index, kept=False, ratios={}, control_ratio=1.0, why=str(error))
        row = await (await writer.execute(queries.is_valid, [name])).fetchone()
        if row is None or not row[0]:
            await _drop(writer, name)
            return Applied(
                index=index, kept=False, ratios={}, control_ratio=1.0, why="the build left an index that is not valid"
            )
        after, used = await _times(reader, [*helped, *controls])
        control = median([after[one.name] / before[one.name] for one in controls] or [1.0])
        ratios = {one.name: after[one.name] / before[one.name] / control for one in helped}
        # Faster without using it is luck.
        if ratios and not any(ratio <= HELPS_RATIO and index.name in used[one] for one, ratio in ratios.items()):
            await _drop(writer, name)
            return Applied(
                index=index, kept=False, ratios=ratios, control_ratio=control, why="it made none of its statements faster here"
            )
    return Applied(index=index, kept=True, ratios=ratios, control_ratio=control, why=None)


def _readable(statement: Statement) -> bool:
    return not statement.parameters and written_by(statement.sql) is None


async def _drop(writer: Connection, name: str) -> None:
    with translated(writer):
        await writer.execute(Index.removal_of(name).encode())


async def _times(reader: Connection, statements: list[Statement]) -> tuple[dict[str, float], dict[str, set[str]]]:
    """Medians in ms, of runs in turn; the first of each fills the caches. And the indexes that each plan uses."""
    used: dict[str, set[str]] = {}
    runs: dict[str, list[float]] = {one.name: [] for one in statements}
    with translated(reader):
        for number in range(RUNS + 1):
            for one in statements:
                row = await (await reader.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {one.sql}".encode())).fetchone()
                assert row is not None
                used[one.name] = {str(node["Index Name"]) for node in nodes_of(row[0][0]["Plan"]) if "Index Name" in node}
                if number > 0:
                    runs[one.name].append(max(row[0][0]["Execution Time"], 1e-3))
    return {name: median(values) for name, values in runs.items()}, used
