"""What operations on indexes share: looking one up, and taking one away without blocking anybody."""

from __future__ import annotations

from dataclasses import dataclass

from milepost.doctor.rollout.names import Table, split_name
from milepost.doctor.rollout.work import Work
from milepost.postgres import load_queries, sql

__all__ = ["Index", "drop_concurrently", "index_named", "leaves", "queries"]

queries = load_queries(__package__, "indexes.sql")


@dataclass(frozen=True, kw_only=True)
class Index:
    """An index as the catalogue has it. valid: it is used, and complete. of_constraint: what rests on it."""

    oid: int
    schema: str
    name: str
    table_oid: int
    table_schema: str
    table_name: str
    table_kind: str
    kind: str
    valid: bool
    is_unique: bool
    is_primary: bool
    is_clustered: bool
    is_identity: bool
    definition: str
    of_constraint: str | None

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)

    @property
    def concurrent_definition(self) -> str:
        """Its definition as a concurrent build."""
        return self.definition.replace(" INDEX ", " INDEX CONCURRENTLY ", 1)


async def index_named(work: Work, name: str, schema: str | None = None) -> Index | None:
    """schema: where it must be; without it, `name` says so or the search path finds it."""
    given, bare = (schema, name) if schema is not None else split_name(name)
    found = await work.row(queries.index_named, {"schema": given, "name": bare})
    return None if found is None else Index(**found)


async def drop_concurrently(work: Work, schema: str, name: str) -> None:
    """Until the catalogue has none of that name; nothing happens if there is none."""

    async def gone() -> bool:
        return await index_named(work, name, schema) is None

    if not await gone():
        await work.build(sql.SQL(queries.drop_concurrently).format(index=sql.Identifier(schema, name)), done=gone)


async def leaves(work: Work, table: Table) -> list[Table]:
    """The partitions of a partitioned table that have rows, the smallest first; of another table, itself."""
    if table.kind != "p":
        return [table]
    found = await work.rows(queries.leaves, {"table": table.oid})
    return [Table(**row, kind="r", rows=0, columns=table.columns) for row in found]
