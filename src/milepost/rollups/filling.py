"""What is still being filled from history has no true answers yet: whoever asks is told so, and not answered wrongly."""

from __future__ import annotations

from milepost.errors import MilepostError
from milepost.postgres import Connection, load_queries

__all__ = ["BeingFilled", "require_filled"]

_queries = load_queries(__package__, "filling.sql")

COLUMN = "column d_"


class BeingFilled(MilepostError):
    """This is being filled from the activities there were before it was declared: ask again."""


async def require_filled(conn: Connection, tenant_id: int, *names: str) -> None:
    """names: `rollup_NAME`, `latest_NAME`, `pairs_NAME`, `given_NAME` and `done_NAME` of a pending list, or `column d_NAME` of a
    data field. Raises `BeingFilled`.
    """
    row = await (await conn.execute(_queries.filling, {"tenant_id": tenant_id, "names": list(names)})).fetchone()
    if row is None:
        return
    if row[0].startswith(COLUMN):
        what = f"data field {row[0].removeprefix(COLUMN)}"
    else:
        kind, _, name = row[0].partition("_")
        what = f"{'pending list' if kind in ('given', 'done') else kind} {name}"
    if not row[1]:
        raise BeingFilled(
            f"The {what} has no table yet: the model was applied by an older milepost. Run `milepost model apply` with it once more.",
            name=row[0],
        )
    raise BeingFilled(
        f"The {what} is being filled from the activities there were before it was declared: ask again.", name=row[0]
    )
