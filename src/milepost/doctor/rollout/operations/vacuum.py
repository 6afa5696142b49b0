"""`vacuum`: dead rows of a table made room for new ones, and its statistics made anew.

operation = "vacuum"
table = "public.orders"
analyze = true        # optional, the default
freeze = false        # optional: against wraparound
"""

from __future__ import annotations

from typing import ClassVar

from milepost.doctor.rollout.operation import Operation
from milepost.doctor.rollout.work import Work
from milepost.postgres import load_queries, sql

__all__ = ["Vacuum"]

queries = load_queries(__package__, "vacuum.sql")


class Vacuum(Operation, frozen=True, kw_only=True):
    """There is nothing to take back."""

    kind: ClassVar[str] = "vacuum"
    locks: ClassVar[str] = "SHARE UPDATE EXCLUSIVE (reads and writes go on)"

    table: str
    analyze: bool = True
    freeze: bool = False

    def describe(self) -> str:
        return f"vacuum {'and analyze ' if self.analyze else ''}{self.table}"

    async def validate(self, work: Work) -> None:
        await work.table(self.table, ("r", "p", "m"))

    async def start(self, work: Work) -> None:
        table = await work.table(self.table, ("r", "p", "m"))
        more = (", ANALYZE" if self.analyze else "") + (", FREEZE" if self.freeze else "")
        parts = {"more": sql.SQL(more), "table": table.identifier}
        await work.alone(sql.SQL(queries.vacuum).format(**parts))
        await work.step("vacuumed")

    async def roll_back(self, work: Work) -> None:
        await work.step("nothing to take back")
