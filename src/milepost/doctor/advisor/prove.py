"""The second rung of the proof: the advised indexes built on a copy with rows, and every statement measured with and without them.

A statement that is surely slower with them loses the index that makes it so: of those that its plan uses, the first without which it
is not slower any more, else all of them. Then what used the lost ones is measured again, until no statement is slower: the planner
promises, the clock decides. What a sample is too small for is no promise (`sample`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from milepost.doctor.advisor.advice import Advice
from milepost.doctor.advisor.index import Index
from milepost.doctor.advisor.proof import Bench, Proof
from milepost.doctor.advisor.sample import borne_out, sampled
from milepost.doctor.advisor.workload import Statement
from milepost.doctor.scratch import Scratch
from milepost.doctor.target import Target
from milepost.errors import DatabaseUnavailable, MilepostError

__all__ = ["Proven", "prove", "prove_on_scratch"]


@dataclass(frozen=True, kw_only=True)
class Proven:
    """kept: indexes by the names under which they were built. vetoed: those that were taken back, each with the statement that was
    slower. proofs: of each statement with what is kept. failed: of those that could not be run, and why.
    """

    kept: Mapping[str, Index]
    vetoed: Mapping[str, str]
    proofs: Mapping[str, Proof]
    failed: Mapping[str, str] = field(default_factory=dict)

    def total(self, workload: tuple[Statement, ...]) -> tuple[float, float]:
        """Milliseconds of the whole workload before and after, by the medians."""
        proofs = [(self.proofs[one.name], one.calls) for one in workload if one.name in self.proofs]
        return sum(p.before_ms * calls for p, calls in proofs), sum(p.after_ms * calls for p, calls in proofs)


async def prove(
    bench: Bench,
    indexes: Mapping[str, Index],
    workload: tuple[Statement, ...],
    *,
    dropped: frozenset[str] = frozenset(),
    seconds: float = 1.0,
) -> Proven:
    """bench: that has these indexes, by their names there. dropped: names of the database's own indexes that the advice drops.
    seconds: for each statement.
    """
    kept = frozenset(indexes)
    proofs: dict[str, Proof] = {}
    failed: dict[str, str] = {}
    for one in workload:
        try:
            proofs[one.name] = await bench.compare(one, dropped, kept, seconds=seconds)
        except DatabaseUnavailable:
            raise
        except MilepostError as error:
            failed[one.name] = str(error)  # such as an INSERT of a key that is there
    vetoed: dict[str, str] = {}
    while slower := next((proof for proof in proofs.values() if proof.slower), None):
        statement = next(one for one in workload if one.name == slower.statement)
        guilty = await _guilty(bench, statement, dropped, kept, slower.used, seconds)
        kept -= guilty
        vetoed |= dict.fromkeys(guilty, statement.name)
        for one in workload:
            if one.name in proofs and proofs[one.name].used & guilty:
                proofs[one.name] = await bench.compare(one, dropped, kept, seconds=seconds)
    return Proven(kept={name: indexes[name] for name in kept}, vetoed=vetoed, proofs=proofs, failed=failed)


async def prove_on_scratch(
    target: Target, advice: Advice, workload: tuple[Statement, ...], *, rows_max: int, seconds: float = 0.5
) -> Proven:
    """On a scratch copy with at most so many rows of each table. Statements with open parameters are not run, and have no proof."""
    indexes = {make.index.name: make.index for make in advice.make}
    dropped = frozenset(drop.existing.index.name.strip('"') for drop in advice.drop)
    run = tuple(one for one in workload if not one.parameters and one.name in advice.statements)
    async with Scratch.open(target, rows=sorted(advice.tables), rows_max=rows_max) as scratch, scratch.connect() as connection:
        bench, _ = await Bench.build(connection, indexes, dropped)
        proven = await prove(bench, indexes, run, dropped=dropped, seconds=seconds)
        facts = await sampled(connection, indexes, scratch.tables_copied)
    return replace(proven, proofs={name: borne_out(proof, facts) for name, proof in proven.proofs.items()})


async def _guilty(
    bench: Bench, statement: Statement, dropped: frozenset[str], kept: frozenset[str], used: frozenset[str], seconds: float
) -> frozenset[str]:
    if len(used) > 1:
        for name in sorted(used):
            if not (await bench.compare(statement, dropped, kept - {name}, seconds=seconds)).slower:
                return frozenset({name})
    return used
