"""Writing down what was promised and what came of it: before a rollout does anything, and when it is completed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TypeAlias

from milepost.doctor.promises.figures import Say, figures
from milepost.doctor.promises.promise import Promise
from milepost.doctor.target import Target
from milepost.postgres import Connection, class_row, load_queries, translated

__all__ = ["Kept", "begin", "finish", "kept"]

queries = load_queries(__package__, "promises.sql")

Expect: TypeAlias = Callable[[Promise, float | None], float | None]


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A promise and what came of it. promised, expected, measured: of a statement, its time after by that before (measured: against the control
    statements'); of a relation (source `estimate`), bytes. expected: the promise as it was corrected then. before, after: ms, or bytes. control:
    the control statements' ratio.
    """

    finding: str
    kind: str
    name: str
    source: str
    promised: float
    expected: float
    measured: float
    before: float | None
    after: float
    control: float | None
    at: datetime


async def begin(
    connection: Connection, target: Target, rollout_id: int, promises: Sequence[Promise], expect: Expect, say: Say
) -> None:
    """Writes them down with what is measured before, and with what is expected of them; all or none, so that the next run does what a killed
    one did not. Nothing happens if they are written down.
    """
    with translated(connection):
        await connection.execute(queries.make)
        if await (await connection.execute(queries.begun, {"rollout_id": rollout_id})).fetchone() is not None:
            return
    before = (await figures(target, promises, say)).values
    with translated(connection):
        async with connection.transaction():
            for one in promises:
                time = before.get(one.name)
                facts = {"rollout_id": rollout_id, "before": time, "expected": expect(one, time)}
                await connection.execute(queries.add, asdict(one) | facts)


async def finish(connection: Connection, target: Target, rollout_id: int, say: Say) -> None:
    """What is measured after; again for what a killed run left open. Nothing happens if nothing was promised."""
    with translated(connection):
        row = await (await connection.execute(queries.is_there)).fetchone()
        if row is None or not row[0]:
            return
        rows = connection.cursor(row_factory=class_row(Promise))
        promises = await (await rows.execute(queries.open, {"rollout_id": rollout_id})).fetchall()
    after = (await figures(target, promises, say)).values
    with translated(connection):
        for one in promises:
            if one.name in after:
                given = {"rollout_id": rollout_id, "finding": one.finding, "name": one.name, "after": after[one.name]}
                await connection.execute(queries.finish, given)


async def kept(target: Target) -> list[Kept]:
    """Of all completed rollouts of this database, the oldest first. Reads only."""
    async with target.reading() as connection:
        row = await (await connection.execute(queries.is_there)).fetchone()
        if row is None or not row[0]:
            return []
        return await (await connection.cursor(row_factory=class_row(Kept)).execute(queries.kept)).fetchall()
