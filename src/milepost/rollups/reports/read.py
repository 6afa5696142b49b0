"""Ask a report that the model declares, and answer it.

    found = await read_report(conn, tenant_id, model, "organisation_analytics", Question(keys={"group": "org-1"}, days=90), now=now)
    found["items"]     # [{"keys": {…}, "values": {"count": 812, …}, "previous": {…}, "change": {…}}]

`keys` narrow it down to one group, actor or other key of its source; `within` to the groups below one. A report of a `kind` takes a group
as those of the kind at or below it. A report without keys of its own has one item, zeros included. With `top` the items are those of the
highest first value (or the lowest, by `order`), without further
pages; all others come in the order of bucket and keys, page by page. `change` is by how much a number grew, as a part of what it was
before; null where that was nothing.

Raises `NotFound` for a report that the model does not declare, `InvalidInput` for what it cannot be asked, `BeingFilled` while its
source is being filled from history. A group or actor that is not known has no items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from milepost.access.groups import group_ids
from milepost.errors import FieldError, InvalidInput
from milepost.model import MEMBERS, Model, Report, ReportValue, read_report_value
from milepost.postgres import Connection
from milepost.rollups.filling import require_filled
from milepost.rollups.keys import Keys, find_keys, show_keys, shown_columns
from milepost.rollups.read import declared, names_of, put_words, shown_number
from milepost.rollups.reports.asking import Asking, queries
from milepost.rollups.reports.of_latest import of_latest
from milepost.rollups.reports.of_members import read_members
from milepost.rollups.reports.of_pairs import of_pairs
from milepost.rollups.reports.of_pending import of_pending
from milepost.rollups.reports.of_rollup import active_in, of_rollup
from milepost.rollups.reports.span import DAYS, Span, span_of, usual_days
from milepost.rollups.reports.subject import OF_GROUPS, adds_groups_up, subjects_of
from milepost.schema.compile import literal
from milepost.storage.by_index import plan_by_index

__all__ = ["Question", "read_report"]

ZEROS = frozenset({"count", "sum", "distinct", "open", "overdue"})  # what is 0 where there is nothing
OF_THE_GROUP = "AND t.group_id = %(group_id)s"  # as `find_keys` has it
SIX = Decimal("0.000001")
FOUR = Decimal("0.0001")


@dataclass(frozen=True, kw_only=True)
class Question:
    """keys: of the report's source, by their text. within: only groups below this one. first, last: local dates, the second
    excluded.
    """

    keys: Mapping[str, str] = field(default_factory=dict)
    within: str | None = None
    days: int | None = None
    first: datetime | None = None
    last: datetime | None = None


async def read_report(
    conn: Connection,
    tenant_id: int,
    model: Model,
    name: str,
    question: Question,
    *,
    now: datetime,
    limit: int,
    after: bytes | None = None,
) -> dict[str, Any]:
    """after: the `next` of the page before, which is bytes or None here."""
    report = declared(model.reports, name, "report")
    await plan_by_index(conn, sorts=True)
    if not report.parts:
        return await _Reading(conn, tenant_id, model, report, question, now).answer(limit, after)
    answers = {}
    for part in report.parts:
        kept = _keys_of(model, model.reports[part])
        narrowed = replace(question, keys={key: text for key, text in question.keys.items() if key in kept})
        answers[part] = await _Reading(conn, tenant_id, model, model.reports[part], narrowed, now).answer(limit, None)
    return {"report": name, "parts": answers, "next": None}


def _keys_of(model: Model, report: Report) -> tuple[str, ...]:
    if rollup := model.rollups.get(report.source):
        return rollup.by
    if latest := model.latest.get(report.source):
        return latest.by
    return ("group", "actor")


class _Reading:
    """One report, one answer."""

    def __init__(
        self, conn: Connection, tenant_id: int, model: Model, report: Report, question: Question, now: datetime
    ) -> None:
        self.conn, self.tenant_id, self.model, self.question, self.now = conn, tenant_id, model, question, now
        self.values = tuple(read_report_value(text) for text in report.values)
        self.report = report
        self.parameters: dict[str, Any] = {"tenant_id": tenant_id, "now": now}

    async def answer(self, limit: int, after: bytes | None) -> dict[str, Any]:
        report, spanned = self.report, self._spanned()
        kept = _keys_of(self.model, report)
        keys = await find_keys(self.conn, self.tenant_id, self.model, kept, self.question.keys)
        await self._require_filled()
        within = None
        if self.question.within is not None:
            if "group" not in kept:
                raise InvalidInput(errors=(FieldError("/within", f"{report.name} is not about groups"),))
            within = (await group_ids(self.conn, self.tenant_id, [self.question.within])).get(self.question.within)
        about = keys.parameters.get("group_id") if "group" in self.question.keys else within
        span = await self._span(about)
        self._require_subject()
        shown: dict[str, Any] = {"report": report.name}
        if spanned:
            shown |= {"from": span.first.isoformat(), "to": span.last.isoformat(), "time_zone": span.zone}
        if not keys.known or (self.question.within is not None and within is None):
            return shown | {"items": [], "next": None}
        self.parameters |= {**keys.parameters, "within_id": within, **span.parameters()}
        conditions = self._conditions(keys)
        if report.source == MEMBERS:
            page = await read_members(
                self.conn,
                self.model,
                report,
                self.values,
                conditions=conditions,
                parameters=self.parameters,
                limit=limit,
                after=after,
            )
            return shown | {"items": page.items, "next": page.next}
        asking = Asking(
            model=self.model,
            report=report,
            values=self.values,
            conditions=conditions,
            group_asked=about is not None,
            spanned=spanned,
        )
        items, following = await self._items(asking, limit if report.top is None else min(limit, report.top), after)
        return shown | {"items": items, "next": following}

    def _spanned(self) -> bool:
        """Whether the answer is about days. A latest table is about what is there now, unless days are asked for."""
        report, question = self.report, self.question
        asked = (question.days, question.first, question.last) != (None, None, None)
        return usual_days(self.model, report) is not None or (asked and report.source in self.model.latest)

    async def _span(self, group_id: int | None) -> Span:
        given = {**self.parameters, "group_id": group_id, "model_zone": self.model.time_zone}
        local, zone = await (await self.conn.execute(queries.zones, given)).fetchone() or (self.now, self.model.time_zone)
        question = self.question
        usual = usual_days(self.model, self.report) or DAYS
        return span_of(local, zone, days=question.days, first=question.first, last=question.last, usual=usual)

    async def _require_filled(self) -> None:
        source, model = self.report.source, self.model
        names = []
        if source in model.rollups:
            names.append(f"rollup_{source}")
        elif source in model.latest:
            names.append(f"latest_{source}")
            arguments = {argument.partition(".")[0] for value in self.values for argument in value.arguments}
            names += [f"about_{verb}" for verb in model.looked_up() if verb in arguments]
        elif source in model.pairs:
            names.append(f"pairs_{source}")
        elif source in model.pending:
            names += [f"given_{source}", f"done_{source}"]
        else:
            names += [f"rollup_{value.rollup}" for value in self.values if value.rollup is not None]
        await require_filled(self.conn, self.tenant_id, *names)

    def _conditions(self, keys: Keys) -> str:
        """On the source as `t`."""
        report = self.report
        found = [f"AND {condition}" for condition in keys.conditions]
        if self.question.within is not None:
            found.append(queries.below)
        if report.kind is not None:
            if OF_THE_GROUP in found:
                found[found.index(OF_THE_GROUP)] = queries.at_or_below
            found.append(put_words(queries.kind, kind=literal(report.kind)))
        return "".join(f" {condition}" for condition in found)

    def _require_subject(self) -> None:
        report = self.report
        wanted, adds_up = subjects_of(self.model, report), adds_groups_up(self.model, report)
        asked = self.question.keys.keys() | ({"within"} if self.question.within is not None else set())
        why = f"{report.name} tells of a group's members"
        if adds_up:
            why = f"{report.name} adds up, and what happens in a group counts for those above it, too"
        if wanted and not asked & set(wanted):
            required = "is required, or an actor" if "actor" in wanted else f"is required: {why}"
            raise InvalidInput(errors=(FieldError("/group", required),))
        if adds_up and report.source in self.model.pairs and "within" in asked:
            raise InvalidInput(errors=(FieldError("/within", f"{why}: ask for the group"),))

    async def _items(self, asking: Asking, limit: int, after: bytes | None) -> tuple[list[dict[str, Any]], bytes | None]:
        report, values = self.report, self.values
        columns = [*(("bucket",) if report.per else ()), *asking.keys]
        source = _source(asking)
        count = len(values)
        if report.compare:
            source = put_words(queries.compared, now=source, before=_source(replace(asking, before=True)), keys=asking.using)
        order = ", ".join(f"t.{column}" for column in columns)
        if report.top is not None:
            first = f"t.v0 {'DESC' if report.order == 'down' else 'ASC'} NULLS LAST"
            order = f"{first}, {order}" if order else first
        passed = ""
        if after is not None:
            self.parameters |= dict(zip((f"p_{column}" for column in columns), msgspec.json.decode(after), strict=True))
            given = ", ".join(f"%(p_{column})s{_cast(asking, column)}" for column in columns)
            passed = f" AND ({', '.join(f't.{column}' for column in columns)}) > ({given})"
        shown_by = shown_columns(report.by)
        statement = put_words(
            queries.page,
            position=", ".join(f"t.{column}" for column in columns) or "t.tenant_id",
            shown="".join(f", {expression}" for expression in shown_by),
            values="".join(f", t.{letter}{n}" for letter in ("v", "w")[: 2 if report.compare else 1] for n in range(count)),
            source=source,
            after=passed,
            order=order or "t.tenant_id",
            rows=str(limit + 1),
            names=names_of(report.by),
        )
        rows: list[Any] = list(await (await self.conn.execute(statement, self.parameters)).fetchall())
        if not rows and not columns:
            rows = [(0, *([None] * count * (2 if report.compare else 1)))]
        width = len(columns) or 1
        items, groups = [], []
        for row in rows[:limit]:
            told = row[width + len(shown_by) :]
            item: dict[str, Any] = {}
            if report.per:
                item["bucket"] = _bucket(report.per, row[0])
            item["keys"] = show_keys(self.model, report.by, row[width : width + len(shown_by)])
            item["values"] = self._told(told[:count])
            if report.compare:
                before = self._told(told[count:])
                item["previous"] = {v.text: before[v.text] for v in values if v.function != "open"}  # which is of now alone
            items.append(item)
            at = columns.index("group_id") if "group_id" in columns else None
            groups.append(row[at] if at is not None else self.parameters.get("group_id"))
        await self._of_groups(asking, items, groups)
        if report.compare:
            for item in items:
                item["change"] = {
                    name: _change(item["values"][name], before) for name, before in item["previous"].items() if _grows(before)
                }
        following = None
        if len(rows) > limit and report.top is None:
            following = msgspec.json.encode(list(rows[limit - 1][:width]))
        return items, following

    def _told(self, numbers: Sequence[Any]) -> dict[str, Any]:
        told = {}
        for value, number in zip(self.values, numbers, strict=True):
            nothing = number is None and value.function in ZEROS and value.passes is None
            told[value.text] = 0 if nothing else shown_number(number)
        return told

    async def _of_groups(self, asking: Asking, items: list[dict[str, Any]], groups: Sequence[int | None]) -> None:
        """How many members the groups have, and how many of them did something: asked once for the groups of a page."""
        wanted = [value for value in self.values if value.function in OF_GROUPS]
        if not wanted or not items:
            return
        for told, side in (("values", asking), ("previous", replace(asking, before=True))):
            if told not in items[0]:
                continue
            engaged = any(value.function == "engagement" for value in wanted)
            active = active_in(side) if engaged else queries.active_nobody
            statement = put_words(queries.engagement, active=active)
            asked = {**self.parameters, "groups": sorted({group for group in groups if group is not None})}
            rows = await (await self.conn.execute(statement, asked)).fetchall()
            found = {group: (members, engaged_members) for group, members, engaged_members in rows}
            for item, group in zip(items, groups, strict=True):
                members, active_members = found.get(group, (0, 0))
                for value in wanted:
                    part = (Decimal(active_members) / members).quantize(SIX) if members else None
                    number = members if value.function == "members" else part
                    item[told][value.text] = number if value.passes is None else _passes(number, value)


def _source(asking: Asking) -> str:
    model, source = asking.model, asking.report.source
    if source in model.rollups:
        return of_rollup(asking)
    if source in model.latest:
        return of_latest(asking)
    return of_pairs(asking) if source in model.pairs else of_pending(asking)


def _cast(asking: Asking, column: str) -> str:
    if column != "bucket":
        return ""
    return "::integer" if asking.report.per in ("hour_of_day", "day_of_week") else "::timestamp"


def _bucket(per: str, bucket: Any) -> Any:
    """An hour of the day or a day of the week is a number; all else as a rollup shows it."""
    if isinstance(bucket, datetime):
        return bucket.isoformat(timespec="minutes") if per == "hour" else bucket.date().isoformat()
    return bucket


def _grows(number: Any) -> bool:
    return number is None or (isinstance(number, int | Decimal) and not isinstance(number, bool))


def _change(number: Any, before: Any) -> Decimal | None:
    if number is None or not before:
        return None
    return ((Decimal(number) - Decimal(before)) / abs(Decimal(before))).quantize(FOUR)


def _passes(number: Decimal | int | None, value: ReportValue) -> bool | None:
    if number is None or value.passes is None:
        return None
    comparison, text = value.passes
    threshold = Decimal(text)
    below, same = number < threshold, number == threshold
    return {"<": below, "<=": below or same, "=": same, ">=": not below, ">": not below and not same}[comparison]
