"""The days that a report is about, as local dates: of the group that is asked about, else of the model's zone.

Without `from` and `to` it is the last days up to today, today included: as many as are asked for, or as the model says. The second
bound is excluded, as everywhere. A day begins and ends as the zone's clock does, so that one with a change of clocks has 23 or 25
hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from milepost.errors import FieldError, InvalidInput
from milepost.model import REPORT_DAYS_MAX, Model, Report

__all__ = ["DAYS", "Span", "span_of", "usual_days"]

DAYS = 30  # where neither the model nor the question says how many


@dataclass(frozen=True, kw_only=True)
class Span:
    first: date
    last: date  # excluded
    zone: str

    @property
    def days(self) -> int:
        return (self.last - self.first).days

    def parameters(self) -> dict[str, Any]:
        """`since` and `until`, and `since_before` and `until_before` of as many days before."""
        since, until = (datetime.combine(day, datetime.min.time()) for day in (self.first, self.last))
        earlier = since - min(until - since, since - datetime.min)
        return {"since": since, "until": until, "since_before": earlier, "until_before": since, "zone": self.zone}


def usual_days(model: Model, report: Report) -> int | None:
    """How many days a report is about, where the question does not say; None: it is about what is there now."""
    if report.days is None and (report.source in model.rollups or report.source in model.pairs):
        return DAYS
    return report.days


def span_of(local: datetime, zone: str, *, days: int | None, first: datetime | None, last: datetime | None, usual: int) -> Span:
    """local: the time now in the zone. usual: how many days, where the question does not say. Raises `InvalidInput`."""
    if days is not None and first is not None and last is not None:
        raise InvalidInput(errors=(FieldError("/days", "is one too many beside from and to"),))
    if days is not None and not 1 <= days <= REPORT_DAYS_MAX:
        raise InvalidInput(errors=(FieldError("/days", f"is 1 to {REPORT_DAYS_MAX}"),))
    length = timedelta(days=days or usual)
    try:
        until = last.date() if last is not None else local.date() + timedelta(days=1)
        if first is not None and last is None and days is not None:
            until = first.date() + length
        since = first.date() if first is not None else until - length
    except OverflowError:
        raise InvalidInput(errors=(FieldError("/from", "is too far from today"),)) from None
    if since >= until:
        raise InvalidInput(errors=(FieldError("/from", "is not before the end"),))
    if (until - since).days > REPORT_DAYS_MAX:
        raise InvalidInput(errors=(FieldError("/from", f"is more than {REPORT_DAYS_MAX} days before the end"),))
    return Span(first=since, last=until, zone=zone)
