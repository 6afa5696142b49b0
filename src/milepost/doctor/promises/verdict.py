"""Whether what a rollout built helps, while all can still be taken back.

The statements of which something was promised are measured again, beside the controls: what changed for those has nothing to do with the cure
(load, caches), so ratios are taken against theirs. A statement that is faster without using what was built is so by luck.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Final

from milepost.doctor.promises.figures import Say, figures
from milepost.doctor.promises.promise import Promise
from milepost.doctor.target import Target
from milepost.postgres import Connection, class_row, load_queries, translated

__all__ = ["Verdict", "judge"]

queries = load_queries(__package__, "promises.sql")

HELPS_RATIO: Final = 0.95  # of the time before, against the controls


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """helps: a statement of which something was promised is faster and uses what was built, or can be run in time at last; None if none
    could be run. ratios: of each one's time to that before, against the controls'. control: the controls' own.
    """

    helps: bool | None
    ratios: Mapping[str, float]
    control: float


@dataclass(frozen=True, kw_only=True)
class _Begun(Promise):
    """With what was measured before, if it could be run."""

    before: float | None


async def judge(connection: Connection, target: Target, rollout_id: int, say: Say) -> Verdict:
    """Of a rollout that is held and whose promises were begun; what is measured is written down, as at the end."""
    given = {"rollout_id": rollout_id}
    with translated(connection):
        rows = connection.cursor(row_factory=class_row(_Begun))
        promises = await (await rows.execute(queries.statements, given)).fetchall()
        built = {name for (name,) in await (await connection.execute(queries.built, given)).fetchall()}
    now = await figures(target, promises, say)
    ran = [one for one in promises if one.name in now.values]
    with translated(connection):
        for one in ran:
            await connection.execute(
                queries.finish, {**given, "finding": one.finding, "name": one.name, "after": now.values[one.name]}
            )
    changed = {one.name: now.values[one.name] / one.before for one in ran if one.before is not None}
    control = median([changed[one.name] for one in ran if one.source is None and one.name in changed] or [1.0])
    judged = [one for one in ran if one.source is not None]
    ratios = {one.name: changed[one.name] / control for one in judged if one.name in changed}
    helped = [one.name for one in judged if ratios.get(one.name, 0.0) <= HELPS_RATIO and now.used[one.name] & built]
    return Verdict(helps=bool(helped) if judged else None, ratios=ratios, control=control)
