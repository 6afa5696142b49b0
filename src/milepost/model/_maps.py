"""Reads and checks `[maps.NAME]`: what the messages of another standard become, in the language of import's maps.

A section is read whole once, here, with the defaults that it stands on, so that a mistake is named when the model is checked
and not when the first message comes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, Literal

from milepost.mapping.entities import KEYS, Fields, compile_activity, compile_actor, compile_group, compile_member
from milepost.mapping.paths import Row, Scope, compile_condition
from milepost.mapping.standards import STANDARDS, Standard
from milepost.mapping.values import words_of
from milepost.model._lines import Path
from milepost.model._problems import Notes, nearest_word, quoted
from milepost.model._tables import Table
from milepost.model._types import Map, Model

__all__ = ["check_maps", "read_maps"]

_UNMAPPED: tuple[Literal["refuse", "drop"], ...] = ("refuse", "drop")
_REQUIRED: Final = {"activities": (), "groups": ("id",), "actors": ("id",), "members": ("group", "actor")}
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


def read_maps(model: Table) -> dict[str, Map]:
    maps = {}
    for name, path, raw in model.named("maps"):
        if name not in STANDARDS:
            model.unknown_word(path, name, STANDARDS)
            continue
        table = Table(model.notes, path, raw)
        maps[name] = Map(
            name=name,
            unmapped=table.choice("unmapped", _UNMAPPED, "refuse"),
            activities=_sections(table, "activities", STANDARDS[name]),
            actors=_sections(table, "actors", STANDARDS[name]),
            groups=_sections(table, "groups", STANDARDS[name]),
            members=_sections(table, "members", STANDARDS[name]),
        )
        table.close()
    return maps


def _sections(table: Table, kind: str, standard: Standard) -> tuple[Row, ...]:
    raw = table.raw(kind)
    if raw is None:
        return ()
    if not isinstance(raw, list):
        table.wrong_type(kind, f"a list of tables, written [[maps.{standard.name}.{kind}]]")
        return ()
    return tuple(_section(table.notes, (*table.path, kind, at), one, kind, standard) for at, one in enumerate(raw))


def _section(notes: Notes, path: Path, raw: Any, kind: str, standard: Standard) -> Row:
    table = Table(notes, path, raw)
    for key in ("where", *KEYS[kind]):
        table.raw(key)
    table.close()
    known = {key: value for key, value in table.content.items() if key == "where" or key in KEYS[kind]}
    spec = standard.spec(kind, known)
    for key in _REQUIRED[kind]:
        if key not in spec:
            table.missing(key)
    for problem in _problems(spec, kind):
        place, _, message = problem.partition(": ")
        steps = [int(number) - 1 if number else word for number, word in _STEP.findall(place)]
        notes.add((*path, *steps[1:]), "bad-map", message)
    return known


def _problems(spec: Row, kind: str) -> list[str]:
    """What is wrong with a section in itself, each with its place below `_`."""
    scope = Scope()
    if "where" in spec:
        compile_condition(spec["where"], scope, "_.where")
    fields = Fields(spec=spec, scope=scope, at="_", zone="UTC")
    match kind:
        case "activities":
            compile_activity(fields, required=(), rest=_check_rest)
        case "actors":
            compile_actor(fields)
        case "groups":
            compile_group(fields)
        case _:
            # Which role is the usual one is the model's to say.
            compile_member(fields if "until" in spec else Fields(spec={"role": "_", **spec}, scope=scope, at="_", zone="UTC"))
    return scope.problems


def _check_rest(fields: Fields) -> None:
    rest, drop = fields.spec.get("rest", True), fields.spec.get("drop", [])
    if not isinstance(rest, bool):
        fields.scope.problem(f"{fields.at}.rest", "is true or false")
    if not isinstance(drop, list) or not all(isinstance(one, str) for one in drop):
        fields.scope.problem(f"{fields.at}.drop", "is a list of names")


def check_maps(model: Model, notes: Notes) -> None:
    """That the verbs, measures, kinds and roles that a map says outright are the model's."""
    for one in model.maps.values():
        for at, section in enumerate(one.activities):
            _check_activity(model, notes, ("maps", one.name, "activities", at), section)
        for at, section in enumerate(one.groups):
            path: Path = ("maps", one.name, "groups", at, "kind")
            _check_words(notes, path, section.get("kind"), model.groups, "unknown-group-kind", "kind of group")
        roles = {role for kind in model.groups.values() for role in kind.roles}
        for at, section in enumerate(one.members if roles else ()):
            path = ("maps", one.name, "members", at, "role")
            _check_words(notes, path, section.get("role"), roles, "unknown-word", "role of any kind of group")


def _check_activity(model: Model, notes: Notes, path: Path, section: Row) -> None:
    _check_words(notes, (*path, "verb"), section.get("verb"), model.verbs, "unknown-verb", "verb")
    visibilities = ("public", "group", "private")
    _check_words(notes, (*path, "visibility"), section.get("visibility"), visibilities, "unknown-word", "visibility")
    said = words_of(section.get("verb"))
    verbs = [model.verbs[verb] for verb in (model.verbs if said is None else said) if verb in model.verbs]
    measures = {name for verb in verbs for name in verb.measures}
    given = section.get("measures", ())
    for name in given if verbs and isinstance(given, dict | list) else ():
        if isinstance(name, str) and name not in measures:
            message = f"{quoted(name)} is no measure of {', '.join(sorted(verb.name for verb in verbs))}"
            notes.add((*path, "measures", name), "unknown-measure", message, nearest_word(name, measures))
    kinds = {verb.object for verb in verbs}
    if kinds and None not in kinds:
        targets = section.get("object", [])
        for target in targets if isinstance(targets, list) else [targets]:
            if isinstance(target, dict):
                known = {kind for kind in kinds if kind is not None}
                _check_words(
                    notes, (*path, "object", "kind"), target.get("kind"), known, "unknown-word", "object of these verbs"
                )


def _check_words(notes: Notes, path: Path, spec: Any, known: Iterable[str], rule: str, what: str) -> None:
    """`spec`: a value of a map; words that come out of messages are for `accept` to check."""
    known = tuple(known)
    for word in sorted(words_of(spec) or ()):
        if word not in known:
            notes.add(path, rule, f"{quoted(word)} is no {what}", nearest_word(word, known))
