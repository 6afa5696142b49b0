"""One more look: compared with those kept, kept itself, and told with what has changed."""

from __future__ import annotations

from milepost.doctor.capacity import sizes_of
from milepost.doctor.examine import examine
from milepost.doctor.history import History, look_of, states_of
from milepost.doctor.machine import Machine
from milepost.doctor.report import Answer, answer_of
from milepost.doctor.target import Target

__all__ = ["look_again"]


async def look_again(
    target: Target, history: History, *, machine: Machine | None = None, disk_bytes: int | None = None
) -> tuple[Answer, list[tuple[float, float]]]:
    """→ the report with each finding's state, and the scores so far, (seconds since 1970, score), this one last."""
    before = await history.looks(target)
    seen = await examine(target, machine=machine, since=before[-1].statements if before else None)
    look = look_of(seen, *await sizes_of(target, disk_bytes=disk_bytes))
    states, cured = states_of(list(look.findings), before)
    await history.keep(target, look)
    scores = [(one.at.timestamp(), float(one.score)) for one in (*before, look)]
    return answer_of(seen, states=states, cured=cured), scores
