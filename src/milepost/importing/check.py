"""Whether a map and a model go together: what can be told before a million rows are rejected one by one.

Only what the map says outright is looked at (verbs, kinds, roles, measures); what comes out of the rows is
checked row by row when it is sent.
"""

from __future__ import annotations

from typing import Any

from milepost.mapping.paths import nearest
from milepost.mapping.values import words_of
from milepost.model import Model

from ._types import Map, Section

__all__ = ["check_map"]


def check_map(whole: Map, model: Model) -> tuple[str, ...]:
    """Every problem, as a sentence that names its place in the map; none: they go together."""
    problems: list[str] = []
    for section in whole.sections:
        if section.kind == "activities":
            problems += _activities(section, model)
        elif section.kind == "groups":
            problems += _words(section, "kind", model.groups, "kind of group")
        elif section.kind == "members":
            roles = {role for kind in model.groups.values() for role in kind.roles}
            problems += _words(section, "role", roles, "role of any kind of group")
    return tuple(problems)


def _activities(section: Section, model: Model) -> list[str]:
    problems = _words(section, "verb", model.verbs, "verb")
    problems += _words(section, "visibility", ("public", "group", "private"), "visibility")
    verbs = [model.verbs[verb] for verb in words_of(section.spec.get("verb")) or model.verbs if verb in model.verbs]
    known = {measure for verb in verbs or model.verbs.values() for measure in verb.measures}
    for name in section.spec.get("measures", {}):
        if name not in known:
            # Where the verb is none, it has been said, and any verb's measure may be meant.
            of = _list(verbs) or "any verb of the model"
            problems.append(f"{section.name}.measures.{name}: no measure of {of}{nearest(name, known)}")
    targets = section.spec.get("object", [])
    for target in targets if isinstance(targets, list) else [targets]:
        if isinstance(target, dict) and verbs and all(verb.object for verb in verbs):
            kinds = {verb.object for verb in verbs if verb.object}
            problems += [
                f"{section.name}.object.kind: {kind!r} is not what {_list(verbs)} is done to{nearest(kind, kinds)}"
                for kind in sorted(words_of(target.get("kind")) or ())
                if kind not in kinds
            ]
    return problems


def _list(verbs: list[Any]) -> str:
    return ", ".join(verb.name for verb in verbs)


def _words(section: Section, key: str, known: Any, what: str) -> list[str]:
    return [
        f"{section.name}.{key}: {word!r} is no {what} of the model{nearest(word, known)}"
        for word in sorted(words_of(section.spec.get(key)) or ())
        if word not in known
    ]
