"""What a rollup's values are stored as: the columns, how a batch adds to them, and how a reader's number comes from them.

Every value is kept as parts that can be added up exactly: integers and numerics, never floats. `avg` is a sum and a count,
`weighted_avg` two sums, `share` two counts. `min`, `max`, `latest`, `first_at` and `last_at` cannot be subtracted
from: see `_fold`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from milepost.model import Model, Rollup, Value

__all__ = ["MOMENT", "Column", "columns_of", "distinct_of", "key_columns", "reading_of", "threshold_units"]

# When a contribution happened, in microseconds: where one value of two parts decides by it, and then by the other.
MOMENT = "(extract(epoch FROM s.occurred_at) * 1000000)::bigint"


@dataclass(frozen=True, kw_only=True)
class Column:
    """One stored part of a value. `add` is the aggregate over contributions `s` that a batch adds to it."""

    name: str
    type: str
    add: str
    extreme: str = ""  # LEAST or GREATEST, where the part cannot be subtracted from


def columns_of(rollup: Rollup) -> tuple[Column, ...]:
    """The stored columns besides `n` and the distinct counts; a part that two values need is stored once."""
    found: dict[str, Column] = {}

    def put(name: str, type_: str, add: str, extreme: str = "") -> None:
        found.setdefault(name, Column(name=name, type=type_, add=add, extreme=extreme))

    def put_count(measure: str) -> None:
        put(f"n_{measure}", "bigint", f"sum(s.sign) FILTER (WHERE s.m_{measure} IS NOT NULL)")

    for index, value in enumerate(rollup.values):
        match value.function:
            case "sum":
                put(f"sum_{value.arguments[0]}", "numeric", f"sum(s.sign * s.m_{value.arguments[0]})")
            case "avg":
                put(f"sum_{value.arguments[0]}", "numeric", f"sum(s.sign * s.m_{value.arguments[0]})")
                put_count(value.arguments[0])
            case "weighted_avg":
                measure, weight = value.arguments
                both = f"FILTER (WHERE s.m_{measure} IS NOT NULL)"
                put(f"weighted_{index}", "numeric", f"sum(s.sign * s.m_{measure}::numeric * s.m_{weight})")
                put(f"weight_{index}", "numeric", f"sum(s.sign * s.m_{weight}) {both}")
            case "min" | "max":
                word = "LEAST" if value.function == "min" else "GREATEST"
                measure = value.arguments[0]
                add = f"{value.function}(s.m_{measure}) FILTER (WHERE s.sign > 0)"
                put(f"{value.function}_{measure}", "bigint", add, word)
            case "latest":
                measure = value.arguments[0]
                add = f"max(ARRAY[{MOMENT}, s.m_{measure}]) FILTER (WHERE s.sign > 0 AND s.m_{measure} IS NOT NULL)"
                put(f"latest_{measure}", "bigint[]", add, "GREATEST")
            case "first_at":
                put("first_at", "timestamptz", "min(s.occurred_at) FILTER (WHERE s.sign > 0)", "LEAST")
            case "last_at":
                put("last_at", "timestamptz", "max(s.occurred_at) FILTER (WHERE s.sign > 0)", "GREATEST")
            case "share":
                put_count(value.arguments[0])
                put(f"passed_{index}", "bigint", f"sum(s.sign) FILTER (WHERE s.passed_{index})")
            case "count" | "distinct":
                pass
    return tuple(found.values())


def distinct_of(rollup: Rollup) -> tuple[tuple[str, str, str], ...]:
    """(column suffix, what is counted in `s`, its type) of each distinct value."""
    found: dict[str, tuple[str, str, str]] = {}
    for value in rollup.values:
        if value.function == "distinct":
            what = value.arguments[0]
            match what:
                case "actor":
                    found[what] = ("actor", "s.actor_id", "bigint")
                case "group":
                    found[what] = ("group", "s.group_id", "bigint")
                case "object":
                    found[what] = ("object", "s.object_kind || '/' || s.object_id", 'text COLLATE "C"')
                case "source":
                    found[what] = ("source", "s.source", 'text COLLATE "C"')
                case _:
                    name = what.removeprefix("data.")
                    found[what] = (f"d_{name}", f"s.d_{name}::text", 'text COLLATE "C"')
    return tuple(found.values())


def key_columns(model: Model, by: tuple[str, ...]) -> tuple[tuple[str, str, str], ...]:
    """(column, type, expression over `s`) of each key; the group's expression comes from the join with group_reach."""
    fields = model.fields()
    text = 'text COLLATE "C"'
    found: list[tuple[str, str, str]] = []
    for key in by:
        match key:
            case "tenant":
                pass
            case "group":
                found.append(("group_id", "bigint", "r.ancestor_id"))
            case "actor":
                found.append(("actor_id", "bigint", "s.actor_id"))
            case "object":
                found.append(("object_kind", text, "s.object_kind"))
                found.append(("object_id", text, "s.object_id"))
            case "verb" | "source" | "status":
                found.append((key, text, f"s.{key}"))
            case _:
                name = key.removeprefix("data.")
                scale = fields[name].scale if fields[name].type == "decimal" else 0
                units = f" * {Decimal(1).scaleb(-scale)}" if scale else ""
                found.append((f"d_{name}", text, f"coalesce((s.d_{name}{units})::text, '')"))
    return tuple(found)


def threshold_units(model: Model, value: Value) -> str:
    """A share's threshold as a literal in the measure's stored units."""
    scale = model.measures()[value.arguments[0]].scale
    return str(Decimal(value.threshold or "0").scaleb(scale))


def reading_of(model: Model, rollup: Rollup, value: Value) -> str:
    """The SQL expression over a rollup row `t` that gives the value in the user's units, exact or rounded as documented.

    Averages and shares are rounded to six decimals beyond the measure's own.
    """
    index = rollup.values.index(value)
    measures = model.measures()

    def units(measure: str) -> str:
        scale = measures[measure].scale
        return f" * {Decimal(1).scaleb(-scale)}" if scale else ""

    match value.function:
        case "count":
            return "t.n"
        case "sum":
            return f"t.sum_{value.arguments[0]}{units(value.arguments[0])}"
        case "avg":
            measure = value.arguments[0]
            digits = measures[measure].scale + 6
            return f"round(t.sum_{measure}{units(measure)} / nullif(t.n_{measure}, 0), {digits})"
        case "weighted_avg":
            measure = value.arguments[0]
            digits = measures[measure].scale + 6
            return f"round(t.weighted_{index}{units(measure)} / nullif(t.weight_{index}, 0), {digits})"
        case "min" | "max":
            return f"t.{value.function}_{value.arguments[0]}{units(value.arguments[0])}"
        case "latest":
            return f"t.latest_{value.arguments[0]}[2]{units(value.arguments[0])}"
        case "distinct":
            what = value.arguments[0].replace("data.", "d_")
            return f"t.distinct_{what}"
        case "share":
            return f"round(t.passed_{index}::numeric / nullif(t.n_{value.arguments[0]}, 0), 6)"
        case "first_at" | "last_at":
            return f"t.{value.function}"
