"""Read a rollup: the newest bucket first, within a bucket in the order of the keys.

    question = Question(keys={"group": "team-3"}, per="day")
    found = await read_rollup(conn, tenant_id, model, "team_distance", question, limit=50)

Buckets are the group's own local time, as texts: `2026-03-01` for a day, a week (its Monday) or a month (its first),
hours as `2026-03-01T13:00`, a term by its name, null for `all`. Numbers are exact and in the user's units. A row
whose activities were all retracted is not shown. Raises `NotFound` for a rollup that the model does not declare,
`InvalidInput` for a key or bucket that it does not have, `BeingFilled` while its history is being counted. A group or
actor that is not known has no rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, LiteralString, TypeVar

import msgspec

from milepost.errors import FieldError, InvalidInput, NotFound
from milepost.model import Model, Rollup
from milepost.postgres import Connection, load_queries
from milepost.rollups.filling import require_filled
from milepost.rollups.keys import find_keys, show_keys, shown_columns
from milepost.schema.compile import key_columns, reading_of
from milepost.storage.activities import rfc3339
from milepost.storage.by_index import plan_by_index

__all__ = ["Question", "RollupPage", "declared", "per_of", "put_words", "read_rollup", "shown_number"]

_queries = load_queries(__package__, "read.sql")

Named = TypeVar("Named")


@dataclass(frozen=True, kw_only=True)
class Question:
    """keys: of the rollup, by their text in a query. since, until: bounds of the bucket's local start, the second excluded."""

    keys: Mapping[str, str] = field(default_factory=dict)
    per: str = "day"
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class RollupPage:
    """next: the position after which the next page begins; None: this is the last."""

    items: list[dict[str, Any]]
    next: bytes | None


async def read_rollup(
    conn: Connection,
    tenant_id: int,
    model: Model,
    name: str,
    question: Question,
    *,
    limit: int,
    after: bytes | None = None,
) -> RollupPage:
    """after: the `next` of the page before."""
    rollup = declared(model.rollups, name, "rollup")
    per = per_of(model, rollup, question.per)
    await plan_by_index(conn, sorts=True)
    await require_filled(conn, tenant_id, f"rollup_{name}")
    keys = await find_keys(conn, tenant_id, model, rollup.by, question.keys)
    if not keys.known:
        return RollupPage(items=[], next=None)
    # What is asked for is the same in every row: the order is by the others.
    columns = [column for column, _, _ in key_columns(model, rollup.by) if column not in keys.parameters]
    conditions = list(keys.conditions)
    parameters: dict[str, Any] = {**keys.parameters, "tenant_id": tenant_id, "per": per}
    for bound, comparison in (("since", ">="), ("until", "<")):
        if (moment := getattr(question, bound)) is not None:
            if per == "all" or per.startswith("term:"):
                raise InvalidInput(errors=(FieldError("/bucket", f"{question.per} has no from and to: it is one bucket"),))
            conditions.append(f"t.bucket {comparison} %({bound})s")
            parameters[bound] = moment
    if after is not None:
        bucket, *passed = msgspec.json.decode(after)
        parameters |= {"bucket": datetime.fromisoformat(bucket)} | {f"p_{c}": v for c, v in zip(columns, passed, strict=True)}
        names = ", ".join(("t.bucket", *(f"t.{column}" for column in columns)))
        values = ", ".join(("%(bucket)s", *(f"%(p_{column})s" for column in columns)))
        conditions.append(f"({names}) < ({values})")
    statement = put_words(
        _queries.rows,
        table=f"milepost.rollup_{name}",
        where="".join(f" AND {condition}" for condition in conditions),
        order=", ".join(f"t.{column} DESC" for column in ("bucket", *columns)),
        rows=str(limit + 1),
        shown="".join(f", {expression}" for expression in shown_columns(rollup.by)),
        position="".join(f", t.{column}" for column in columns),
        values="".join(f", {reading_of(model, rollup, value)}" for value in rollup.values),
        names=names_of(rollup.by),
    )
    rows = await (await conn.execute(statement, parameters)).fetchall()
    items = [_item(model, rollup, question.per, row, len(columns)) for row in rows[:limit]]
    position = None
    if len(rows) > limit:
        last = rows[limit - 1]
        position = msgspec.json.encode([last[0].isoformat(), *last[1 : 1 + len(columns)]])
    return RollupPage(items=items, next=position)


def _item(model: Model, rollup: Rollup, per: str, row: Sequence[Any], key_count: int) -> dict[str, Any]:
    shown = row[1 + key_count :]
    width = len(shown_columns(rollup.by))
    return {
        "bucket": shown_bucket(per, row[0]),
        "keys": show_keys(model, rollup.by, shown[:width]),
        "values": {value.text: shown_number(number) for value, number in zip(rollup.values, shown[width:], strict=True)},
    }


def declared(named: Mapping[str, Named], name: str, what: str) -> Named:
    """What the model declares under this name. Raises `NotFound` with the nearest name."""
    found = named.get(name)
    if found is None:
        near = get_close_matches(name, named, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise NotFound(f"The model declares no {what} {name!r}.{hint}")
    return found


def per_of(model: Model, rollup: Rollup, bucket: str) -> str:
    """How a bucket is stored in the column `per`. Raises `InvalidInput`."""
    kept = ("day", *(per for per in rollup.per if per != "day"))  # days are always kept
    if bucket not in kept:
        raise InvalidInput(errors=(FieldError("/bucket", f"{bucket!r} is not kept here: {', '.join(kept)} are"),))
    return f"term:{bucket}" if bucket in model.terms else bucket


def names_of(by: Iterable[str]) -> str:
    """The joins that show groups and actors by their ids."""
    joins = []
    if "group" in by:
        joins.append("JOIN milepost.groups g ON g.tenant_id = t.tenant_id AND g.group_id = t.group_id")
    if "actor" in by:
        joins.append("JOIN milepost.actor a ON a.tenant_id = t.tenant_id AND a.actor_id = t.actor_id")
    return "\n".join(joins)


def shown_bucket(per: str, bucket: datetime) -> str | None:
    match per:
        case "hour":
            return bucket.isoformat(timespec="minutes")
        case "day" | "week" | "month":
            return bucket.date().isoformat()
        case "all":
            return None
        case term:
            return term


def shown_number(value: Any) -> int | Decimal | str | None:
    """A value as JSON shows it: a number, or a time."""
    return rfc3339(value) if isinstance(value, datetime) else value


def put_words(template: LiteralString, **words: str) -> LiteralString:
    """Text from the model's and our own words alone: what a reader sends is always a parameter."""
    for name, word in words.items():
        template = template.replace("{" + name + "}", word)
    return template
