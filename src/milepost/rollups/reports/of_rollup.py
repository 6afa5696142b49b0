"""Reports from a rollup: its days, summed. What it counts as distinct is counted over all of the days at once."""

from __future__ import annotations

from milepost.model import Rollup, Value
from milepost.rollups.read import put_words
from milepost.rollups.reports.asking import HOURLY, Asking, queries
from milepost.schema.compile import columns_of, distinct_of, key_columns, reading_of

__all__ = ["active_in", "of_rollup", "rows_of"]

SUMS = {"": "sum", "LEAST": "min", "GREATEST": "max"}


def rows_of(asking: Asking) -> str:
    """Which rows a report adds up: `hour` or `day`."""
    return "hour" if asking.report.per in HOURLY or asking.report.hours is not None else "day"


def of_rollup(asking: Asking) -> str:
    model, rollup = asking.model, asking.model.rollups[asking.report.source]
    kept = {value.text: value for value in rollup.values}
    needed = [kept[value.plain] for value in asking.values if value.plain in kept]
    words = {
        "table": f"milepost.rollup_{rollup.name}",
        "per": rows_of(asking),
        "since": asking.since,
        "until": asking.until,
        "where": asking.conditions + asking.within("t.bucket"),
        "keys_of_rows": asking.listed,
        "bucket_of_rows": asking.bucket("t.bucket"),
        "group": asking.group,
    }
    sums = "".join(f", {SUMS[column.extreme]}(t.{column.name}) AS {column.name}" for column in columns_of(rollup))
    values, counted, distinct = "", "", ""
    for number, value in enumerate(asking.values):
        if value.plain in kept:
            expression = reading_of(model, rollup, kept[value.plain])
        elif value.plain == "count":
            expression = "t.n"
        elif value.word is not None:
            sums += f", coalesce(sum(t.n) FILTER (WHERE {asking.word(value)}), 0) AS x{number}"
            expression = f"t.x{number}" if value.function == "count" else f"round(t.x{number} / nullif(t.n, 0), 6)"
        elif value.function == "distinct":
            columns = ", ".join(f"t.{name}" for name, _, _ in key_columns(model, value.arguments))
            sums += f", count(DISTINCT ({columns})) AS x{number}"
            expression = f"t.x{number}"
        else:
            expression = "NULL::numeric"  # of groups: see `read`
        values += asking.named(number, expression)
    for suffix in seen(rollup, needed):
        distinct += "\n" + put_words(queries.seen, what=suffix, alias=f"of_{suffix}", using=asking.using, **words)
        counted += f", coalesce(of_{suffix}.distinct_{suffix}, 0) AS distinct_{suffix}"
    return put_words(
        queries.rollup,
        keys=asking.listed,
        bucket=", t.bucket" if asking.report.per else "",
        values=values,
        sums=sums,
        counted=counted,
        distinct=distinct,
        **words,
    )


def seen(rollup: Rollup, needed: list[Value]) -> list[str]:
    """The suffixes of the reference counts that these values need."""
    wanted = {value.arguments[0] for value in needed if value.function == "distinct"}
    return [suffix for suffix, _, _ in distinct_of(rollup) if suffix in {name.replace("data.", "d_") for name in wanted}]


def active_in(asking: Asking) -> str:
    """Who did something in a group `k.group_id`."""
    rollup = asking.model.rollups[asking.report.source]
    keeps = any(value.text == "distinct(actor)" for value in rollup.values)
    template = queries.active_seen if keeps else queries.active_kept
    return put_words(
        template, table=f"milepost.rollup_{rollup.name}", per=rows_of(asking), since=asking.since, until=asking.until
    )
