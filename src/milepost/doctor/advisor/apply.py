"""The last rung: an index built on the database itself, judged there, and kept only if it helps.

It is a rollout like any other (journal, timeouts, retries, partitioned tables part by part) that is held once the index is built: its statements
are measured before and then, beside control statements, and it is completed, or rolled back. A run that was killed is gone on with by
`settle`: what it measured before is in the database.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from milepost.doctor.advisor.index import Index
from milepost.doctor.finding import Finding
from milepost.doctor.promises import promises_of
from milepost.doctor.rollout import Change, Rollout, Waits, standing
from milepost.doctor.rollout.work import Event
from milepost.doctor.target import Target

__all__ = ["Applied", "apply", "settle"]

NAME: Final = "indexes --apply"  # by which a rollout of ours is known, in its journal
USELESS: Final = "it made none of its statements faster here"


@dataclass(frozen=True, kw_only=True)
class Applied:
    """index: what it is on. kept: whether it stays. ratios: of each statement's time after to before, against the controls'; empty if none
    could be run. why: if it does not stay.
    """

    index: str
    kept: bool
    ratios: Mapping[str, float]
    control_ratio: float
    why: str | None


async def apply(
    target: Target,
    finding: Finding,
    workload: Mapping[str, str],
    *,
    waits: Waits | None = None,
    say: Callable[[Event], None] = lambda _: None,
) -> Applied:
    """Builds the index that the finding misses. workload: statements that may be run, by name: those that it helps, and controls. Raises
    `Conflict` while another rollout is under way.
    """
    operation = finding.cure.operation
    assert operation is not None and operation["operation"] == "create_index"
    promised = promises_of(finding.id, finding.evidence, operation, workload)
    change = Change.of(f"{NAME}: {finding.id}", [operation], promised)
    # One that was completed may have been dropped by hand since: it is missing, so it is built again.
    return await _tried(target, change, waits=waits, say=say, again=True)


async def settle(
    target: Target, *, waits: Waits | None = None, say: Callable[[Event], None] = lambda _: None
) -> Applied | None:
    """Goes on with what a killed run left under way; None if there is no such thing. What had only been planned is advised anew."""
    async with target.reading() as connection:
        found = await standing(connection)
    if found is None or found.ended or not found.name.startswith(NAME):
        return None
    if found.untouched:
        async with Rollout.open(target, waits=waits, say=say) as rollout:
            await rollout.roll_back()
        return None
    return await _tried(target, Change.of(found.name, [entry.operation for entry in found.operations]), waits=waits, say=say)


async def _tried(
    target: Target, change: Change, *, waits: Waits | None, say: Callable[[Event], None], again: bool = False
) -> Applied:
    index = _index(change.tables[0])
    async with Rollout.open(target, waits=waits, say=say) as rollout:
        outcome = await rollout.run(change, hold=True, again=again)
        if outcome.standing.state == "rolled_back":
            why = str(outcome.error or outcome.standing.error or USELESS)
            return Applied(index=index, kept=False, ratios={}, control_ratio=1.0, why=why)
        verdict = await rollout.judge(outcome.standing)
        kept = verdict.helps is not False or outcome.standing.state != "held"
        await (rollout.run(change) if kept else rollout.roll_back(USELESS))
    return Applied(index=index, kept=kept, ratios=verdict.ratios, control_ratio=verdict.control, why=None if kept else USELESS)


def _index(operation: Mapping[str, Any]) -> str:
    parts = {name: operation[name] for name in ("where", "method") if name in operation}
    keys, include = tuple(operation["columns"]), tuple(operation.get("include", ()))
    return str(Index(table=operation["table"], keys=keys, include=include, **parts))
