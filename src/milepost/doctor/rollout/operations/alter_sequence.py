"""`alter_sequence`: a sequence that counts further, or to another end.

operation = "alter_sequence"
sequence = "public.orders_order_id_seq"
type = "bigint"                     # optional, as is below
maximum = 9223372036854775807
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from milepost.doctor.rollout.operation import Operation
from milepost.doctor.rollout.work import Statement, Work
from milepost.errors import Conflict
from milepost.postgres import load_queries, sql

__all__ = ["AlterSequence"]

queries = load_queries(__package__, "alter_sequence.sql")


class AlterSequence(Operation, frozen=True, kw_only=True):
    """Reversible until it has counted past its old end."""

    kind: ClassVar[str] = "alter_sequence"
    locks: ClassVar[str] = "SHARE ROW EXCLUSIVE on the sequence, briefly"

    sequence: str
    type: Literal["smallint", "integer", "bigint"] | None = None
    maximum: int | None = None

    def check(self, where: str) -> None:
        if self.type is None and self.maximum is None:
            raise self.refuse(where, "give `type`, `maximum` or both.")

    def describe(self) -> str:
        return f"let sequence {self.sequence} count to {self.maximum or f'the end of {self.type}'}"

    async def validate(self, work: Work) -> None:
        found = await self._found(work)
        if self.maximum is not None and found["last"] is not None and found["last"] > self.maximum:
            raise Conflict(f"{self.sequence} is at {found['last']}, past {self.maximum}.", last=found["last"])

    async def start(self, work: Work) -> None:
        if "before" not in work.memory:
            found = await self._found(work)
            kept = {"before": {"type": found["type"], "maximum": found["maximum"]}}
            await self._alter(work, self.type or found["type"], self.maximum, remember=kept)
        await work.step("altered")

    async def roll_back(self, work: Work) -> None:
        if before := work.memory.get("before"):
            await self._alter(work, before["type"], before["maximum"])
        await work.step("as it was")

    async def _found(self, work: Work) -> dict[str, Any]:
        table = await work.table(self.sequence, ("S",))
        found = await work.row(queries.sequence, {"sequence": table.oid})
        assert found is not None
        return found

    async def _alter(self, work: Work, type: str, maximum: int | None, *, remember: dict[str, Any] | None = None) -> None:
        table = await work.table(self.sequence, ("S",))
        end = sql.SQL("" if maximum is None else f"MAXVALUE {maximum}")
        statement: Statement = sql.SQL(queries.alter).format(sequence=table.identifier, type=sql.SQL(type), end=end)
        await work.briefly(statement, lock="share_row_exclusive", tables=(table,), remember=remember)
