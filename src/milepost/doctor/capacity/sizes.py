"""What may run out, as it is now: sizes of the database, its tables and indexes, connections, ids, sequences; and their bounds."""

from __future__ import annotations

from milepost.doctor.target import Target
from milepost.postgres import dict_row, load_queries

__all__ = ["sizes_of"]

queries = load_queries(__package__, "sizes.sql")

TABLES_MAX = 50  # the largest; a look is kept whole


async def sizes_of(target: Target, *, disk_bytes: int | None = None) -> tuple[dict[str, float], dict[str, float]]:
    """→ sizes and bounds by name: `server_bytes`, `wal_bytes`, `connections`, `table_bytes public.orders`, … disk_bytes: of the server's
    disk, which PostgreSQL does not tell.
    """
    sizes: dict[str, float] = {}
    limits: dict[str, float] = {}
    async with target.reading() as connection:
        for query in (queries.server, queries.tables, queries.sequences):
            for row in await (await connection.cursor(row_factory=dict_row).execute(query, {"most": TABLES_MAX})).fetchall():
                sizes[row["name"]] = float(row["size"])
                if row["bound"] is not None:
                    limits[row["name"]] = float(row["bound"])
    if disk_bytes is not None:
        limits["server_bytes"] = float(disk_bytes)
    return sizes, limits
