"""Whether a report reads what its source has: the keys it groups by, and the names in its values.

A report may also compute with what a verb of the model declares, as `VERB.NAME` (`assign.weight`). What a
pair or a pending list offers beside that is its own matter; bare names there are taken as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from milepost.model._check_values import Offer
from milepost.model._derived import LATEST_KEYS
from milepost.model._lines import Path
from milepost.model._phrases import Unreadable, read_value
from milepost.model._problems import Notes, nearest_word, quoted
from milepost.model._types import Model, Report

__all__ = ["check_reports"]

_DISTINCT: Final = ("actor", "group", "object", "source")


@dataclass(frozen=True, kw_only=True)
class _Source:
    keys: tuple[str, ...]
    names: tuple[str, ...] | None  # what values may compute with; None: not known
    texts: tuple[str, ...] = ()  # values kept as they are


def check_reports(model: Model, notes: Notes) -> None:
    for report in model.reports.values():
        path = ("reports", report.name)
        source = _source(model, notes, report)
        if source is None:
            known = [*model.rollups, *model.latest, *model.pairs, *model.pending]
            if report.source:
                message = f"no rollup, latest, pair or pending list is called {quoted(report.source)}"
                notes.add((*path, "from"), "unknown-source", message, nearest_word(report.source, known))
            source = _Source(keys=report.by, names=None)
        for position, key in enumerate(report.by):
            if key and key not in source.keys:
                message = f"{report.source} has no key {quoted(key)}; it has {', '.join(source.keys)}"
                near = f"data.{key}" if f"data.{key}" in source.keys else nearest_word(key, source.keys)
                notes.add((*path, "by", position), "unknown-word", message, near)
        for position, text in enumerate(report.values):
            _check_value(model, notes, (*path, "values", position), text, source)


def _source(model: Model, notes: Notes, report: Report) -> _Source | None:
    if rollup := model.rollups.get(report.source):
        offer = Offer(model, notes, rollup.of)
        texts = tuple(value.text for value in rollup.values if value.text)
        return _Source(keys=tuple(filter(None, rollup.by)), names=tuple(offer.measures), texts=texts)
    if latest := model.latest.get(report.source):
        return _Source(keys=latest.by, names=latest.values)
    if report.source in model.pairs or report.source in model.pending:
        return _Source(keys=LATEST_KEYS, names=None)
    return None


def _check_value(model: Model, notes: Notes, path: Path, text: str, source: _Source) -> None:
    if not text or text in source.texts:
        return
    try:
        value = read_value(text)
    except Unreadable as error:  # it was noted when it was read
        raise AssertionError(text) from error
    for argument in value.arguments:
        verb, dot, name = argument.partition(".")
        if value.function == "distinct" and argument in (*_DISTINCT, *source.keys):
            continue
        if source.names is None and (not dot or verb == "data"):
            continue
        if source.names is not None and argument in source.names:
            continue
        if dot and verb in model.verbs:
            declared = [*model.verbs[verb].measures, *model.verbs[verb].data]
            if name not in declared:
                near = nearest_word(name, declared)
                message = f"{verb} declares neither a measure nor a data field {quoted(name)}"
                notes.add(path, "unknown-field", message, f"{verb}.{near}" if near else None)
        elif dot and verb != "data":
            message = f"no verb is called {quoted(verb)}"
            near = nearest_word(verb, model.verbs)
            notes.add(path, "unknown-verb", message, f"{near}.{name}" if near else None)
        else:
            known = source.names or ()
            notes.add(path, "unknown-measure", f"its source has no {quoted(argument)}", nearest_word(argument, known))
