"""Index advice on two whole workloads, side by side with Extend, the published algorithm, at equal bytes.

Two databases are made here: eight tables in the manner of TPC-H, thirteen in that of the Join Order Benchmark, skewed, with their
primary keys alone; `workloads/` has their rows and statements (joins of up to nine tables, look-ups, writes). For each budget both choose
indexes, each on a planning copy of its own. Then both sets are built for real, in one database, and:

- `cost`: the planner's, of the whole workload on the built indexes, in shares of what it costs without any;
- `time`: at the larger budget, the statements run in turn (A B B A …), each many times: medians times calls, in shares likewise;
- `slower`: statements that are surely slower with our indexes than without any (the interval's lower end above 1.05, and by 0.03 ms).

`cost_to_extend`, `time_to_extend`: ours by Extend's; at most 1 is "equal or better". `plans` are calls of the planner. Sizes are measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from time import perf_counter

from milepost.bench._advisor_rival import Extend
from milepost.bench._ground import say
from milepost.bench._report import Figure, Report
from milepost.doctor import Target
from milepost.doctor.advisor import Advice, Index, PlanningCopy, Statement, advise, read_statements
from milepost.doctor.advisor.advice import read_shapes
from milepost.doctor.advisor.proof import Bench
from milepost.doctor.advisor.prove import prove
from milepost.doctor.advisor.relations import Relations
from milepost.doctor.advisor.writes import Writes
from milepost.postgres import Connection, EmbeddedServer
from milepost.settings import Settings

__all__ = ["measure"]

WORKLOADS = ("tpch", "job")
BUDGETS_MB = (8, 24)
MEASURED_MB = 24
SECONDS = 0.4  # for each statement and pair of sides
SETTLED = b"VACUUM ANALYZE"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Who chose what, how large it was thought to be, and at what expense."""

    indexes: frozenset[Index]
    seconds: float
    plans: int


async def measure(settings: Settings, folder: Path) -> Report:
    report = Report(scenario="advisor", settings={"budgets_mb": list(BUDGETS_MB), "measured_mb": MEASURED_MB})
    # Statistics of nearly all rows: with a sample of some, each run would have a choice of its own.
    quiet = {"autovacuum": "off", "max_locks_per_transaction": "256", "default_statistics_target": "1000"}
    with EmbeddedServer.start(folder / "data", bin_dir=settings.pg_bin, settings=quiet) as server:
        for name in WORKLOADS:
            place = files("milepost.bench") / "workloads"
            target = await Target.open(server.ensure_database(name))
            workload = read_statements(Path(str(place / f"{name}.sql")))
            async with target.writing() as connection:
                say(f"making {name}")
                await connection.execute((place / f"{name}_data.sql").read_bytes())
                await connection.execute(SETTLED)
            for budget in BUDGETS_MB:
                ours, rival = await _ours(target, server, workload, budget), await _rival(target, server, workload, budget)
                async with target.writing() as connection:
                    await _compare(report, connection, f"{name}_{budget}mb", workload, ours, rival, timed=budget == MEASURED_MB)
    return report


async def _ours(target: Target, server: EmbeddedServer, workload: tuple[Statement, ...], budget_mb: int) -> Choice:
    advice: Advice = await advise(target, server, workload, budget=budget_mb << 20)
    assert not advice.skipped and not advice.missing
    say(f"{target.dbname}, {budget_mb} MB: {len(advice.make)} indexes in {advice.seconds:.1f} s, {advice.calls} plans")
    return Choice(indexes=frozenset(make.index for make in advice.make), seconds=advice.seconds, plans=advice.calls)


async def _rival(target: Target, server: EmbeddedServer, workload: tuple[Statement, ...], budget_mb: int) -> Choice:
    began = perf_counter()
    async with PlanningCopy.open(target, server) as copy:
        relations = await Relations.read(copy)
        planned, shapes, _, writes = await read_shapes(copy, relations, workload)
        fixed = {name: one.index for name, one in relations.existing.items()}
        extend = Extend(copy, relations, planned, shapes, Writes(writes, {}, fixed))
        chosen, _ = await extend.choose(budget_mb << 20)
    seconds = perf_counter() - began
    say(f"{target.dbname}, {budget_mb} MB, Extend: {len(chosen)} indexes in {seconds:.1f} s, {extend.calls} plans")
    return Choice(indexes=chosen, seconds=seconds, plans=extend.calls)


async def _compare(
    report: Report,
    connection: Connection,
    prefix: str,
    workload: tuple[Statement, ...],
    ours: Choice,
    rival: Choice,
    *,
    timed: bool,
) -> None:
    """Builds both sets, measures, and drops them. What both chose is built once: the same index in another place takes another time."""
    built = {f"index_{n}": index for n, index in enumerate(sorted(ours.indexes | rival.indexes, key=str))}
    mine = {name: index for name, index in built.items() if index in ours.indexes}
    theirs = {name: index for name, index in built.items() if index in rival.indexes}
    figure = _Figures(report, prefix)
    kept = frozenset(mine)
    bench, sizes = await Bench.build(connection, built)
    if timed:
        proven = await prove(bench, mine, workload, seconds=SECONDS)
        kept = frozenset(proven.kept)
        before, after = proven.total(workload)
        figure("time", after / before, "of the time without indexes")
        figure("slower", sum(proof.slower for proof in proven.proofs.values()), "statements", at_most=0)
        figure("vetoed", len(proven.vetoed), "indexes")
        pairs = [(one, await bench.compare(one, theirs, kept, seconds=SECONDS)) for one in workload]
        for one, pair in pairs:
            if abs(pair.after_ms - pair.before_ms) * one.calls > 10:
                say(
                    f"  {one.name}: {pair.before_ms:.3f} ms with Extend's, {pair.after_ms:.3f} with ours, {one.calls:.0f} calls"
                )
        times = [sum(getattr(pair, side) * one.calls for one, pair in pairs) for side in ("before_ms", "after_ms")]
        figure("time_to_extend", times[1] / times[0], "ratio", at_most=1.0)
        figure("slower_than_extend", sum(pair.slower for _, pair in pairs), "statements")
        figure("faster_than_extend", sum(pair.faster for _, pair in pairs), "statements")
    costs = [await _cost(bench, workload, side) for side in (frozenset[str](), kept, frozenset(theirs))]
    figure("cost", costs[1] / costs[0], "of the cost without indexes")
    figure("cost_extend", costs[2] / costs[0], "of the cost without indexes")
    figure("cost_to_extend", costs[1] / costs[2], "ratio", at_most=1.0)
    figure("bytes", sum(sizes[name] for name in kept) / 1e6, "MB")
    figure("bytes_extend", sum(sizes[name] for name in theirs) / 1e6, "MB")
    for who, choice in (("", ours), ("_extend", rival)):
        figure(f"seconds{who}", choice.seconds, "s")
        figure(f"plans{who}", choice.plans, "plans")
    await bench.drop()


async def _cost(bench: Bench, workload: tuple[Statement, ...], side: frozenset[str]) -> float:
    """The planner's, of the whole workload with these of the built indexes."""
    return sum([await bench.cost(one, side) * one.calls for one in workload])


class _Figures:
    def __init__(self, report: Report, prefix: str) -> None:
        self._report = report
        self._prefix = prefix

    def __call__(self, name: str, value: float, unit: str, *, at_most: float | None = None) -> None:
        self._report.figures.append(Figure(name=f"{self._prefix}_{name}", value=value, unit=unit, at_most=at_most))
