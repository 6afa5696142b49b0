"""`validate_constraint`: a constraint that was added NOT VALID is asked of the rows that were there, while they are used.

operation = "validate_constraint"
table = "public.orders"
constraint = "orders_customer_id_fkey"
"""

from __future__ import annotations

from typing import ClassVar

from milepost.doctor.rollout.operation import Operation
from milepost.doctor.rollout.operations._constraints import queries
from milepost.doctor.rollout.work import Work
from milepost.errors import NotFound
from milepost.postgres import sql

__all__ = ["ValidateConstraint"]


class ValidateConstraint(Operation, frozen=True, kw_only=True):
    """There is nothing to take back: it held for what was written since, and a valid one is only better known."""

    kind: ClassVar[str] = "validate_constraint"
    locks: ClassVar[str] = "SHARE UPDATE EXCLUSIVE (reads and writes go on)"

    table: str
    constraint: str

    def describe(self) -> str:
        return f"validate constraint {self.constraint} of {self.table}"

    async def validate(self, work: Work) -> None:
        table = await work.table(self.table)
        if await work.row(queries.constraint, {"table": table.oid, "name": self.constraint}) is None:
            raise NotFound(f"{table} has no constraint {self.constraint}.", constraint=self.constraint)

    async def start(self, work: Work) -> None:
        table = await work.table(self.table)
        statement = sql.SQL(queries.validate_constraint).format(table=table.identifier, name=sql.Identifier(self.constraint))
        await work.briefly(statement, lock="share_update_exclusive", tables=(table,))
        await work.step("validated")

    async def roll_back(self, work: Work) -> None:
        await work.step("left valid or not, as it is")
