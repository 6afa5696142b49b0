"""What a report's values are, in words: how each comes about, and in what unit. For `GET /v1/reports` and `milepost model show`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from milepost.model import MEMBERS, PERCENTILES, Model, Report, ReportValue, read_report_value
from milepost.rollups.reports.span import usual_days
from milepost.rollups.reports.subject import subjects_of

__all__ = ["described", "formula_of"]

RATIO = "0 to 1"
TIME = "a time"


def described(model: Model) -> Iterator[dict[str, Any]]:
    """Each report of the model as a reader may be told of it."""
    for report in model.reports.values():
        values = [read_report_value(text) for text in report.values]
        told = [(value.text, *formula_of(model, report, value)) for value in values]
        yield {
            "name": report.name,
            "parts": list(report.parts),
            "source": report.source or None,
            "by": list(report.by),
            "per": report.per,
            "days": usual_days(model, report),
            "required": list(subjects_of(model, report)),
            "compare": report.compare,
            "top": report.top,
            "order": report.order,
            "values": [{"value": text, "formula": formula, "unit": unit} for text, formula, unit in told],
        }


def formula_of(model: Model, report: Report, value: ReportValue) -> tuple[str, str]:
    """(formula, unit) of one value."""
    formula, unit = _of_number(model, report, value)
    if value.rollup is not None:
        formula = f"{formula}; of the rollup {value.rollup}, over all time"
    if value.passes is not None:
        return f"whether this is {value.passes[0]} {value.passes[1]}: {formula}", "true or false"
    return formula, unit


def _of_number(model: Model, report: Report, value: ReportValue) -> tuple[str, str]:
    function, first = value.function, value.arguments[0] if value.arguments else ""
    what = _counted(model, report)
    unit = "s" if first == "seconds" else first
    if value.word is not None:
        rule = f"whose {first.removeprefix('data.')} is {value.word}"
        if function == "count":
            return f"number of {what} {rule}", what
        return f"number of {what} {rule} ÷ number of {what}", RATIO
    if function in PERCENTILES:
        return f"the smallest {first} that {float(PERCENTILES[function]):.0%} of the {what} do not exceed", "s"
    match function:
        case "count":
            return f"number of {what}", what
        case "sum":
            return f"Σ {first}", unit
        case "avg":
            return f"Σ {first} ÷ number of {what} that have it", unit
        case "weighted_avg":
            weight = value.arguments[1]
            return f"Σ ({first} × {weight}) ÷ Σ {weight}, of {what} that have both", unit
        case "min" | "max":
            return f"the {'smallest' if function == 'min' else 'largest'} {first}", unit
        case "latest":
            return f"the {first} of the newest that has it", unit
        case "share":
            rule = f"{first} {value.comparison} {value.threshold}"
            return f"number of {what} with {rule} ÷ number of those with {first}", RATIO
        case "distinct":
            return f"number of different values of {first}", f"{first.removeprefix('data.')}s"
    return WORDS[function]


WORDS = {
    "first_at": ("when the first happened", TIME),
    "last_at": ("when the last happened", TIME),
    "members": ("number of actors that are now members of the group or of one below it", "actors"),
    "engagement": ("members now who did something in the days ÷ members now", RATIO),
    "open": ("number of pairs that were opened and are not closed now", "pairs"),
    "overdue": ("number of open ones whose due date has passed", "open ones"),
    "next_due": ("the earliest due date that has not passed", TIME),
    "role": ("the membership's role now", "a role"),
    "permissions": ("the membership's own permissions now", "actions"),
    "since": ("since when the membership holds; null: always", TIME),
}


def _counted(model: Model, report: Report) -> str:
    if report.source in model.pairs:
        return "pairs closed in the days"
    if report.source in model.pending:
        return "open ones"
    if report.source in model.latest:
        return "rows of the latest table"
    return "memberships" if report.source == MEMBERS else "activities in the days"
