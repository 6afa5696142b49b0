"""Every trigger of a database, as its catalogue has it."""

from __future__ import annotations

from dataclasses import dataclass

from milepost.doctor.target import Target
from milepost.postgres import class_row, load_queries

__all__ = ["Trigger", "read_triggers"]

TRIGGERS_MAX = 2_000

queries = load_queries(__package__, "triggers.sql")


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """One trigger. table and function: schema-qualified, quoted. events: of insert, update, delete, truncate. columns: of UPDATE OF;
    None: any. inserts, updates, deletes: rows of its table so far, since counted_s.
    """

    name: str
    table: str
    schema: str
    relation: str
    each_row: bool
    timing: str
    events: list[str]
    columns: list[str] | None
    has_when: bool
    enabled: bool
    is_constraint: bool
    has_transition: bool
    function: str
    language: str
    function_definition: str | None
    definition: str
    inserts: int
    updates: int
    deletes: int
    counted_s: float

    @property
    def id(self) -> str:
        return f"{self.table}.{self.name}"

    @property
    def writes_per_s(self) -> float:
        """Rows of its table for which it may have fired, on average."""
        counted = {"insert": self.inserts, "update": self.updates, "delete": self.deletes}
        return sum(counted.get(event, 0) for event in self.events) / max(1.0, self.counted_s)


async def read_triggers(target: Target, *, tables: tuple[str, ...] = ()) -> list[Trigger]:
    """By table and name, as they fire. tables: only of these, as `schema.name` or `name`."""
    async with target.reading() as connection, connection.cursor(row_factory=class_row(Trigger)) as cursor:
        await cursor.execute(queries.inventory, {"triggers": TRIGGERS_MAX})
        found = await cursor.fetchall()
    return [
        one
        for one in found
        if not tables or one.table in tables or one.relation in tables or f"{one.schema}.{one.relation}" in tables
    ]
