"""What only a whole file shows: a table that is partitioned in its end, a trigger that was dropped and made again to fire less."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from milepost.doctor.rollout.lint._bounds import chained, range_of
from milepost.doctor.rollout.lint.shape import Shape
from milepost.doctor.rollout.lint.suggest import narrowed

if TYPE_CHECKING:
    from milepost.doctor.rollout.lint.measure import Measured

__all__ = ["seen_whole"]


def seen_whole(found: Sequence[Measured], first: Shape, last: Shape) -> list[Measured]:
    """The same, with the operations that several statements are together, at the first of them."""
    tables = _partitioned(first, last)
    triggers = _narrowed(first, last)
    seen = []
    for one in found:
        lost = next((tables.pop(name) for name in one.lost if name in tables), None)
        dropped = [dict(operation) for operation in one.operations if operation["operation"] == "drop_trigger"]
        again = [triggers.get((operation["table"], operation["trigger"])) for operation in dropped]
        if lost is not None:
            one = replace(one, operations=(lost,))
        elif again and len(again) == len(one.operations) and None not in again:
            one = replace(one, operations=tuple(filter(None, again)))
        seen.append(one)
    return seen


def _partitioned(first: Shape, last: Shape) -> dict[str, Mapping[str, Any]]:
    """By the name of a plain table that another one bears now, which is partitioned."""
    now = {row["full_name"]: oid for oid, row in last.relations.items() if row["kind"] == "p"}
    found: dict[str, Mapping[str, Any]] = {}
    for oid, row in first.relations.items():
        twin = now.get(row["full_name"])
        if row["kind"] != "r" or twin is None or last.partitioned[twin]["strategy"] != "r":
            continue
        by = last.partitioned[twin]["by"]
        ranges = [range_of(part["bounds"]) for part in last.partitions.values() if part["parent"] == twin]
        bounds = None if None in ranges else chained(one for one in ranges if one is not None)
        if by is None or bounds is None:
            continue
        unique = [index for index in first.indexes.values() if index["table_oid"] == oid and index["unique"]]
        found[str(row["name"])] = {
            "operation": "partition_table",
            "table": row["full_name"],
            "by": by,
            "bounds": [bound[0] for bound in bounds],
            **({"widen_keys": True} if any(by not in index["keys"] for index in unique) else {}),
        }
    return found


def _narrowed(first: Shape, last: Shape) -> dict[tuple[str, str], Mapping[str, Any] | None]:
    """By table and trigger, of those that are there again with another definition."""
    return {
        (table, key[1]): narrowed(table, row, last.triggers[key])
        for key, row in first.triggers.items()
        if key in last.triggers
        and last.triggers[key]["definition"] != row["definition"]
        and (table := str(last.relations[key[0]]["full_name"]))
    }
