"""What differs between the model a database has and the one it is to get, and which differences it cannot
take.

Derived tables are never altered: one whose definition changed is listed as removed and as added, and is
filled again from the activities. What activities are stored as (the scale of a measure, the type of a column)
cannot change under them; such a change is refused, with what to do instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final, TypeVar

from milepost.model._canonical import definition_hash, model_fingerprint
from milepost.model._lines import LineIndex
from milepost.model._phrases import type_text
from milepost.model._problems import Notes, Problem
from milepost.model._types import Field, Model

__all__ = ["ModelChange", "SectionChange", "diff_models"]

T = TypeVar("T")

_STORED: Final = ("rollups", "latest", "pairs", "boards", "pending")  # kept as rows that a new definition would falsify
_PLAIN: Final = ("groups", "verbs", "goals", "terms", "reports", "keep", "maps")


@dataclass(frozen=True, kw_only=True)
class SectionChange:
    """Names that came, went, or stand for something else now, each in the order of the model they are in."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


@dataclass(frozen=True, kw_only=True)
class ModelChange:
    """`same` is True when nothing at all differs. With `refusals` the change must not be applied.

    rollups, latest, pairs, boards, pending: what changed is in `removed` and in `added`. measures and
    columns: by name over all verbs, as they become columns `m_NAME` and `d_NAME` of the activity table.
    """

    same: bool
    groups: SectionChange
    verbs: SectionChange
    measures: SectionChange
    columns: SectionChange
    rollups: SectionChange
    latest: SectionChange
    pairs: SectionChange
    goals: SectionChange
    terms: SectionChange
    boards: SectionChange
    pending: SectionChange
    reports: SectionChange
    keep: SectionChange
    maps: SectionChange
    refusals: tuple[Problem, ...] = ()


def diff_models(old: Model, new: Model, *, text: str = "") -> ModelChange:
    """How `new` differs from `old`. `text` is the TOML of `new`, for the lines of refusals; without it they
    have line 0.
    """
    sections: dict[str, SectionChange] = {
        section: _section(getattr(old, section), getattr(new, section), old, new) for section in _STORED
    }
    for section in _PLAIN:
        sections[section] = _compare(getattr(old, section), getattr(new, section), lambda was, now: was == now)
    return ModelChange(
        same=model_fingerprint(old) == model_fingerprint(new),
        measures=_compare(old.measures(), new.measures(), lambda was, now: was.scale == now.scale),
        columns=_compare(_columns(old), _columns(new), _same_type),
        refusals=_refusals(old, new, text),
        **sections,
    )


def _section(old: Mapping[str, Any], new: Mapping[str, Any], before: Model, after: Model) -> SectionChange:
    def same(was: Any, now: Any) -> bool:
        return definition_hash(was, before) == definition_hash(now, after)

    change = _compare(old, new, same)
    return SectionChange(
        added=tuple(name for name in new if name in (*change.added, *change.changed)),
        removed=tuple(name for name in old if name in (*change.removed, *change.changed)),
    )


def _compare(old: Mapping[str, T], new: Mapping[str, T], same: Callable[[T, T], bool]) -> SectionChange:
    return SectionChange(
        added=tuple(name for name in new if name not in old),
        removed=tuple(name for name in old if name not in new),
        changed=tuple(name for name in new if name in old and not same(old[name], new[name])),
    )


def _columns(model: Model) -> dict[str, Field]:
    declared = model.fields()
    return {name: declared[name] for name in model.column_fields()}


def _same_type(was: Field, now: Field) -> bool:
    return (was.type, was.scale) == (now.type, now.scale)


def _refusals(old: Model, new: Model, text: str) -> tuple[Problem, ...]:
    notes = Notes(LineIndex(text))
    _refuse_measures(old, new, notes)
    _refuse_fields(old, new, notes)
    _refuse_attributes(old, new, notes)
    _refuse_removed_verbs(old, new, notes)
    return tuple(problem if text else replace(problem, line=0) for problem in notes.problems())


def _refuse_measures(old: Model, new: Model, notes: Notes) -> None:
    kept = old.measures()
    for verb in new.verbs.values():
        for name, measure in verb.measures.items():
            if name in kept and kept[name].scale != measure.scale:
                message = (
                    f"{name} is stored with {kept[name].scale} decimal places, so it cannot have {measure.scale} now; "
                    "declare a measure with another name beside it, and write that one from now on"
                )
                notes.add(("verbs", verb.name, "measures", name), "measure-scale-changed", message)


def _refuse_fields(old: Model, new: Model, notes: Notes) -> None:
    """Only columns: a field that is no column lies in the activity's `data` as it was sent."""
    was, now = _columns(old), _columns(new)
    for verb in new.verbs.values():
        for name in verb.data:
            if name in was and name in now and not _same_type(was[name], now[name]):
                before, after = (type_text(field.type, field.scale) for field in (was[name], now[name]))
                message = (
                    f"{name} is stored as a column of type {before}, so it cannot be {after} now; "
                    "declare a data field with another name beside it, and write that one from now on"
                )
                notes.add(("verbs", verb.name, "data", name), "field-type-changed", message)


def _refuse_attributes(old: Model, new: Model, notes: Notes) -> None:
    """A goal reads its target from groups written under the old type: those must be numbers already."""
    targets = {goal.target.removeprefix("group.") for goal in new.goals.values() if goal.target.startswith("group.")}
    for kind in new.groups.values():
        was = old.groups[kind.name].attributes if kind.name in old.groups else {}
        for name in sorted(targets & was.keys() & kind.attributes.keys()):
            if was[name] not in ("integer", kind.attributes[name]) and not was[name].startswith("decimal"):
                message = (
                    f"{name} of the groups already there is {was[name]}, and a goal would have to read it as "
                    f"{kind.attributes[name]}; declare an attribute with another name for the goal"
                )
                notes.add(("groups", kind.name, "attributes", name), "attribute-type-changed", message)


def _refuse_removed_verbs(old: Model, new: Model, notes: Notes) -> None:
    """Parsing refuses this too; models that were built in Python come here unparsed."""
    removed = old.verbs.keys() - new.verbs.keys()
    for section, lists in _VERB_LISTS.items():
        for name, declared in getattr(new, section).items():
            for key in lists:
                verbs = getattr(declared, key)
                for verb in (verbs,) if isinstance(verbs, str) else verbs:
                    if verb in removed:
                        message = f"{verb} is removed but still named here; keep the verb, or take it out here as well"
                        notes.add((section, name, key), "verb-in-use", message)


_VERB_LISTS: Final = {
    "rollups": ("of",),
    "latest": ("of",),
    "pairs": ("open", "close"),
    "boards": ("of",),
    "pending": ("given", "done"),
    "keep": ("of",),
}

assert {part.name for part in fields(ModelChange)} >= {*_STORED, *_PLAIN}
