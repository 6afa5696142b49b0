"""Mapped: a message of another standard becomes one activity, or the commands that make an actor, a group, a member.

    mapped = Mapped(STANDARDS["segment"], model)
    made = mapped.make({"type": "track", "event": "Workout Completed", …})

What is made is checked by nobody here: an activity goes through the `Acceptor` as one that came by `POST /v1/activities`.
Sections of `[maps.NAME]` in the model come first, in their order; where none fits, a verb of the model that is called like
the message does. Everything is compiled when a verb is first met, and kept: a message costs closures.

Raises `Unmapped` where neither section nor verb fits, `Unfit` where a message lacks what its section needs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from milepost.mapping.entities import Fields, compile_activity, compile_actor, compile_group, compile_member
from milepost.mapping.paths import Getter, Row, Scope, Unfit, as_text, compile_condition, nearest
from milepost.mapping.standards import Standard
from milepost.mapping.values import compile_value, paths_of, words_of
from milepost.model import Map, Model, Verb

__all__ = ["Made", "Mapped", "Unmapped"]

NAMES_KEPT_MAX = 10_000  # names of events met so far, with the verb that fits each
NAME_CHARACTERS_MAX = 200

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NUMBERS = (int, float)


class Unmapped(Unfit):
    """Nothing in the model says what such a message becomes."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """activity: as the API takes it. commands: of the tenant's lane. key: what recognises the message when it comes again."""

    activity: Row | None = None
    commands: list[Row] = field(default_factory=list)
    key: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Section:
    """One section: whether a message is its, and what it makes of it."""

    names: frozenset[str] | None  # of `chosen_by` that it is for; None: any
    where: Callable[[Row], bool] | None
    make: Callable[[Row], Any]


