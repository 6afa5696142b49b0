"""What `partition_table` and `rewrite_table` share: a twin of a table, which takes its place while the table is used.

An empty twin is made; triggers write to it whatever is written to the table, in the same transaction; rows are copied in batches; both are
compared by hashes of their rows; then they change names in one short transaction, in which sequences, rights, policies, triggers and foreign
keys of others move, too. From then on the old table is kept in step, so that the way back loses nothing. Completed: the old one is dropped.
"""

from __future__ import annotations

from typing import ClassVar

from milepost.doctor.rollout.backfill import backfill
from milepost.doctor.rollout.names import Table, fitted
from milepost.doctor.rollout.operation import Operation
from milepost.doctor.rollout.operations._constraints import queries as of_tables
from milepost.doctor.rollout.operations._indexes import queries as of_indexes
from milepost.doctor.rollout.operations._swap import NEW, OLD, Names, names, queries, swap
from milepost.doctor.rollout.operations._triggers import switched
from milepost.doctor.rollout.work import Statement, Work
from milepost.errors import Conflict, MilepostError
from milepost.postgres import sql

__all__ = ["TwinTable"]

REPAIRS_MAX = 3
CHECK_VIOLATION = "23514"


class TwinTable(Operation, frozen=True, kw_only=True):
    """How the twin is made is the operation's own: `_key`, `_definition`, and what follows once it is filled, `_finish`."""

    locks: ClassVar[str] = (
        "ACCESS EXCLUSIVE, briefly, twice; SHARE ROW EXCLUSIVE on what it refers to, briefly; rows in batches"
    )

    table: str

    async def _key(self, work: Work, table: Table) -> list[str]:
        """The columns by which a row is found in both."""
        raise NotImplementedError

    async def _definition(self, work: Work, table: Table, twin: sql.Identifier) -> list[Statement]:
        """Makes the twin, empty, with what keeps its rows apart."""
        raise NotImplementedError

    async def _finish(self, work: Work, table: Table) -> None:
        """What is better made once the rows are there."""

    async def start(self, work: Work) -> None:
        table = await work.table(self.table)
        if not work.memory.get("swapped"):
            await self._make(work, table)
            await self._fill(work, table, NEW)
            await self._finish(work, table)
            await work.alone(sql.SQL(queries.analyze).format(table=self._names(table).beside(NEW)))
            await self._take_over(work, table, NEW, OLD)
        await self._validate_referring(work)
        await work.step("swapped")

    async def complete(self, work: Work) -> None:
        await self._drop(work, OLD)
        await work.step("dropped")

    async def roll_back(self, work: Work) -> None:
        if "columns" not in work.memory:
            return
        table = await work.table(self.table)
        if work.memory.get("swapped"):
            await self._take_over(work, table, OLD, NEW)
        await self._validate_referring(work)
        await self._drop(work, NEW)
        await work.step("as it was")

    # ── What is refused ────────────────────────────────────────────────────────────────────────────────────────────

    async def _hindrances(self, work: Work, table: Table) -> list[str]:
        return [row["why"] for row in await work.rows(queries.hindrances, {"table": table.oid})]

    async def _refuse_taken(self, work: Work, table: Table, *more: str) -> None:
        for name in (*more, fitted(table.name + NEW), fitted(table.name + OLD)):
            if await work.value(of_indexes.name_taken, {"schema": table.schema, "name": name}):
                raise Conflict(f"There is a relation {name} in {table.schema} already.", name=name)

    # ── The twin ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _make(self, work: Work, table: Table) -> None:
        called, given = self._names(table), {"table": table.oid}
        twin = called.beside(NEW)
        if "columns" not in work.memory:
            triggers = await work.rows(queries.triggers, {**given, "ours": called.ours})
            indexes = await work.rows(queries.indexes, {**given, "attnum": 0})
            await work.remember(
                columns=await work.value(queries.columns, given),
                key=await self._key(work, table),
                switches={one["name"]: one["enabled"] for one in triggers},
                indexes=[one["name"] for one in indexes],
            )
        if "made" not in work.memory:
            statements = await self._definition(work, table, twin)
            await work.briefly(*statements, lock="share_row_exclusive", tables=(table,), remember={"made": True})
        for one in await work.rows(queries.foreign_keys, given):
            if f"to {one['name']}" not in work.memory:
                parts = {"table": twin, "name": sql.Identifier(one["name"]), "definition": sql.SQL(one["definition"])}
                statement = sql.SQL(queries.add_constraint).format(**parts)
                await work.briefly(statement, lock="share_row_exclusive", remember={f"to {one['name']}": True})
        if "in_step" not in work.memory:
            follow = called.in_step(called.identifier, twin, work.memory["columns"], work.memory["key"])
            await work.briefly(*follow, lock="share_row_exclusive", tables=(table,), remember={"in_step": True})
        await work.step("twin in step")

    async def _fill(self, work: Work, table: Table, suffix: str) -> None:
        """One pass: what is written meanwhile, the triggers write to both."""
        if work.memory.get("filled"):
            return
        columns = names(work.memory["columns"])
        parts = {"to": self._names(table).beside(suffix), "columns": columns, "table": table.identifier}
        statement = sql.SQL(queries.fill).format(**parts)
        what = f"copying {self.table}"
        await backfill(work, table, statement, what, ending="FOR SHARE ON CONFLICT DO NOTHING", once=True)
        await work.remember(filled=True)

    async def _compare(self, work: Work, table: Table, suffix: str) -> None:
        """Raises `Conflict` if the table and its twin cannot be made equal."""
        columns, key, twin = work.memory["columns"], work.memory["key"], self._names(table).beside(suffix)
        parts = {"table": table.identifier, "to": twin, "columns": names(columns), "key": names(key)}
        for _ in range(REPAIRS_MAX):
            await work.step("comparing")
            await work.briefly(sql.SQL(queries.forget_missed).format(missed=self._names(table).missed), lock="rows")
            differing = await work.value(sql.SQL(queries.differing).format(**parts))
            if not differing:
                return
            work.say(f"{differing} rows differ: copying them again")
            stale = sql.SQL(queries.remove_stale).format(
                table=table.identifier, to=twin, one=names(key, "one"), other=names(key, "other"),
                one_columns=names(columns, "one"), other_columns=names(columns, "other"),
            )  # fmt: skip
            await work.briefly(stale, lock="rows", tables=(table,))
            fill = sql.SQL(queries.fill).format(to=twin, columns=names(columns), table=table.identifier)
            again = sql.SQL("{} ON CONFLICT DO NOTHING").format(fill)
            await work.briefly(again, lock="rows", tables=(table,))
        raise Conflict(
            f"{differing} rows of {self.table} cannot be in both tables: they fit no partition, or a key is there twice.",
            rows=differing,
        )

    # ── The swap ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _take_over(self, work: Work, table: Table, incoming: str, outgoing: str) -> None:
        """Compared, then swapped; again if something was missed in between."""
        for _ in range(REPAIRS_MAX):
            await self._compare(work, table, incoming)
            try:
                await self._swap(work, table, incoming, outgoing)
                return
            except MilepostError as error:
                if work.connection.closed or error.facts.get("sqlstate") != CHECK_VIOLATION:
                    raise
            work.say("rows were missed since the comparison: comparing again")
        raise Conflict(f"In {REPAIRS_MAX} attempts, rows were missed between comparing {self.table} and changing names.")

    async def _swap(self, work: Work, table: Table, incoming: str, outgoing: str) -> None:
        called, columns, key = self._names(table), work.memory["columns"], work.memory["key"]
        statements, referring = await swap(work, called, table, incoming, outgoing, work.memory["indexes"])
        if incoming == NEW:
            statements += called.in_step(called.identifier, called.beside(outgoing), columns, key)
        else:
            statements += [switched(table, name, state) for name, state in work.memory["switches"].items()]
        kept = [[one["schema"], one["table"], one["name"]] for one in referring]
        facts = {"swapped": incoming == NEW, "referring": kept}
        await work.briefly(*statements, lock="access_exclusive", tables=(table,), remember=facts)

    async def _validate_referring(self, work: Work) -> None:
        """Foreign keys of others, towards the table that has the name now."""
        for schema, table, name in work.memory.get("referring", ()):
            parts = {"table": sql.Identifier(schema, table), "name": sql.Identifier(name)}
            statement = sql.SQL(of_tables.validate_constraint).format(**parts)
            await work.briefly(statement, lock="share_update_exclusive")
        await work.remember(referring=[])

    async def _drop(self, work: Work, suffix: str) -> None:
        """The twin that is not in use, and what kept it in step."""
        table = await work.table(self.table)
        called = self._names(table)
        await work.briefly(
            *called.out_of_step(called.identifier),
            sql.SQL(queries.drop_table).format(table=called.beside(suffix)),
            sql.SQL(queries.drop_table).format(table=called.missed),
            sql.SQL(queries.drop_function).format(function=called.function),
            lock="access_exclusive",
            tables=(table,),
        )

    @staticmethod
    def _names(table: Table) -> Names:
        return Names(schema=table.schema, table=table.name)
