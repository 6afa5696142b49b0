"""Read a latest table: the newest activity of each key, such as each student's newest grade of each assessment.

In the order of the keys as they are stored. Raises `NotFound` for a table that the model does not declare,
`InvalidInput` for a key that it does not have, `BeingFilled` while its history is being looked through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from milepost.model import Latest, Model
from milepost.postgres import Connection, load_queries
from milepost.rollups.filling import require_filled
from milepost.rollups.keys import columns_of_key, find_keys, show_keys, shown_columns
from milepost.rollups.read import RollupPage, declared, names_of, put_words, shown_number
from milepost.schema.compile import value_column
from milepost.storage.activities import rfc3339, scaled
from milepost.storage.by_index import plan_by_index

__all__ = ["read_latest"]

_queries = load_queries(__package__, "latest.sql")


async def read_latest(
    conn: Connection,
    tenant_id: int,
    model: Model,
    name: str,
    asked: Mapping[str, str],
    *,
    limit: int,
    after: bytes | None = None,
) -> RollupPage:
    """asked: keys by their text in a query. after: the `next` of the page before."""
    latest = declared(model.latest, name, "latest table")
    await plan_by_index(conn, sorts=True)
    keys = await find_keys(conn, tenant_id, model, latest.by, asked)
    await require_filled(conn, tenant_id, f"latest_{name}")
    if not keys.known:
        return RollupPage(items=[], next=None)
    every = [column for key in latest.by for column in columns_of_key(key)]
    # What is asked for is the same in every row: the order is by the others.
    columns = [column for column in every if column not in keys.parameters] or every
    conditions = list(keys.conditions)
    parameters: dict[str, Any] = {**keys.parameters, "tenant_id": tenant_id}
    if after is not None:
        parameters |= {f"p_{c}": v for c, v in zip(columns, msgspec.json.decode(after), strict=True)}
        names = ", ".join(f"t.{column}" for column in columns)
        conditions.append(f"({names}) > ({', '.join(f'%(p_{column})s' for column in columns)})")
    statement = put_words(
        _queries.rows,
        table=f"milepost.latest_{name}",
        where="".join(f" AND {condition}" for condition in conditions),
        order=", ".join(f"t.{column}" for column in columns),
        rows=str(limit + 1),
        position=", ".join(f"t.{column}" for column in columns),
        shown="".join(f", {expression}" for expression in shown_columns(latest.by)),
        values="".join(f", t.{value_column(value)}" for value in latest.values),
        names=names_of(latest.by),
    )
    rows = await (await conn.execute(statement, parameters)).fetchall()
    items = [_item(model, latest, row, len(columns)) for row in rows[:limit]]
    position = msgspec.json.encode(rows[limit - 1][: len(columns)]) if len(rows) > limit else None
    return RollupPage(items=items, next=position)


def _item(model: Model, latest: Latest, row: Sequence[Any], key_count: int) -> dict[str, Any]:
    width = len(shown_columns(latest.by))
    keys = row[key_count : key_count + width]
    identity, occurred_at, *values = row[key_count + width :]
    return {
        "keys": show_keys(model, latest.by, keys),
        "id": str(identity),
        "occurred_at": rfc3339(occurred_at),
        "values": {name: _value(model, name, value) for name, value in zip(latest.values, values, strict=True)},
    }


def _value(model: Model, name: str, value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        declared_as = model.fields()[name[5:]] if name.startswith("data.") else model.measures()[name]
        return scaled(value, declared_as.scale)
    return shown_number(value)
