"""Findings of statements that were seen at work, with the cures of their plans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from milepost.doctor.finding import Cure, Finding
from milepost.doctor.plans import explain, findings
from milepost.doctor.seen.folded import Folded
from milepost.doctor.statements import parse_one
from milepost.doctor.target import Target
from milepost.errors import DatabaseUnavailable, MilepostError
from milepost.postgres import load_queries

__all__ = ["Limits", "found"]

queries = load_queries(__package__, "findings.sql")

EXPLAINED_MAX: Final = 5
SHOWN_CHARS: Final = 300
LOCKED_PART: Final = 0.5
NOTHING: Final = "its plan shows nothing that a rule knows"
CRITICAL_PART: Final = 0.5


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Below, nothing is said. part: of a session's time. run_ms: of one run; what is shorter and takes much is asked often, and its plan need not
    be bad. seen: fewer sightings say nothing.
    """

    part: float = 0.05
    run_ms: float = 20.0
    seen: int = 5


async def found(
    target: Target, folded: Sequence[Folded], *, limits: Limits, run: bool = True, timeout_ms: int = 10_000
) -> list[Finding]:
    """run: reads may be run once, each within the timeout, in a session that cannot write; without, a plan shows little. One that calls a
    volatile function, itself or by a view, is never run: nobody asked for what that may do (a session ended, a mail sent).
    """
    felt = [
        one
        for one in folded
        if one.seen >= limits.seen and one.run_ms >= limits.run_ms and (one.part is None or one.part >= limits.part)
    ]
    return [
        await _finding(target, one, explained=number < EXPLAINED_MAX, run=run, timeout_ms=timeout_ms)
        for number, one in enumerate(felt)
    ]


async def _finding(target: Target, one: Folded, *, explained: bool, run: bool, timeout_ms: int) -> Finding:
    plan: tuple[Finding, ...] = ()
    why = "only the first few are explained"
    if one.waits.get("Lock", 0.0) >= LOCKED_PART:
        cure = Cure(
            text="It waits for locks that others hold: `milepost doctor check` names them, while they do (`lock_queue`, `idle_in_transaction`).",
            by_hand="Who holds a lock for how long is the application's.",
        )
    elif not one.whole:
        cure = Cure(
            text="Its text is cut off: raise track_activity_query_size, and look again.",
            operation={"operation": "set_setting", "setting": "track_activity_query_size", "value": 16384},
        )
    else:
        if explained:
            plan, why = await _plan(target, one.sql, run=run, timeout_ms=timeout_ms)
        cure = _cure(one, plan, why)
    text = " ".join(one.sql.split())[:SHOWN_CHARS]
    part = f"{one.part:.0%} of a session's time, " if one.part is not None else ""
    return Finding(
        check="seen_statement",
        severity="critical" if (one.part or 0.0) >= CRITICAL_PART else "warning",
        object=one.id,
        detail=f"Seen {one.seen} times, {part}about {one.run_ms:,.0f} ms each: {text}.",
        cure=cure,
        evidence={
            "seen": one.seen,
            "runs": one.runs,
            "time_part": None if one.part is None else round(one.part, 4),
            "run_ms": round(one.run_ms, 2),
            "longest_ms": round(one.longest_ms, 2),
            "waits": {kind: round(share, 3) for kind, share in one.waits.items()},
            "plan": [f"{finding.check}: {finding.detail}" for finding in plan],
        },
    )


async def _plan(target: Target, sql: str, *, run: bool, timeout_ms: int) -> tuple[tuple[Finding, ...], str]:
    """What is wrong with how it is run, and why nothing is found."""
    try:
        acting = await _acting(target, sql) if run else []
        run = run and not acting
        explained = await explain(target, sql, analyze=None if run else False, statement_timeout_ms=timeout_ms)
        why = f"it was not run, since it calls {', '.join(acting)}, which may do more than read" if acting else NOTHING
        return await findings(target, explained), why
    except DatabaseUnavailable:
        raise
    except MilepostError as error:
        return (), f"it could not be explained ({error})"


async def _acting(target: Target, sql: str) -> list[str]:
    """Functions that it calls, itself or by a view, and that may do something."""
    statement = parse_one(sql)
    given = {"functions": list(statement.functions), "relations": list(statement.tables)}
    async with target.reading() as connection:
        return [name for (name,) in await (await connection.execute(queries.acting, given)).fetchall()]


def _cure(one: Folded, plan: Sequence[Finding], why: str) -> Cure:
    """Of the worst part of its plan that a rollout mends, else of the worst."""
    for finding in plan:
        if finding.cure.operation is not None:
            return finding.cure
    if plan:
        return plan[0].cure
    return Cure(
        text=f"`milepost doctor explain` of it shows where its time goes; `milepost doctor indexes --workload` what would help it and others: {why}.",
        by_hand="What helps depends on its plan and its values.",
    )
