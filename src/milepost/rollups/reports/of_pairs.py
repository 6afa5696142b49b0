"""Reports from pairs: how long it took from opening to closing, of what was closed in the days asked for; and what is open now.

A percentile is a time that a pair took: the smallest that so many took no longer than. It is exact, of all pairs that were closed in
the days, which an index bounds.
"""

from __future__ import annotations

from milepost.model import PERCENTILES, ReportValue
from milepost.rollups.read import put_words
from milepost.rollups.reports.asking import Asking, queries
from milepost.schema.compile import literal

__all__ = ["of_pairs"]


def of_pairs(asking: Asking) -> str:
    reached = asking.group_asked or "group" in asking.report.by or asking.report.kind is not None
    conditions = asking.conditions.replace("t.actor_id", "t.opened_by")
    if reached:
        conditions = conditions.replace("t.group_id", "r.ancestor_id")
    model_zone = literal(asking.model.time_zone)
    words = {
        "table": f"milepost.pairs_{asking.report.source}",
        "group_id": ", r.ancestor_id AS group_id" if reached else "",
        "zone": f"coalesce(nullif(r.time_zone, ''), {model_zone})" if "group" in asking.report.by else "%(zone)s",
        "reach": "\n" + queries.reach if reached else "",
        "where": conditions,
    }
    closed = f"t.closed_at >= {asking.since} AT TIME ZONE %(zone)s AND t.closed_at < {asking.until} AT TIME ZONE %(zone)s"
    rows = put_words(queries.pairs_rows, when=closed, **words)
    if any(value.function == "open" for value in asking.values) and not asking.before:
        rows += "\nUNION ALL\n" + put_words(queries.pairs_rows, when="t.closed_at IS NULL", **words)
    counted = asking.within("t.local")
    return put_words(
        queries.pairs,
        keys=asking.listed,
        bucket=asking.bucket("t.local"),
        values="".join(asking.named(number, _value(value)) for number, value in enumerate(asking.values)),
        rows=rows,
        where=f"\nWHERE (t.closed_at IS NULL OR true{counted})" if counted else "",
        group=asking.group,
    )


def _value(value: ReportValue) -> str:
    match value.function:
        case "count":
            return "count(t.closed_at)"
        case "open":
            return "count(*) FILTER (WHERE t.closed_at IS NULL)"
        case "sum":
            return "trim_scale(coalesce(sum(t.seconds), 0))"
        case "avg":
            return "trim_scale(round(avg(t.seconds), 6))"
        case "min" | "max":
            return f"trim_scale({value.function}(t.seconds))"
        case "share":
            within = f"count(*) FILTER (WHERE t.seconds {value.comparison} {value.threshold})"
            return f"round({within}::numeric / nullif(count(t.closed_at), 0), 6)"
    return f"trim_scale(percentile_disc({PERCENTILES[value.function]}) WITHIN GROUP (ORDER BY t.seconds))"
