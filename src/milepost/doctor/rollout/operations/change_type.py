"""`change_type`: a column of another type, without writing the table anew under a lock.

    operation = "change_type"
    table = "public.orders"
    column = "order_id"
    type = "bigint"
    using = "order_id::bigint"     # optional, as is below: SQL over the row's columns, column::type otherwise
    back = "order_id::integer"     # for the way back: over the same name, of the new type

Started: a shadow column of the new type is added, a trigger keeps it in step, rows are filled in batches, indexes on the column are built
again on the shadow concurrently, all is compared; then the two change names in one short transaction. From then on the application uses
the new column, and the old one is kept in step by a trigger, so that the way back loses nothing. Completed: the old one is dropped.

The new column is the table's last: a `SELECT *` gets it there. A statement that was prepared before the swap and returns the column gets
one error from PostgreSQL ("cached plan must not change result type"), as after any change of a type.
"""

from __future__ import annotations

from typing import Any, ClassVar

from milepost.doctor.rollout.backfill import backfill
from milepost.doctor.rollout.columns import require_columns
from milepost.doctor.rollout.names import Table, fitted, quoted
from milepost.doctor.rollout.operation import Operation
from milepost.doctor.rollout.operations._constraints import add_validated, drop_constraint
from milepost.doctor.rollout.operations._constraints import queries as of_tables
from milepost.doctor.rollout.operations._indexes import drop_concurrently, index_named
from milepost.doctor.rollout.operations._twins import Twin, twins_of
from milepost.doctor.rollout.work import Work
from milepost.errors import Conflict, NotFound
from milepost.postgres import load_queries, sql

__all__ = ["ChangeType"]

queries = load_queries(__package__, "change_type.sql")


