"""All triggers of a database measured, in the shapes in which their tables are written, on a scratch copy or, if told to, in place."""

from __future__ import annotations

from collections.abc import Sequence

from milepost.doctor.scratch import Scratch
from milepost.doctor.target import Target
from milepost.doctor.triggers.body import Body
from milepost.doctor.triggers.inventory import Trigger
from milepost.doctor.triggers.measure import SESSION, Cost, measure
from milepost.doctor.triggers.shapes import read_shapes
from milepost.postgres import Connection, EmbeddedServer, load_queries

__all__ = ["measure_all"]

MEASURED_MAX = 50  # triggers, those of the tables written most
IN_PLACE_TIMEOUT = "10s"

queries = load_queries(__package__, "triggers.sql")


async def measure_all(
    target: Target,
    triggers: Sequence[tuple[Trigger, Body]],
    *,
    on_database: bool = False,
    rows_max: int = 20_000,
    server: EmbeddedServer | None = None,
) -> tuple[list[Cost], tuple[str, ...]]:
    """→ costs, and notes on what was not measured or not as in the target. on_database: runs the writes there, each in a transaction
    that is rolled back, and which holds its row locks until then. rows_max: copied of each table. server: see `Scratch.open`.
    """
    able = [(one, body) for one, body in triggers if one.enabled and one.timing != "instead of" and one.events != ["truncate"]]
    chosen = sorted(able, key=lambda pair: (-pair[0].writes_per_s, pair[0].id))[:MEASURED_MAX]
    notes = [f"{len(able) - len(chosen)} triggers of tables written less were not measured."] if len(able) > len(chosen) else []
    if not chosen:
        return [], tuple(notes)
    shapes = await read_shapes(target, [one for one, _ in chosen])
    todo = [(one, shape) for one, _ in chosen for shape in shapes[one.table] if shape.kind in one.events]
    if on_database:
        settings = SESSION | {"statement_timeout": IN_PLACE_TIMEOUT, "lock_timeout": "1s"}
        async with target.writing(settings=settings) as connection:
            costs = [await measure(connection, one, shape, scratch=False) for one, shape in todo]
    else:
        tables = sorted({one.table for one, _ in chosen} | set(await _touched(target, [body for _, body in chosen])))
        async with Scratch.open(target, rows=tables, rows_max=rows_max, server=server) as scratch:
            notes += scratch.notes
            async with scratch.connect(settings=SESSION) as connection:
                costs = [await measure(connection, one, shape, scratch=True) for one, shape in todo]
    notes += [f"{one.trigger}, {one.shape}: not measured, {one.error}." for one in costs if one.error is not None]
    return costs, tuple(notes)


async def _touched(target: Target, bodies: Sequence[Body]) -> list[str]:
    """The tables that functions write or read: without their rows, triggers would find nothing to do."""
    names = sorted({name for body in bodies for name in (*body.reads, *(table for _, table in body.writes))})
    async with target.reading() as connection:
        return await _present(connection, names)


async def _present(connection: Connection, names: Sequence[str]) -> list[str]:
    cursor = await connection.execute(queries.present, {"names": list(names)})
    return [str(name) for (name,) in await cursor.fetchall()]
