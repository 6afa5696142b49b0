"""What earlier promises were off by, and what a later one is to be expected to come to.

The planner's ratios of costs are right to a factor of two, except that they know no floor: a statement that shall take a thousandth of its time takes
that and some hundredths of a millisecond more. So that floor is learned; a factor for all would do harm
([measured](docs/decisions/2026-11-29-promises-are-corrected-by-what-came-of-them.md)). Proofs and estimates of bytes are off by a factor, if by anything.

Both are held back: a floor by the cost of one promise kept to the letter, a factor as if four had been kept before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Final

from milepost.doctor.promises.measure import Kept
from milepost.doctor.promises.promise import Promise

__all__ = ["Correction", "corrections", "expecting"]

FLOORS_MS: Final = (0.0, *(0.001 * 2**power for power in range(10)))
FLOOR_PRIOR_MS: Final = 0.02  # below, a floor costs hardly more than none
FACTOR_PRIOR: Final = 4


@dataclass(frozen=True, kw_only=True)
class Correction:
    """Of all promises of a kind of cure by one source. count: of promises that it was learned from. floor_ms: added to each statement's time;
    factor: on what is promised.
    """

    kind: str
    source: str
    count: int
    floor_ms: float = 0.0
    factor: float = 1.0

    def expected(self, promised: float, before_ms: float | None) -> float:
        """As `Kept.promised`. before_ms: of a statement."""
        floor = self.floor_ms / before_ms if before_ms else 0.0
        return promised * self.factor + floor


def corrections(kept: Sequence[Kept]) -> dict[tuple[str, str], Correction]:
    """By kind of cure and source."""
    groups: dict[tuple[str, str], list[Kept]] = {}
    for one in kept:
        groups.setdefault((one.kind, one.source), []).append(one)
    return {group: _learned(*group, ones) for group, ones in groups.items()}


def expecting(kept: Sequence[Kept]) -> Callable[[Promise, float | None], float | None]:
    """What is to be expected of a promise, given the time before; None of a control statement."""
    learned = corrections(kept)

    def expected(promise: Promise, before: float | None) -> float | None:
        if promise.promised is None:
            return None
        correction = learned.get((promise.kind, promise.source or ""))
        return (
            promise.promised if correction is None else correction.expected(promise.promised, before if promise.sql else None)
        )

    return expected


def _learned(kind: str, source: str, ones: Sequence[Kept]) -> Correction:
    if source == "planner":
        floor = min(FLOORS_MS, key=lambda floor_ms: _regret(floor_ms, ones))
        return Correction(kind=kind, source=source, count=len(ones), floor_ms=floor)
    off = sum(log(one.measured / one.promised) for one in ones)
    return Correction(kind=kind, source=source, count=len(ones), factor=exp(off / (len(ones) + FACTOR_PRIOR)))


def _regret(floor_ms: float, ones: Sequence[Kept]) -> float:
    """By what factors this floor would have been off, as logarithms, and what it costs itself."""
    off = sum(abs(log((one.promised + floor_ms / one.before) / one.measured)) for one in ones if one.before)
    return off + log(1 + floor_ms / FLOOR_PRIOR_MS)
