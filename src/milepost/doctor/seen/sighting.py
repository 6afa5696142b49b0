"""One statement that was seen at work, or was logged when it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Seen", "Sighting"]


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """sql: as it was sent. run: the same for all sightings of one execution. ms: how long it had been at work; of one that was logged, in
    all. waits: for what (`Lock`, `IO`, …); None if it was working, or if nobody knows.
    """

    sql: str
    run: tuple[object, ...]
    ms: float
    waits: str | None = None


@dataclass(frozen=True, kw_only=True)
class Seen:
    """looks: how often somebody looked; 0 of a log, whose times are whole. span_s: between the first and the last."""

    sightings: Sequence[Sighting]
    looks: int
    span_s: float
