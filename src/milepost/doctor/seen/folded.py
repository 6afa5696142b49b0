"""Sightings by statement: how much of the time each takes, how long one of its runs is, and for what it waits."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from milepost.doctor.seen.sighting import Seen, Sighting
from milepost.doctor.statements import fingerprint
from milepost.errors import InvalidInput

__all__ = ["Folded", "folded"]


@dataclass(frozen=True, kw_only=True)
class Folded:
    """id: the same for statements that differ in constants alone. sql: of its longest run. seen: sightings; runs: executions that were seen.
    part: of the time in which it was at work, in sessions (1: one session all the time); None if nobody knows. run_ms: of one run, about.
    waits: part of its sightings by what it waited for. whole: its text can be read to its end.
    """

    id: str
    sql: str
    seen: int
    runs: int
    part: float | None
    run_ms: float
    longest_ms: float
    waits: Mapping[str, float]
    whole: bool


def folded(sources: Iterable[Seen]) -> list[Folded]:
    """What takes most of the time first."""
    found = [one for source in sources for one in _of_one(source)]
    return sorted(found, key=lambda one: -(one.part if one.part is not None else one.run_ms * one.runs / 1000))


def _of_one(source: Seen) -> list[Folded]:
    groups: dict[tuple[str, bool], list[Sighting]] = defaultdict(list)
    for one in source.sightings:
        groups[_identity(one.sql)].append(one)
    found = []
    for (identity, whole), ones in groups.items():
        runs: dict[tuple[object, ...], list[float]] = defaultdict(list)
        for one in ones:
            runs[one.run].append(one.ms)
        waits = Counter(one.waits for one in ones if one.waits)
        # Of a run that was seen once, somewhere in its middle; of one that was seen again and again, near its end.
        times = [max(run) if len(run) > 1 or not source.looks else 2 * run[0] for run in runs.values()]
        part = len(ones) / source.looks if source.looks else _logged_part(sum(times), source.span_s)
        found.append(
            Folded(
                id=identity,
                sql=max(ones, key=lambda one: one.ms).sql,
                seen=len(ones),
                runs=len(runs),
                part=part,
                run_ms=sum(times) / len(times),
                longest_ms=max(one.ms for one in ones),
                waits={kind: count / len(ones) for kind, count in waits.most_common()},
                whole=whole,
            )
        )
    return found


def _logged_part(total_ms: float, span_s: float) -> float | None:
    return total_ms / 1000 / span_s if span_s > 0 else None


def _identity(sql: str) -> tuple[str, bool]:
    """→ with whether it can be read: pg_stat_activity cuts off long texts."""
    try:
        return fingerprint(sql), True
    except InvalidInput:
        return blake2b(" ".join(sql.split()).encode(), digest_size=8).hexdigest(), False
