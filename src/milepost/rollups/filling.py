"""A table that is still being filled from history has no true numbers yet: whoever asks is told so, not answered wrongly."""

from __future__ import annotations

from milepost.errors import MilepostError
from milepost.postgres import Connection, load_queries

__all__ = ["BeingFilled", "require_filled"]

_queries = load_queries(__package__, "filling.sql")


class BeingFilled(MilepostError):
    """This is being filled from the activities there were before it was declared: ask again."""


async def require_filled(conn: Connection, tenant_id: int, table: str) -> None:
    """table: such as rollup_NAME. Raises `BeingFilled`; its fact `name` is the table's."""
    row = await (await conn.execute(_queries.filling, {"tenant_id": tenant_id, "name": table})).fetchone()
    if row is not None:
        kind, _, name = table.partition("_")
        raise BeingFilled(
            f"The {kind} {name} is being filled from the activities there were before it was declared: ask again.",
            name=table,
        )
