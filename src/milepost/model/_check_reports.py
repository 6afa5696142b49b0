"""Whether a report reads what its source has: the keys it groups by, and what its values are made of.

What a source can answer: a rollup what it keeps, and counts of its keys; a latest table anything of the measures it shows, and of what
another verb says of the same object (`assign.weight`); pairs the seconds between; a pending list how much is open; `memberships` what is
known of a membership, and rows of rollups beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from milepost.model._check_values import Offer
from milepost.model._lines import Path
from milepost.model._phrases import Unreadable, number_of_units
from milepost.model._problems import Notes, nearest_word, quoted
from milepost.model._report_values import PERCENTILES, ReportValue, read_report_value
from milepost.model._types import Model, Report

__all__ = ["MEMBERS", "check_reports"]

MEMBERS: Final = "memberships"  # the source that every model has
_NUMBERS: Final = ("sum", "avg", "min", "max")
_TIMES: Final = ("first_at", "last_at")
_LOCAL: Final = ("hour", "day", "week", "month", "hour_of_day", "day_of_week")


@dataclass(frozen=True, kw_only=True)
class _Source:
    """texts: values kept as they are. numbers: what can be computed with. words: values of one word."""

    what: str
    keys: tuple[str, ...]
    texts: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    words: tuple[str, ...] = ("count",)
    functions: tuple[str, ...] = ()  # over numbers
    spans: tuple[str, ...] = ()  # what `per` may be
    pasts: bool = False  # whether a span of days can be asked for
    of_keys: tuple[str, ...] = field(default=())  # keys and fields that are texts, for `count(KEY = WORD)`


def check_reports(model: Model, notes: Notes) -> None:
    for report in model.reports.values():
        path = ("reports", report.name)
        if report.parts:
            _check_parts(model, notes, report)
            continue
        source = _source(model, notes, report)
        if source is None:
            known = [*model.rollups, *model.latest, *model.pairs, *model.pending, MEMBERS]
            if report.source:
                message = f"no rollup, latest, pair or pending list is called {quoted(report.source)}"
                notes.add((*path, "from"), "unknown-source", message, nearest_word(report.source, known))
            continue
        for position, key in enumerate(report.by):
            if key and key not in source.keys:
                message = f"{report.source} has no key {quoted(key)}; it has {', '.join(source.keys)}"
                near = f"data.{key}" if f"data.{key}" in source.keys else nearest_word(key, source.keys)
                notes.add((*path, "by", position), "unknown-word", message, near)
        _check_span(model, notes, report, source)
        for position, text in enumerate(report.values):
            if text:
                _Check(model, notes, report, source, (*path, "values", position)).value(read_report_value(text))


def _check_parts(model: Model, notes: Notes, report: Report) -> None:
    path = ("reports", report.name)
    whole = [name for name, other in model.reports.items() if not other.parts]
    for position, name in enumerate(report.parts):
        if name and name not in whole:
            message = f"no report is called {quoted(name)}"
            if name in model.reports:
                message = f"{name} has parts itself, and so cannot be one"
            notes.add((*path, "parts", position), "unknown-source", message, nearest_word(name, whole))
    if report.source or report.values or report.by:
        notes.add((*path, "parts"), "report-parts", "a report with parts is nothing but these: no `from`, `by` or `values`")


def _source(model: Model, notes: Notes, report: Report) -> _Source | None:
    fields = model.fields()
    if rollup := model.rollups.get(report.source):
        keys = tuple(filter(None, rollup.by))
        texts = tuple(key for key in keys if key in ("verb", "source", "status") or _is_text(model, key))
        hours = _LOCAL if "hour" in rollup.per else ("day", "week", "month", "day_of_week")
        words = ("count", *(("members", "engagement") if "group" in keys else ()))
        return _Source(
            what="rollup",
            keys=keys,
            texts=tuple(value.text for value in rollup.values if value.text),
            words=words,
            spans=hours,
            pasts=True,
            of_keys=texts,
        )
    if latest := model.latest.get(report.source):
        offer = Offer(model, notes, latest.of)
        shown = tuple(value for value in latest.values if value in offer.measures)
        texts = tuple(v for v in latest.values if v.startswith("data.") and v[5:] in fields and _is_text(model, v))
        functions = (*_NUMBERS, "weighted_avg", "share", *_TIMES)
        return _Source(what="latest", keys=latest.by, numbers=shown, functions=functions, pasts=True, of_keys=texts)
    if report.source in model.pairs:
        return _Source(
            what="pairs",
            keys=("group", "actor"),
            numbers=("seconds",),
            words=("count", "open"),
            functions=(*_NUMBERS, "share", *PERCENTILES),
            spans=_LOCAL,
            pasts=True,
        )
    if report.source in model.pending:
        return _Source(what="pending", keys=("group", "actor"), words=("count", "overdue", "next_due"))
    if report.source == MEMBERS:
        words = ("role", "permissions", "since", "members")
        return _Source(what="memberships", keys=("group", "actor"), words=words)
    return None


def _is_text(model: Model, key: str) -> bool:
    declared = model.fields().get(key.removeprefix("data."))
    return key.startswith("data.") and declared is not None and declared.type == "text"


def _check_span(model: Model, notes: Notes, report: Report, source: _Source) -> None:
    path = ("reports", report.name)
    if report.per is not None and report.per not in source.spans:
        kept = ", ".join(source.spans) or "none"
        message = f"{report.source} cannot be told per {report.per}: {kept}"
        notes.add((*path, "per"), "report-per", message, nearest_word(report.per, source.spans))
    if not source.pasts and (report.days is not None or report.compare is not None):
        key = "days" if report.days is not None else "compare"
        notes.add((*path, key), "report-per", f"{report.source} is told as of now: it has no span of days")
    if report.compare and (report.per in ("hour", "day", "week", "month") or source.what == "latest"):
        message = "what is compared with the days before is told for the whole span, or per hour_of_day or day_of_week"
        notes.add((*path, "compare"), "report-per", message)
    if (report.hours or report.weekdays) and "hour_of_day" not in source.spans:
        key = "hours" if report.hours else "weekdays"
        if key == "hours" or not source.spans:
            notes.add((*path, key), "report-per", f"{report.source} does not know the hours of the day")
    if report.top is not None and source.what == "memberships":
        notes.add((*path, "top"), "report-per", "memberships are listed in an order of their own")
    if report.kind is not None:
        if report.kind not in model.groups:
            near = nearest_word(report.kind, model.groups)
            notes.add((*path, "kind"), "unknown-group-kind", f"no kind of group is called {quoted(report.kind)}", near)
        elif "group" not in source.keys:
            notes.add((*path, "kind"), "needs-group", f"a kind is of groups, and {report.source} has no group")
        elif "group" not in report.by and _by_membership(model, report):
            message = "by membership, one who is in several groups of a kind would count for each of them: list it by group"
            notes.add((*path, "kind"), "needs-group", message)


def _by_membership(model: Model, report: Report) -> bool:
    rollup = model.rollups.get(report.source)
    return rollup is not None and rollup.belongs == "membership"


class _Check:
    def __init__(self, model: Model, notes: Notes, report: Report, source: _Source, path: Path) -> None:
        self.model, self.notes, self.report, self.source, self.path = model, notes, report, source, path

    def value(self, value: ReportValue) -> None:
        source, function = self.source, value.function
        if value.passes is not None and (function in (*_TIMES, "role", "permissions", "since", "next_due")):
            self.note("not-a-number", f"{value.plain} is not a number, so it passes no rule")
        if value.rollup is not None:
            self.looked_up(value)
        elif value.plain in (*source.texts, *source.words):
            self.needs(value)
        elif value.word is not None:
            if value.arguments[0] not in source.of_keys:
                near = nearest_word(value.arguments[0], source.of_keys)
                kept = ", ".join(source.of_keys) or "none"
                self.note("unknown-word", f"{source.what} {self.report.source} has no text {value.arguments[0]}: {kept}", near)
        elif function == "distinct" and value.arguments[0] in source.keys and source.what in ("rollup", "latest"):
            pass
        elif function in source.functions and value.rollup is None:
            self.names(value, value.arguments)
        else:
            known = list(dict.fromkeys((*source.texts, *source.words)))
            message = f"{source.what} {self.report.source} cannot tell {value.plain}; it can tell {', '.join(known)}"
            self.note("unknown-value", message, nearest_word(value.plain, known))

    def needs(self, value: ReportValue) -> None:
        """What is told of groups needs one, and the whole time."""
        if value.function in ("members", "engagement") and self.report.per is not None:
            self.note("report-per", f"{value.function} is told of the whole time, not per {self.report.per}")
        if value.function == "open" and self.report.per is not None:
            self.note("report-per", "what is open has not been closed in any bucket of time")
        if value.function == "engagement":
            rollup = self.model.rollups[self.report.source]
            if "distinct(actor)" not in [kept.text for kept in rollup.values] and "actor" not in rollup.by:
                message = f"{rollup.name} keeps no distinct(actor), of which engagement is the part that are members"
                self.note("unknown-value", message, "distinct(actor)")

    def names(self, value: ReportValue, names: Iterable[str]) -> None:
        for name in names:
            verb, dot, of_verb = name.partition(".")
            if name in self.source.numbers:
                if value.function == "share" and self.source.what == "latest" and value.threshold is not None:
                    try:
                        number_of_units(value.threshold, self.model.measures()[name].scale)
                    except Unreadable as error:
                        self.note("bad-number", str(error))
            elif dot and verb in self.model.verbs and self.source.what == "latest":
                self.of_verb(verb, of_verb)
            elif dot and verb != "data" and self.source.what == "latest":
                near = nearest_word(verb, self.model.verbs)
                self.note("unknown-verb", f"no verb is called {quoted(verb)}", f"{near}.{of_verb}" if near else None)
            else:
                near = nearest_word(name, self.source.numbers)
                self.note("unknown-measure", f"its source has no {quoted(name)}", near)

    def of_verb(self, verb: str, name: str) -> None:
        declared = self.model.verbs[verb]
        if name not in (*declared.measures, *declared.data):
            near = nearest_word(name, [*declared.measures, *declared.data])
            message = f"{verb} declares neither a measure nor a data field {quoted(name)}"
            self.note("unknown-field", message, f"{verb}.{near}" if near else None)
        elif name in declared.data and declared.data[name].type not in ("integer", "decimal"):
            self.note("needs-number", f"{name} is {declared.data[name].type}; only numbers can be computed with")
        elif "object" not in self.model.latest[self.report.source].by:
            self.note("unknown-field", f"{self.report.source} is not kept by object, through which {verb}.{name} is looked up")

    def looked_up(self, value: ReportValue) -> None:
        rollup = self.model.rollups.get(value.rollup or "")
        if self.source.what != "memberships":
            self.note("unknown-value", f"{value.text}: only a report from memberships looks up a rollup")
        elif rollup is None:
            near = nearest_word(value.rollup or "", self.model.rollups)
            message = f"no rollup is called {quoted(value.rollup or '')}"
            self.note("unknown-rollup", message, f"{near}.{value.plain}" if near else None)
        elif not set(rollup.by) <= {"group", "actor"} or not rollup.by or "all" not in rollup.per:
            message = (
                f"{rollup.name} is kept by {', '.join(rollup.by)}; a membership has group and actor, over all time (per all)"
            )
            self.note("unknown-rollup", message)
        elif value.plain not in [kept.text for kept in rollup.values]:
            texts = [kept.text for kept in rollup.values]
            near = nearest_word(value.plain, texts)
            message = f"{rollup.name} does not keep {value.plain}, it keeps {', '.join(texts)}"
            self.note("unknown-value", message, f"{rollup.name}.{near}" if near else None)

    def note(self, rule: str, message: str, near: str | None = None) -> None:
        self.notes.add(self.path, rule, message, near)