class ChangeType(Operation, frozen=True, kw_only=True):
    """Reversible until it is completed."""

    kind: ClassVar[str] = "change_type"
    locks: ClassVar[str] = "ACCESS EXCLUSIVE, briefly, twice; rows in batches"
    final: ClassVar[str] = "the old column is dropped, so the way back is another change of its type."

    table: str
    column: str
    type: str
    using: str | None = None
    back: str | None = None

    def describe(self) -> str:
        return f"change {self.table}.{self.column} to {self.type}"

    async def validate(self, work: Work) -> None:
        table = await work.table(self.table, ("r",))
        require_columns(table, [self.column], conditions=[] if self.using is None else [self.using])
        found = await self._column(work, table, self.column)
        if found["identity"] or found["generated"]:
            raise Conflict(
                f"{table}.{self.column} is {'an identity' if found['identity'] else 'generated'}: that is not changed."
            )
        rests = await work.rows(queries.dependents, {"table": table.oid, "attnum": found["attnum"]})
        if rests:
            raise Conflict(f"On {table}.{self.column} rests {', '.join(row['what'] for row in rests)}: drop that first.")
        await twins_of(work, table, self.column, self._new, found["attnum"])
        if not work.target.superuser and await work.value(queries.user_triggers, {"table": table.oid, "ours": self._trigger}):
            raise Conflict(
                f"{table} has triggers on UPDATE, which a backfill would fire: only a superuser can keep them quiet."
            )

    async def start(self, work: Work) -> None:
        table = await work.table(self.table, ("r",))
        if "type" not in work.memory:
            found = await self._column(work, table, self.column)
            await work.remember(type=found["type"], not_null=found["not_null"], fallback=found["fallback"])
        if not work.memory.get("swapped"):
            await self._put_in_step(work, table, self._new, self.using or f"{quoted(self.column)}::{self.type}", "shadow")
            await self._swap(work, table, self._new, self._old)
        await work.step("swapped")

    async def complete(self, work: Work) -> None:
        await self._drop(work, self._old)
        await work.step("dropped")

    async def roll_back(self, work: Work) -> None:
        if "type" not in work.memory:
            return
        table = await work.table(self.table, ("r",))
        if work.memory.get("swapped"):
            await self._put_in_step(work, table, self._old, self._backwards(work), "old")
            await self._swap(work, table, self._old, self._new)
        await self._drop(work, self._new)
        await work.step("as it was")

    # ── The two ways ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _put_in_step(self, work: Work, table: Table, to: str, expression: str, which: str) -> None:
        """Makes `to` whole: every row, every index, never null where the column is not."""
        parts = {"table": table.identifier, "column": sql.Identifier(to), "to": sql.Identifier(to)}
        given = parts | {"expression": sql.SQL(expression)}
        if which == "shadow" and "shadow" not in work.memory:
            add = sql.SQL(queries.add).format(type=sql.SQL(self.type), **parts)
            follow = self._following(table, to, expression)
            await work.briefly(add, *follow, lock="access_exclusive", tables=(table,), remember={"shadow": True})
        quietly = (queries.quietly,) if work.target.superuser else ()
        await backfill(work, table, sql.SQL(queries.fill).format(**given), f"filling {to}", before=quietly)
        for twin in await self._twins(work, table, to):
            await self._build(work, twin)
        await work.step(f"comparing {to}")
        differing = await work.value(sql.SQL(queries.differing).format(**given))
        if differing:
            raise Conflict(f"{differing} rows of {table} hold a {self.column} that the other type cannot take.", rows=differing)
        if work.memory["not_null"]:
            await add_validated(work, table, self._check(to), sql.SQL("CHECK ({column} IS NOT NULL)").format(**parts))
        await work.alone(sql.SQL(queries.analyze).format(**parts))
        await work.step(f"{to} in step")

    async def _swap(self, work: Work, table: Table, incoming: str, outgoing: str) -> None:
        """`incoming` takes the column's name, which becomes `outgoing`; one transaction."""
        column, name = sql.Identifier(self.column), table.identifier
        into, out = sql.Identifier(incoming), sql.Identifier(outgoing)
        forward = incoming == self._new
        statements: list[sql.Composed] = [
            sql.SQL(queries.lock).format(table=name),
            sql.SQL(queries.drop_trigger).format(trigger=sql.Identifier(self._trigger), table=name),
        ]
        twins = await self._twins(work, table, incoming)
        statements += [twin.drop(table) for twin in twins]
        statements.append(sql.SQL(queries.drop_default).format(table=name, column=column))
        if work.memory["not_null"]:
            statements.append(sql.SQL(queries.set_not_null).format(table=name, column=into))
            check = sql.Identifier(self._check(incoming))
            statements.append(sql.SQL(of_tables.drop_constraint).format(table=name, name=check))
        if work.memory["fallback"]:
            fallback = sql.SQL(work.memory["fallback"])
            statements.append(sql.SQL(queries.set_default).format(table=name, column=into, value=fallback))
        found = await self._column(work, table, self.column)
        sequence = await work.row(queries.own_sequence, {"table": table.oid, "attnum": found["attnum"]})
        if sequence is not None:
            named = sql.Identifier(sequence["schema"], sequence["name"])
            owner = sql.Identifier(table.schema, table.name, incoming)
            statements.append(sql.SQL(queries.own_from_now).format(sequence=named, column=owner))
            if forward and self.type.lower() in ("bigint", "int8"):
                statements.append(sql.SQL(queries.widen_sequence).format(sequence=named))
        statements += [
            sql.SQL(queries.rename_column).format(table=name, column=column, name=out),
            sql.SQL(queries.rename_column).format(table=name, column=into, name=column),
            *(twin.take_over(table) for twin in twins),
        ]
        if forward:
            statements += self._following(table, outgoing, self._backwards(work))
        await work.briefly(*statements, lock="access_exclusive", tables=(table,), remember={"swapped": forward})

    async def _drop(self, work: Work, column: str) -> None:
        """Takes away a column that is not in use, and what kept it in step."""
        table = await work.table(self.table, ("r",))
        if "shadow" in work.memory:
            for twin in await self._twins(work, table, column):
                await drop_concurrently(work, twin.schema, twin.name)
            await drop_constraint(work, table, self._check(column))
            await work.briefly(
                sql.SQL(queries.drop_trigger).format(trigger=sql.Identifier(self._trigger), table=table.identifier),
                sql.SQL(queries.drop_function).format(function=self._function(table)),
                sql.SQL(queries.drop_column).format(table=table.identifier, column=sql.Identifier(column)),
                lock="access_exclusive",
                tables=(table,),
            )

    # ── Parts ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _new(self) -> str:
        return fitted(f"{self.column}_milepost_new")

    @property
    def _old(self) -> str:
        return fitted(f"{self.column}_milepost_old")

    @property
    def _trigger(self) -> str:
        return fitted(f"zzz_milepost_{self.column}")

    def _check(self, column: str) -> str:
        return fitted(f"{column}_not_null")

    def _function(self, table: Table) -> sql.Identifier:
        return sql.Identifier("milepost_doctor", fitted(f"follow_{table.oid}_{self.column}"))

    def _backwards(self, work: Work) -> str:
        return self.back or f"{quoted(self.column)}::{work.memory['type']}"

    def _following(self, table: Table, to: str, expression: str) -> list[sql.Composed]:
        """The trigger that keeps `to` in step with the column."""
        body = sql.SQL(queries.body).format(to=sql.Identifier(to), expression=sql.SQL(expression)).as_string()
        path = sql.SQL("{}, public").format(sql.Identifier(table.schema))
        function, trigger = self._function(table), sql.Identifier(self._trigger)
        return [
            sql.SQL(queries.make_function).format(function=function, path=path, body=sql.Literal(body)),
            sql.SQL(queries.make_trigger).format(trigger=trigger, table=table.identifier, function=function),
        ]

    async def _column(self, work: Work, table: Table, column: str) -> dict[str, Any]:
        found = await work.row(of_tables.column, {"table": table.oid, "column": column})
        if found is None:
            raise NotFound(f"{table} has no column {column}.", column=column)
        return found

    async def _twins(self, work: Work, table: Table, to: str) -> list[Twin]:
        found = await self._column(work, table, self.column)
        return await twins_of(work, table, self.column, to, found["attnum"])

    async def _build(self, work: Work, twin: Twin) -> None:
        async def valid() -> bool:
            found = await index_named(work, twin.name, twin.schema)
            return found is not None and found.valid

        async def clear() -> None:
            await drop_concurrently(work, twin.schema, twin.name)

        if not await valid():
            await work.build(sql.SQL(twin.definition), done=valid, clear=clear)
        await work.step(f"built {twin.name}")