class Mapped:
    """One standard under one model. For one thread at a time, but for memory that may be filled twice."""

    def __init__(self, standard: Standard, model: Model) -> None:
        said = model.maps.get(standard.name) or Map(name=standard.name)
        self.standard = standard
        self.model = model
        self.unmapped = said.unmapped
        self._verbs: dict[str, str | None] = {}
        self._plain: dict[str, Callable[[Row], Row]] = {}
        self._plain_where = _where(standard.spec("activities", {}))
        self._key = _compiled(standard.defaults["activities"]["key"])
        self._activities = [_section(standard, "activities", one, self._activity_of(one)) for one in said.activities]
        self._entities = [
            [_section(standard, kind, one, self._entity_of(kind, one)) for one in self._sections(said, kind)]
            for kind in ("actors", "groups", "members")
        ]

    def make(self, row: Row) -> Made:
        """What a message becomes: an activity, commands, or both."""
        if type(row) is not dict:
            raise Unfit("", "expected an object")
        name = row.get(self.standard.chosen_by)
        name = name if isinstance(name, str) else None
        activity = self._activity(row, name)
        commands: list[Row] = []
        for sections in self._entities:
            if (section := _first(sections, name, row)) is not None:
                commands += section.make(row)
        if activity is None and not commands:
            raise self._nothing_fits(row)
        return Made(activity=activity, commands=commands, key=self._key(row))

    # ── activities ──

    def _activity(self, row: Row, name: str | None) -> Row | None:
        section = _first(self._activities, name, row)
        if section is not None:
            made: Row = section.make(row)
            return made
        if self._plain_where is not None and not self._plain_where(row):
            return None
        verb = self._fitting(self._name(row))
        if verb is None:
            return None
        if verb not in self._plain:
            self._plain[verb] = self._compile_activity({}, verb)
        return self._plain[verb](row)

    def _activity_of(self, said: Row) -> Callable[[Row], Row]:
        """A section's function. Measures, object and rest depend on the verb, so it is compiled for each verb that comes."""
        builds: dict[str, Callable[[Row], Row]] = {}
        verb_of = _compiled(said["verb"]) if "verb" in said else lambda row: self._fitting(self._name(row))
        words = words_of(said.get("verb")) or set()
        builds |= {verb: self._compile_activity(said, verb) for verb in words if verb in self.model.verbs}

        def activity(row: Row) -> Row:
            verb = verb_of(row)
            if verb is None:
                raise self._nothing_fits(row) if "verb" not in said else Unfit("/verb", "is missing")
            if verb not in builds:
                if verb not in self.model.verbs:
                    raise Unfit("/verb", f"{verb!r} is not a verb of the model{nearest(verb, self.model.verbs)}")
                builds[verb] = self._compile_activity(said, verb)
            return builds[verb](row)

        return activity

    def _compile_activity(self, said: Row, verb_name: str) -> Callable[[Row], Row]:
        standard, verb, scope = self.standard, self.model.verbs[verb_name], Scope()
        spec = {**standard.spec("activities", said), "verb": verb_name}
        build = compile_activity(
            Fields(spec=spec, scope=scope, at=standard.name, zone="UTC"),
            required=("actor", "verb"),
            rest=lambda fields: _rest(fields, said, standard, verb),
            defaults={
                "object": _object(standard, verb),
                "measures": lambda row: _measures(row.get(standard.payload), verb),
                "content": lambda row: None if isinstance(row.get(standard.payload), dict) else row.get(standard.payload),
            },
        )
        assert not scope.problems, scope.problems  # the model has been checked
        return _traced(build, spec)

    def _name(self, row: Row) -> str | None:
        """What a message calls what happened. Pages and screens have names of their own, but are all of one kind."""
        name = row.get(self.standard.chosen_by) if row.get("type") not in ("page", "screen") else row["type"]
        return name if isinstance(name, str) else None

    def _fitting(self, name: str | None) -> str | None:
        """The verb of the model that is called like the name, or like the end of it after a point: `com.acme.run` is `run`."""
        if name is None or len(name) > NAME_CHARACTERS_MAX:
            return None
        if name in self._verbs:
            return self._verbs[name]
        parts = [_slug(part) for part in re.split(r"[./:]+", name)]
        ends = ("_".join(part for part in parts[at:] if part) for at in range(len(parts)))
        found = next((end for end in ends if end in self.model.verbs), None)
        if len(self._verbs) >= NAMES_KEPT_MAX:
            self._verbs.clear()
        self._verbs[name] = found
        return found

    def _nothing_fits(self, row: Row) -> Unmapped:
        by, name, kind = self.standard.chosen_by, self._name(row), row.get("type")
        rule = f"add [[maps.{self.standard.name}.activities]] to the model"
        if self.standard.name == "segment" and kind is None:
            return Unmapped("/type", f"it has none, and no section of the model takes it; {rule}")
        if self.standard.name == "segment" and kind not in ("track", "page", "screen"):
            return Unmapped(
                "/type", f'no section of the model takes this; {rule}, with where = {{ type = "{as_text(kind)[:40]}" }}'
            )
        if name is None:
            return Unmapped(f"/{by}", f"it has none, and no section of the model takes it; {rule}")
        shown, slug = name[:NAME_CHARACTERS_MAX], _slug(re.split(r"[./:]+", name[:NAME_CHARACTERS_MAX])[-1])
        where = (
            f'with where = {{ {by} = "{shown}" }}' if kind not in ("page", "screen") else f'with where = {{ type = "{kind}" }}'
        )
        verb = f"declare a verb {slug}, or {rule}" if slug else rule
        return Unmapped(
            f"/{by}", f'no verb of the model is called like "{shown}"{nearest(slug, self.model.verbs)}; {verb}, {where}'
        )

    # ── actors, groups, members ──

    def _sections(self, said: Map, kind: str) -> list[Row]:
        """A kind that is made always has a last section that says nothing, and so stands on the defaults alone."""
        sections: tuple[Row, ...] = getattr(said, kind)
        return [*sections, {}] if kind in self.standard.always else [*sections]

    def _entity_of(self, kind: str, said: Row) -> Callable[[Row], list[Row]]:
        scope = Scope()
        spec = self.standard.spec(kind, said)
        usual_kind, usual_role = _usual_kind(self.model), _usual_role(self.model)
        if kind == "groups" and "kind" not in spec and usual_kind is not None:
            spec["kind"] = usual_kind
        if kind == "members" and "role" not in spec and "until" not in spec:
            if usual_role is None:
                rule = f"which role? add [[maps.{self.standard.name}.members]] with role = … to the model"
                return _refusing(Unmapped("/role", rule))
            spec["role"] = usual_role
        fields = Fields(spec=spec, scope=scope, at=self.standard.name, zone="UTC")
        if kind == "members":
            return _traced(compile_member(fields), spec)
        make = _traced(compile_actor(fields) if kind == "actors" else compile_group(fields), spec)
        assert not scope.problems, scope.problems
        if "attributes" in said or kind not in self.standard.always:
            return make
        taken = {path[1] for path in scope.taken if len(path) == 2 and path[0] == "traits"}

        def with_traits(row: Row) -> list[Row]:
            commands: list[Row] = make(row)
            traits = row.get("traits")
            rest = {name: value for name, value in traits.items() if name not in taken} if isinstance(traits, dict) else {}
            if rest:
                commands[0]["attributes"] = rest
            return commands

        return with_traits


