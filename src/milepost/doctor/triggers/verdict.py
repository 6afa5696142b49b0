"""What should become of each trigger, and why: the first of these that fits, from what costs nothing to give up to what needs work.

`remove`: it does nothing, is off, or does what another does. `generated`: a default or a generated column does the same. `narrow`:
it runs for writes that it has nothing to do for. `jobs`: it leaves the database or rebuilds something large within somebody's
write. `debounce`: it announces each row. `fold`: it adds to a total, whose row every writer waits for. `capture`: it copies changes
elsewhere. `statement`: it writes once for each row what could be written once for all. `merge`: several small ones, of which each
call has its price. `keep`: it is cheap, or nothing better is known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from milepost.doctor.finding import Cure, Finding, Severity
from milepost.doctor.triggers.body import Body
from milepost.doctor.triggers.inventory import Trigger
from milepost.doctor.triggers.measure import Cost

__all__ = ["Verdict", "judge"]

CHEAP_SHARE = 0.05  # of a write's time: below, a trigger that only does its work is left alone
CHEAP_MS = 0.005  # a row
WARNING_SHARE, CRITICAL_SHARE = 0.25, 0.5
UPDATE = re.compile(r"\bUPDATE\b(?! OF)")
# Why no rollout does it.
BY_HAND: Final = {
    "generated": "An application that sends a value of its own gets another result: look first.",
    "jobs": "What is to be done after the commit is code that is not there yet.",
    "debounce": "Who listens has to be ready for it.",
    "fold": "What is read from that total has to be read elsewhere.",
    "capture": "What reads the copies has to be ready for them to come after the commit.",
    "statement": "Its function has to be written anew.",
    "merge": "Their functions have to be written as one.",
}
MILEPOST: Final = {
    "fold": "Let a rollup have the total (milepost folds a batch's contributions at once), or add up when it is read.",
    "capture": "Let logical decoding carry the changes: `milepost` captures tables without triggers, after the commit.",
    "jobs": "Write what is to be done into a table of jobs in the same transaction, and do it after the commit.",
}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """action: one of the module's words. reason: one sentence. statements: what does it, where it can be written without knowing more.
    ms_per_s: what it costs all writers together, by the rate so far; None if not measured.
    """

    trigger: Trigger
    body: Body
    action: str
    reason: str
    cure: str
    statements: tuple[str, ...] = ()
    costs: tuple[Cost, ...] = field(default=())
    ms_per_s: float | None = None

    @property
    def share(self) -> float:
        """Of the time of the write that it weighs on most."""
        return max((one.share for one in self.costs), default=0.0)

    def finding(self) -> Finding | None:
        """None if it is to be kept."""
        if self.action == "keep":
            return None
        severity: Severity = (
            "critical" if self.share >= CRITICAL_SHARE else "warning" if self.share >= WARNING_SHARE else "notice"
        )
        worst = max(self.costs, key=lambda one: one.share, default=None)
        evidence = {"action": self.action} | (
            {} if worst is None else {"share": round(worst.share, 3), "own_ms": round(worst.own_ms, 4)}
        )
        return Finding(
            check=f"trigger_{self.action}",
            severity=severity,
            object=self.trigger.id,
            detail=self.reason,
            cure=_cure(self),
            evidence=evidence,
        )


def judge(triggers: Sequence[tuple[Trigger, Body]], costs: Sequence[Cost]) -> list[Verdict]:
    """Most worth doing first: by what it costs all writers together, then by its share of a write."""
    found = []
    for trigger, body in triggers:
        its = tuple(one for one in costs if one.trigger == trigger.id and one.error is None)
        action, reason, cure, statements = _action(
            trigger, body, [one for one, _ in triggers], {one.id: its_body for one, its_body in triggers}, its
        )
        # A difference that is not proven is noise of the rest; the trigger's own time is not.
        measured = [one.ms if one.proven and one.ms is not None else one.own_ms for one in its]
        total = max(measured) * trigger.writes_per_s if measured else None
        found.append(
            Verdict(
                trigger=trigger,
                body=body,
                action=action,
                reason=reason,
                cure=cure,
                statements=statements,
                costs=its,
                ms_per_s=total,
            )
        )
    return sorted(found, key=lambda one: (one.action == "keep", -(one.ms_per_s or 0.0), -one.share, one.trigger.id))


def _action(
    trigger: Trigger, body: Body, everyone: Sequence[Trigger], bodies: Mapping[str, Body], costs: Sequence[Cost]
) -> tuple[str, str, str, tuple[str, ...]]:
    name, table = _quoted(trigger.name), trigger.table
    drop = (f"DROP TRIGGER {name} ON {table}",)
    if not trigger.enabled:
        return "remove", f"{trigger.name} is disabled.", "Drop it, if nobody means to enable it again.", drop
    if body.empty:
        return "remove", f"{trigger.function} does nothing with the row.", "Drop it.", drop
    twin = next((one for one in everyone if one.id < trigger.id and _same(one, trigger)), None)
    if twin is not None:
        return (
            "remove",
            f"It does what {twin.name} does, at the same events: the work is done twice.",
            "Drop one of them.",
            drop,
        )
    cheap = bool(costs) and all(one.share < CHEAP_SHARE or one.own_ms < CHEAP_MS for one in costs)
    if trigger.language != "plpgsql" and trigger.function.endswith("tsvector_update_trigger"):
        return (
            "generated",
            "It fills a tsvector column from others.",
            "A generated column does the same, without a trigger: GENERATED ALWAYS AS (to_tsvector('english', …)) STORED.",
            (),
        )
    if body.known and body.sets_clock_only and trigger.events == ["insert"]:
        column = body.set[0]
        made = f"ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT now()"
        return "generated", f"It only sets {column} to the time of an insert.", "A default does that.", (made, *drop)
    set_before = frozenset(
        column
        for one in everyone
        if one.table == table and one.timing == "before" and one.id != trigger.id
        for column in bodies[one.id].set
    )
    if (narrowed := _narrowed(trigger, body, set_before)) is not None:
        clause, columns, made = narrowed
        return (
            "narrow",
            f"It runs for every update, and does something only when {' or '.join(columns)} changes.",
            f"Let PostgreSQL ask before it calls the function: {clause}.",
            (made,),
        )
    if body.outside or body.refreshes:
        what = f"calls {', '.join(body.outside)}" if body.outside else "refreshes a materialized view"
        return "jobs", f"It {what} within the write, which waits for it and keeps its locks.", MILEPOST["jobs"], ()
    if cheap:
        return "keep", "It is cheap.", "Nothing.", ()
    if body.notifies and trigger.each_row:
        return (
            "debounce",
            "It announces each row: NOTIFY of many writers queues at one lock when they commit.",
            "Announce once a statement (FOR EACH STATEMENT with a transition table), or from outside the transaction, over polling.",
            (),
        )
    if body.counts:
        targets = ", ".join(sorted({one for _, one in body.writes}))
        return (
            "fold",
            f"It adds to a row of {targets} for each row written: writers wait for each other there.",
            MILEPOST["fold"],
            (),
        )
    copies = [one for kind, one in body.writes if kind == "insert"]
    if copies and trigger.timing == "after" and not body.raises and (body.whole or len(body.looked_at) > 1):
        return "capture", f"It copies each change into {', '.join(copies)}, within the write.", MILEPOST["capture"], ()
    if body.known and trigger.each_row and trigger.timing == "after" and body.writes:
        targets = ", ".join(sorted({one for _, one in body.writes}))
        return (
            "statement",
            f"It writes {targets} once for each row.",
            "FOR EACH STATEMENT with REFERENCING NEW TABLE does it in one statement for all rows.",
            (),
        )
    beside = [one for one in everyone if one.id != trigger.id and _mergeable(one, bodies[one.id]) and _beside(one, trigger)]
    if _mergeable(trigger, body) and beside and trigger.id < min(one.id for one in beside):
        names = ", ".join(one.name for one in beside)
        return (
            "merge",
            f"It and {names} each only set columns of the row, at the same events.",
            "One function that sets all: one call a row.",
            (),
        )
    return "keep", "Nothing better is known." if body.known else "What it does cannot be read from its text.", "Nothing.", ()


def _narrowed(trigger: Trigger, body: Body, set_before: frozenset[str]) -> tuple[str, tuple[str, ...], str] | None:
    """In words, the columns, and the definition that leaves out writes for which nothing is done; only where that is certain."""
    if (
        "update" not in trigger.events
        or "delete" in trigger.events
        or trigger.has_when
        or not trigger.each_row
        or not body.guard
    ):
        return None
    made = trigger.definition.replace("CREATE TRIGGER", "CREATE OR REPLACE TRIGGER", 1)
    if trigger.events == ["update"]:
        condition = " OR ".join(f"OLD.{_quoted(one)} IS DISTINCT FROM NEW.{_quoted(one)}" for one in body.guard)
        head, execute, tail = made.rpartition(" EXECUTE FUNCTION ")
        return f"WHEN ({condition})", body.guard, f"{head} WHEN ({condition}){execute}{tail}"
    # A condition cannot name OLD where there are inserts. UPDATE OF goes by what the statement sets, so no other trigger may set it.
    if trigger.columns or set_before & set(body.guard):
        return None
    columns = ", ".join(map(_quoted, body.guard))
    return f"UPDATE OF {columns}", body.guard, UPDATE.sub(f"UPDATE OF {columns}", made, count=1)


def _same(one: Trigger, other: Trigger) -> bool:
    return (
        one.enabled
        and (one.table, one.function, one.timing, one.each_row) == (other.table, other.function, other.timing, other.each_row)
        and set(other.events) <= set(one.events)
        and one.columns == other.columns
        and not one.has_when
        and _arguments(one) == _arguments(other)
    )


def _arguments(trigger: Trigger) -> str:
    return trigger.definition.rpartition("EXECUTE FUNCTION ")[2]


def _mergeable(trigger: Trigger, body: Body) -> bool:
    return (
        body.known
        and bool(body.set)
        and not body.writes
        and trigger.timing == "before"
        and trigger.each_row
        and trigger.enabled
    )


def _beside(one: Trigger, other: Trigger) -> bool:
    return one.table == other.table and set(one.events) == set(other.events)


def _cure(verdict: Verdict) -> Cure:
    operation = _operation(verdict)
    by_hand = BY_HAND[verdict.action] if operation is None else ""
    return Cure(text=verdict.cure, statements=verdict.statements, operation=operation, by_hand=by_hand)


def _operation(verdict: Verdict) -> dict[str, object] | None:
    place: dict[str, object] = {"table": verdict.trigger.table, "trigger": verdict.trigger.name}
    if verdict.action == "remove":
        return {"operation": "drop_trigger", **place}
    if verdict.action == "narrow" and verdict.trigger.events == ["update"]:
        return {"operation": "narrow_trigger", **place, "when": verdict.cure.partition("WHEN (")[2].removesuffix(").")}
    if verdict.action == "narrow":
        return {"operation": "narrow_trigger", **place, "update_of": list(verdict.body.guard)}
    return None


def _quoted(name: str) -> str:
    return name if name.isidentifier() and name == name.lower() else '"' + name.replace('"', '""') + '"'
