"""What a source needs to know to write its part of a report's statement: a SELECT with `tenant_id`, the keys, `bucket` and `v0`, `v1`, …

`tenant_id` is the same in every row, so that a report without keys is grouped and joined like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from milepost.model import Model, Report, ReportValue
from milepost.postgres import load_queries
from milepost.schema.compile import key_columns, literal

__all__ = ["HOURLY", "Asking", "queries"]

queries = load_queries(__package__, "reports.sql")

HOURLY = ("hour", "hour_of_day")


@dataclass(frozen=True, kw_only=True)
class Asking:
    """conditions: on the source as `t`, beginning with AND. group_asked: whether one group, or those below one, are asked about.
    before: the days before those asked for; its values are called `w0`, `w1`, …
    """

    model: Model
    report: Report
    values: tuple[ReportValue, ...]
    conditions: str = ""
    group_asked: bool = False
    spanned: bool = False
    before: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)  # what a key is called in the source, where it is called otherwise

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(name for name, _, _ in key_columns(self.model, self.report.by))

    @property
    def using(self) -> str:
        return ", ".join(("tenant_id", *self.keys, *(("bucket",) if self.report.per else ())))

    @property
    def group(self) -> str:
        return ", ".join(str(number + 1) for number in range(1 + len(self.keys) + bool(self.report.per)))

    @property
    def listed(self) -> str:
        return "".join(f", t.{key}" for key in self.keys)

    @property
    def since(self) -> str:
        return f"%(since{'_before' if self.before else ''})s::timestamp"

    @property
    def until(self) -> str:
        return f"%(until{'_before' if self.before else ''})s::timestamp"

    def bucket(self, local: str) -> str:
        """The bucket of a local time, as a column of a SELECT."""
        match self.report.per:
            case None:
                return ""
            case "hour_of_day":
                return f", extract(hour FROM {local})::integer AS bucket"
            case "day_of_week":
                return f", extract(isodow FROM {local})::integer AS bucket"
            case per:
                return f", date_trunc('{per}', {local}) AS bucket"

    def within(self, local: str) -> str:
        """The hours and days of the week that count."""
        found = ""
        if self.report.hours is not None:
            found += f" AND extract(hour FROM {local}) >= {self.report.hours[0]} AND extract(hour FROM {local}) < {self.report.hours[1]}"
        if self.report.weekdays:
            found += f" AND extract(isodow FROM {local}) IN ({', '.join(map(str, self.report.weekdays))})"
        return found

    def named(self, number: int, expression: str) -> str:
        """A value as a column; with its rule, where it has one."""
        passes = self.values[number].passes
        if passes is not None:
            expression = f"({expression}) {passes[0]} {passes[1]}"
        return f", {expression} AS {'w' if self.before else 'v'}{number}"

    def word(self, value: ReportValue) -> str:
        """The condition of `count(KEY = WORD)` on the source as `t`."""
        key = value.arguments[0]
        return f"t.{f'd_{key[5:]}' if key.startswith('data.') else key} = {literal(value.word or '')}"
