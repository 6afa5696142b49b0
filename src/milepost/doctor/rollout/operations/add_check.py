"""`add_check`: a condition that every row must meet, asked of new rows at once and of the others while they are used.

operation = "add_check"
table = "public.orders"
name = "orders_total_is_positive"
check = "total >= 0"
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from milepost.doctor.rollout.columns import require_columns
from milepost.doctor.rollout.operation import Operation
from milepost.doctor.rollout.operations._constraints import add_validated, drop_constraint, refuse_taken
from milepost.doctor.rollout.work import Work
from milepost.postgres import sql

__all__ = ["AddCheck"]


class AddCheck(Operation, frozen=True, kw_only=True):
    """Reversible at any time. A row that violates it ends it, and it is rolled back."""

    kind: ClassVar[str] = "add_check"
    locks: ClassVar[str] = "ACCESS EXCLUSIVE, briefly; SHARE UPDATE EXCLUSIVE while it validates"

    table: str
    name: str
    condition: str = msgspec.field(name="check")

    def describe(self) -> str:
        return f"add constraint {self.name} to {self.table}"

    async def validate(self, work: Work) -> None:
        table = await work.table(self.table)
        require_columns(table, conditions=[self.condition])
        await refuse_taken(work, table, self.name)

    async def start(self, work: Work) -> None:
        definition = sql.SQL("CHECK ({})").format(sql.SQL(self.condition))
        await add_validated(work, await work.table(self.table), self.name, definition)

    async def roll_back(self, work: Work) -> None:
        if "constraint" in work.memory:
            await drop_constraint(work, await work.table(self.table), self.name)
        await work.step("dropped")
