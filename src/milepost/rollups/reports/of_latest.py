"""Reports from a latest table: what it holds now, aggregated; beside it what another verb said of the same objects.

Where days are asked for, only what occurred in them counts. A latest table is by the group that an activity names, without those above it.
"""

from __future__ import annotations

from decimal import Decimal

from milepost.model import ReportValue
from milepost.rollups.read import put_words
from milepost.rollups.reports.asking import Asking, queries
from milepost.schema.compile import key_columns

__all__ = ["of_latest"]


def of_latest(asking: Asking) -> str:
    latest = asking.model.latest[asking.report.source]
    names = [name for value in asking.values if value.word is None for name in value.arguments]
    verbs = list(dict.fromkeys(name.partition(".")[0] for name in names if "." in name and not name.startswith("data.")))
    about = "".join("\n" + put_words(queries.about, verb=verb, alias=f"of_{verb}") for verb in verbs)
    where = asking.conditions
    if asking.spanned:
        where += f" AND t.occurred_at >= {asking.since} AT TIME ZONE %(zone)s AND t.occurred_at < {asking.until} AT TIME ZONE %(zone)s"
    values = "".join(asking.named(number, _value(asking, value)) for number, value in enumerate(asking.values))
    return put_words(
        queries.latest,
        keys=asking.listed,
        values=values,
        table=f"milepost.latest_{latest.name}",
        about=about,
        where=where,
        group=asking.group,
    )


def _value(asking: Asking, value: ReportValue) -> str:
    """An aggregate over rows `t`, in the user's units, rounded as a rollup's."""
    match value.function:
        case "count" if value.word is None:
            return "count(*)"
        case "count":
            return f"count(*) FILTER (WHERE {asking.word(value)})"
        case "share" if value.word is not None:
            return f"round(count(*) FILTER (WHERE {asking.word(value)})::numeric / nullif(count(*), 0), 6)"
        case "distinct":
            columns = ", ".join(f"t.{name}" for name, _, _ in key_columns(asking.model, value.arguments))
            return f"count(DISTINCT ({columns}))"
        case "first_at" | "last_at":
            return f"{'min' if value.function == 'first_at' else 'max'}(t.occurred_at)"
    column, scale = _column(asking, value.arguments[0])
    unit = f" * {Decimal(1).scaleb(-scale)}" if scale else ""
    match value.function:
        case "sum":
            return f"coalesce(sum({column}), 0){unit}"
        case "avg":
            return f"round(sum({column}){unit} / nullif(count({column}), 0), {scale + 6})"
        case "weighted_avg":
            weight, _ = _column(asking, value.arguments[1])
            weights = f"nullif(sum({weight}) FILTER (WHERE {column} IS NOT NULL), 0)"
            return f"round(sum({column}::numeric * {weight}){unit} / {weights}, {scale + 6})"
        case "min" | "max":
            return f"{value.function}({column}){unit}"
        case "share":
            threshold = Decimal(value.threshold or "0").scaleb(scale)
            return f"round(count(*) FILTER (WHERE {column} {value.comparison} {threshold})::numeric / nullif(count({column}), 0), 6)"
    raise AssertionError("the model's check refuses any other")


def _column(asking: Asking, name: str) -> tuple[str, int]:
    """A number of the row itself, or of what another verb said of its object; and its decimal places."""
    model = asking.model
    verb, dot, of_verb = name.partition(".")
    if not dot:
        return f"t.m_{name}", model.measures()[name].scale
    if of_verb in model.verbs[verb].measures:
        return f"of_{verb}.m_{of_verb}", model.measures()[of_verb].scale
    declared = model.fields()[of_verb]
    return f"of_{verb}.d_{of_verb}", declared.scale if declared.type == "decimal" else 0
