"""Three views that a database administrator expects: `slow_queries`, `index_usage_stats`, `table_performance_stats`.

They are installed on request, in a schema of their own (`milepost_doctor`), and hold no data. `slow_queries` needs pg_stat_statements.
"""

from __future__ import annotations

from milepost.doctor.target import Target
from milepost.postgres import load_queries

__all__ = ["SCHEMA", "install", "remove"]

queries = load_queries(__package__, "views.sql")

SCHEMA = "milepost_doctor"


async def install(target: Target) -> tuple[str, ...]:
    """The views that are there now. Safe twice; all or none."""
    made = ["index_usage_stats", "table_performance_stats"]
    async with target.writing() as connection, connection.transaction():
        await connection.execute(queries.schema)
        await connection.execute(queries.index_usage_stats)
        await connection.execute(queries.table_performance_stats)
        if "pg_stat_statements" in target.extensions:
            await connection.execute(queries.slow_queries)
            made.insert(0, "slow_queries")
    return tuple(made)


async def remove(target: Target) -> None:
    """Safe twice. The schema goes only if nothing else is in it: kept history stays."""
    async with target.writing() as connection, connection.transaction():
        await connection.execute(queries.remove)
