"""`set_options`: storage parameters of a table, such as its fillfactor or when autovacuum comes.

operation = "set_options"
table = "public.orders"
options = { autovacuum_vacuum_scale_factor = 0.02, fillfactor = 90 }
"""

from __future__ import annotations

from typing import ClassVar

from milepost.doctor.rollout.operation import Operation
from milepost.doctor.rollout.work import Work
from milepost.postgres import load_queries, sql

__all__ = ["SetOptions"]

queries = load_queries(__package__, "set_options.sql")


class SetOptions(Operation, frozen=True, kw_only=True):
    """Reversible at any time. A fillfactor holds for pages that are written from now on."""

    kind: ClassVar[str] = "set_options"
    locks: ClassVar[str] = "SHARE UPDATE EXCLUSIVE (reads and writes go on)"

    table: str
    options: dict[str, str | int | float | bool]

    def check(self, where: str) -> None:
        if not self.options:
            raise self.refuse(where, "`options` is empty.")

    def describe(self) -> str:
        return f"set {', '.join(self.options)} of {self.table}"

    async def validate(self, work: Work) -> None:
        await work.table(self.table, ("r", "m"))

    async def start(self, work: Work) -> None:
        table = await work.table(self.table, ("r", "m"))
        if "before" not in work.memory:
            found = await work.value(queries.options, {"table": table.oid})
            before = dict(pair.split("=", 1) for pair in found)
            statement = sql.SQL(queries.set).format(table=table.identifier, options=_pairs(self.options))
            kept = {"before": {name: before.get(name) for name in self.options}}
            await work.briefly(statement, lock="share_update_exclusive", tables=(table,), remember=kept)
        await work.step("set")

    async def roll_back(self, work: Work) -> None:
        if "before" in work.memory:
            table = await work.table(self.table, ("r", "m"))
            before = {name: value for name, value in work.memory["before"].items() if value is not None}
            new = [name for name, value in work.memory["before"].items() if value is None]
            statements = []
            if before:
                statements.append(sql.SQL(queries.set).format(table=table.identifier, options=_pairs(before)))
            if new:
                names = sql.SQL(", ").join(sql.Identifier(*name.split(".")) for name in new)
                statements.append(sql.SQL(queries.reset).format(table=table.identifier, options=names))
            await work.briefly(*statements, lock="share_update_exclusive", tables=(table,))
        await work.step("as it was")


def _pairs(options: dict[str, str | int | float | bool]) -> sql.Composed:
    pair = sql.SQL("{} = {}")
    return sql.SQL(", ").join(
        pair.format(sql.Identifier(*name.split(".")), sql.Literal(str(value).lower() if isinstance(value, bool) else value))
        for name, value in options.items()
    )
