"""One more look: compared with those kept, kept itself, and told with what has changed."""

from __future__ import annotations

from dataclasses import replace

from milepost.doctor.capacity import sizes_of
from milepost.doctor.examine import Examination, examine, worst_first
from milepost.doctor.history import History, look_of, states_of
from milepost.doctor.machine import Machine
from milepost.doctor.report import Answer, answer_of
from milepost.doctor.seen import folded, found, sampled
from milepost.doctor.seen.findings import Limits
from milepost.doctor.target import Target

__all__ = ["look_again"]

SAMPLED_EVERY_S = 0.1


async def look_again(
    target: Target,
    history: History,
    *,
    machine: Machine | None = None,
    disk_bytes: int | None = None,
    sample_s: float = 0.0,
) -> tuple[Answer, list[tuple[float, float]]]:
    """sample_s: how long statements at work are looked at where pg_stat_statements does not count them.

    → the report with each finding's state, and the scores so far, (seconds since 1970, score), this one last."""
    before = await history.looks(target)
    seen = await examine(target, machine=machine, since=before[-1].statements if before else None)
    if sample_s > 0 and "pg_stat_statements" not in target.extensions:
        seen = await _with_statements(seen, sample_s)
    look = look_of(seen, *await sizes_of(target, disk_bytes=disk_bytes))
    states, cured = states_of(list(look.findings), before)
    await history.keep(target, look)
    scores = [(one.at.timestamp(), float(one.score)) for one in (*before, look)]
    return answer_of(seen, states=states, cured=cured), scores


async def _with_statements(seen: Examination, seconds: float) -> Examination:
    """Nothing is run for it: nobody is there to ask for that, so plans are estimates."""
    at_work = folded([await sampled(seen.target, seconds=seconds, every_s=SAMPLED_EVERY_S)])
    slow = await found(seen.target, at_work, limits=Limits(), run=False)
    return replace(seen, findings=worst_first((*seen.findings, *slow)), seconds=seen.seconds + seconds)