def _section(standard: Standard, kind: str, said: Row, make: Callable[[Row], Any]) -> _Section:
    wanted = said.get("where", {}).get(standard.chosen_by)
    exact = [wanted] if isinstance(wanted, str) else wanted
    names = frozenset(map(str, exact)) if isinstance(exact, list) else None
    return _Section(names=names, where=_where(standard.spec(kind, said)), make=make)


def _first(sections: list[_Section], name: str | None, row: Row) -> _Section | None:
    for section in sections:
        if section.names is not None and name not in section.names:  # most are told by their name alone
            continue
        if section.where is None or section.where(row):
            return section
    return None


def _where(spec: Row) -> Callable[[Row], bool] | None:
    return compile_condition(spec["where"], Scope(), "where") if "where" in spec else None


def _compiled(spec: Any) -> Getter:
    return compile_value(spec, "text", Scope(), "", "/key")


def _traced(make: Callable[[Row], Any], spec: Row) -> Callable[[Row], Any]:
    """What makes it, and where it cannot, also says of which members of the message: its sender knows no other names."""

    def made(row: Row) -> Any:
        try:
            return make(row)
        except Unfit as unfit:
            said: Any = spec
            for part in unfit.pointer.split("/")[1:]:
                said = said.get(part) if isinstance(said, dict) else said
            paths = " or ".join(paths_of(said))
            raise Unfit(unfit.pointer, f"{unfit.rule} (from {paths})" if paths else unfit.rule, unfit.value) from unfit

    return made


def _refusing(error: Unmapped) -> Callable[[Row], list[Row]]:
    def refuse(row: Row) -> list[Row]:
        raise Unmapped(error.pointer, error.rule)

    return refuse


def _rest(fields: Fields, said: Row, standard: Standard, verb: Verb) -> Getter | None:
    """What goes into data: all of the payload that nothing else took, unless the section says its data itself."""
    if not said.get("rest", "data" not in said):
        return None
    payload, drop = standard.payload, frozenset(said.get("drop", ()))
    taken = {path[1] for path in fields.scope.taken if len(path) == 2 and path[0] == payload} | drop
    besides = tuple(name for name in standard.besides if (name,) not in fields.scope.taken and name not in drop)
    measures = frozenset(verb.measures) if "measures" not in said else frozenset()

    def rest(row: Row) -> Row:
        facts = {name: value for name in besides if (value := row.get(name)) is not None}
        members = row.get(payload)
        for name, value in members.items() if type(members) is dict else ():
            if value is None or name in taken or (name in measures and type(value) in _NUMBERS):
                continue
            facts[name] = value
        return facts

    return rest


def _measures(payload: Any, verb: Verb) -> Row:
    if type(payload) is not dict:
        return {}
    return {name: value for name in verb.measures if type(value := payload.get(name)) in _NUMBERS}


def _object(standard: Standard, verb: Verb) -> Getter:
    """What is called like the verb's kind of object: `workout_id`, `workoutId` or `workout.id` of the payload, or a subject."""
    kind = verb.object
    if kind is None:
        return lambda row: None
    first, *others = kind.split("_")
    names = (f"{kind}_id", first + "".join(map(str.capitalize, others)) + "Id", f"{kind}.id")

    def target(row: Row) -> Row | None:
        payload = row.get(standard.payload)
        found = [payload.get(name) for name in names] if type(payload) is dict else []
        for value in (*found, row.get("subject")):
            if value is not None and value != "" and not isinstance(value, dict | list):
                return {"kind": kind, "id": as_text(value)}
        return None

    return target


def _usual_kind(model: Model) -> str | None:
    """The only kind of group that is no other's parent."""
    parents = {kind.parent for kind in model.groups.values()}
    lowest = [name for name in model.groups if name not in parents]
    return lowest[0] if len(lowest) == 1 else None


def _usual_role(model: Model) -> str | None:
    """`member` where there is such a role, or no roles at all; else the only one."""
    roles = {role for kind in model.groups.values() for role in kind.roles}
    if not roles or "member" in roles:
        return "member"
    return next(iter(roles)) if len(roles) == 1 else None


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", _HUMP.sub("_", name).lower()).strip("_")
