"""The health of a group: how much is done in it, by how many of its members, and whether that grows or shrinks.

    shown = await read_health(conn, tenant_id, model, "team-3", now=now)
    shown["score"]      # 0 to 100

The score is the weighted mean of three parts, each 0 to 1, over the last days, today included:

- `activity`: activities ÷ (members × `per_week` × weeks), at most 1;
- `breadth`: members now who did something ÷ members now;
- `trend`: activities ÷ those of as many days before, at most 1; 1 where there were none before and some now, 0 where there is nothing.

What they are made of comes along, so that a reader can do the sum. The group's kind says how in the model; where it says nothing, a rollup by
group that keeps `distinct(actor)` is taken. Raises `NotFound` where there is none, or no such group.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from milepost.access.groups import get_group
from milepost.errors import NotFound
from milepost.model import Health, Model, Report
from milepost.postgres import Connection
from milepost.rollups.reports.read import Question, read_report

__all__ = ["health_of", "read_health"]

FORMULAS = {
    "activity": "count ÷ (members × {per_week} a week × {weeks} weeks), at most 1",
    "breadth": "members who did something ÷ members",
    "trend": "count ÷ count of the {days} days before, at most 1; 1 where only now has any",
}
FOUR = Decimal("0.0001")


def health_of(model: Model, kind: str | None) -> Health:
    """How the health of a group of a kind is told. Raises `NotFound`."""
    declared = model.groups[kind].health if kind in model.groups else None
    if declared is not None:
        return declared
    for rollup in model.rollups.values():
        if rollup.by == ("group",) and "distinct(actor)" in [value.text for value in rollup.values]:
            return Health(source=rollup.name)
    raise NotFound(
        "The model has no rollup by group with distinct(actor), from which a group's health could be told: "
        "declare one, or `health` for this kind of group."
    )


async def read_health(conn: Connection, tenant_id: int, model: Model, group: str, *, now: datetime) -> dict[str, Any]:
    """One group's, of the days that end with its own today."""
    found = await get_group(conn, tenant_id, group, at=now)
    health = health_of(model, found.kind)
    report = Report(
        name="health", source=health.source, values=("count", "members", "engagement"), days=health.days, compare="previous"
    )
    asked = replace(model, reports={report.name: report})
    answer = await read_report(conn, tenant_id, asked, report.name, Question(keys={"group": group}), now=now, limit=1)
    row = answer["items"][0] if answer["items"] else {"values": {}, "previous": {}}
    values = {name: row["values"].get(name) or 0 for name in report.values}
    values["count_before"] = row["previous"].get("count") or 0
    parts = _parts(health, values)
    weights = health.weights
    score = 100 * sum((weights[name] * part for name, part in parts.items()), Decimal(0)) / sum(weights.values())
    words = {"per_week": health.per_week, "weeks": _weeks(health).quantize(FOUR).normalize(), "days": health.days}
    return {
        "group": group,
        "score": score.quantize(FOUR),
        "parts": {
            name: {"value": part.quantize(FOUR), "weight": weights[name], "formula": FORMULAS[name].format(**words)}
            for name, part in parts.items()
        },
        "formula": "100 × Σ (value × weight) ÷ Σ weight",
        "values": values,
        "rollup": health.source,
        "days": health.days,
        "from": answer["from"],
        "to": answer["to"],
        "time_zone": answer["time_zone"],
    }


def _parts(health: Health, values: dict[str, Any]) -> dict[str, Decimal]:
    count, before, members = (Decimal(values[name]) for name in ("count", "count_before", "members"))
    full = members * health.per_week * _weeks(health)
    return {
        "activity": min(Decimal(1), count / full) if full else Decimal(0),
        "breadth": Decimal(values["engagement"]),
        "trend": min(Decimal(1), count / before) if before else Decimal(1 if count else 0),
    }


def _weeks(health: Health) -> Decimal:
    return Decimal(health.days) / 7
