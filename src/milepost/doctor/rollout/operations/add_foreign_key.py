"""`add_foreign_key`: rows that must refer to rows that are there; asked of new rows at once, of the others while they are used.

operation = "add_foreign_key"
table = "public.orders"
columns = ["customer_id"]
references = "public.customer"
referenced = ["customer_id"]     # optional: the primary key otherwise, as are all below
on_delete = "cascade"            # or no action, restrict, set null, set default
name = "orders_customer_id_fkey"
"""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from milepost.doctor.rollout.columns import require_columns
from milepost.doctor.rollout.names import fitted, split_name
from milepost.doctor.rollout.operation import Operation
from milepost.doctor.rollout.operations._constraints import add_validated, drop_constraint, refuse_taken
from milepost.doctor.rollout.work import Work
from milepost.postgres import load_queries, sql

__all__ = ["AddForeignKey"]

queries = load_queries(__package__, "add_foreign_key.sql")


class AddForeignKey(Operation, frozen=True, kw_only=True):
    """Reversible at any time. A row that refers to nothing ends it, and it is rolled back."""

    kind: ClassVar[str] = "add_foreign_key"
    locks: ClassVar[str] = (
        "SHARE ROW EXCLUSIVE on both tables, briefly (reads go on); SHARE UPDATE EXCLUSIVE while it validates"
    )

    table: str
    columns: list[str]
    references: str
    referenced: list[str] = msgspec.field(default_factory=list)
    on_delete: Literal["no action", "restrict", "cascade", "set null", "set default"] = "no action"
    name: str | None = None

    def describe(self) -> str:
        return f"add foreign key {self.table} ({', '.join(self.columns)}) to {self.references}"

    async def validate(self, work: Work) -> None:
        table, referenced = await work.table(self.table), await work.table(self.references)
        require_columns(table, self.columns)
        require_columns(referenced, self.referenced)
        await refuse_taken(work, table, self._name())

    async def start(self, work: Work) -> None:
        table, referenced = await work.table(self.table), await work.table(self.references)
        columns = [sql.SQL(", ").join(sql.Identifier(name) for name in names) for names in (self.columns, self.referenced)]
        definition = sql.SQL(queries.definition).format(
            columns=columns[0],
            references=referenced.identifier,
            referenced=sql.SQL("({})").format(columns[1]) if self.referenced else sql.SQL(""),
            action=sql.SQL(self.on_delete),
        )
        await add_validated(work, table, self._name(), definition, lock="share_row_exclusive", others=(referenced,))

    async def roll_back(self, work: Work) -> None:
        if "constraint" in work.memory:
            table, referenced = await work.table(self.table), await work.table(self.references)
            await drop_constraint(work, table, self._name(), (referenced,))
        await work.step("dropped")

    def _name(self) -> str:
        return self.name or fitted("_".join([split_name(self.table)[1], *self.columns, "fkey"]))
