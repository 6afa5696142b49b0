"""`drop_trigger`: a trigger switched off, then dropped. Its function stays.

operation = "drop_trigger"
table = "public.orders"
trigger = "orders_audit"
"""

from __future__ import annotations

from typing import ClassVar

from milepost.doctor.rollout.operation import Operation
from milepost.doctor.rollout.operations._triggers import DISABLED, made, queries, switched, trigger_of
from milepost.doctor.rollout.work import Work
from milepost.postgres import sql

__all__ = ["DropTrigger"]


class DropTrigger(Operation, frozen=True, kw_only=True):
    """Reversible at any time, from its definition; what was written meanwhile has not fired it."""

    kind: ClassVar[str] = "drop_trigger"
    locks: ClassVar[str] = "SHARE ROW EXCLUSIVE, then ACCESS EXCLUSIVE, briefly"

    table: str
    trigger: str

    def describe(self) -> str:
        return f"drop trigger {self.trigger} of {self.table}"

    async def validate(self, work: Work) -> None:
        await trigger_of(work, await work.table(self.table), self.trigger)

    async def start(self, work: Work) -> None:
        table = await work.table(self.table)
        if "definition" not in work.memory:
            found = await trigger_of(work, table, self.trigger)
            kept = {"definition": found.definition, "enabled": found.enabled}
            await work.briefly(
                switched(table, self.trigger, DISABLED), lock="share_row_exclusive", tables=(table,), remember=kept
            )
        await work.step("disabled")

    async def complete(self, work: Work) -> None:
        table = await work.table(self.table)
        statement = sql.SQL(queries.drop).format(table=table.identifier, trigger=sql.Identifier(self.trigger))
        await work.briefly(statement, lock="access_exclusive", tables=(table,))
        await work.step("dropped")

    async def roll_back(self, work: Work) -> None:
        if "definition" in work.memory:
            table = await work.table(self.table)
            again = made(table, self.trigger, work.memory["definition"], work.memory["enabled"])
            await work.briefly(*again, lock="share_row_exclusive", tables=(table,))
        await work.step("as it was")
