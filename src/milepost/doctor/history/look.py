"""One look at a database as it is kept, and what became of findings between looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from milepost.doctor.examine import Examination

__all__ = ["Look", "look_of", "states_of"]


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """findings: id → severity. statements: id → counters. sizes: what may run out → how much there is (see `capacity`).
    limits: of these, how much there may be, where it is known.
    """

    at: datetime
    score: int
    findings: dict[str, str]
    statements: dict[str, dict[str, float]]
    sizes: dict[str, float]
    limits: dict[str, float]


def look_of(seen: Examination, sizes: Mapping[str, float], limits: Mapping[str, float]) -> Look:
    return Look(
        at=seen.at,
        score=seen.score.value,
        findings={finding.id: finding.severity for finding in seen.findings},
        statements={name: dict(counters) for name, counters in seen.statements.items()},
        sizes=dict(sizes),
        limits=dict(limits),
    )


def states_of(now: Sequence[str], before: Sequence[Look]) -> tuple[dict[str, str], tuple[str, ...]]:
    """now: ids of findings. before: earlier looks, oldest first. → id → new, standing or come back; and the ids that are cured.

    Come back: seen once, not at the last look, and here again.
    """
    last = before[-1].findings.keys() if before else frozenset[str]()
    ever = {one for look in before for one in look.findings}
    states = {one: "standing" if one in last else "come back" if one in ever else "new" for one in now}
    return states, tuple(sorted(last - set(now)))
