"""A whole activity, group, actor or member out of a row, compiled from what a section of a map says of each of its fields.

A function gives an activity as the API takes it, or the commands of the tenant's lane that make the entity. It raises
`Unfit` for a row that cannot become it, and changes nothing in the row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from milepost.mapping.paths import Getter, Row, Scope, Unfit, compile_condition
from milepost.mapping.values import compile_value

__all__ = ["KEYS", "Fields", "compile_activity", "compile_actor", "compile_group", "compile_member"]

# The words of each kind of section.
KEYS: dict[str, tuple[str, ...]] = {
    "groups": ("id", "kind", "name", "parent", "time_zone", "status", "attributes", "since"),
    "actors": ("id", "name", "attributes"),
    "members": ("group", "actor", "role", "permissions", "since", "until", "added_by"),
    "activities": (
        "key", "occurred_at", "actor", "verb", "object", "group", "groups", "measures", "data", "rest", "drop",
        "content", "source", "status", "visibility",
    ),
}  # fmt: skip

Made = Callable[[Row], list[Row]]
Defaults = Mapping[str, Getter]


@dataclass(frozen=True, kw_only=True)
class Fields:
    """The keys of one section, each compiled on demand to its kind of value."""

    spec: Mapping[str, Any]
    scope: Scope
    at: str
    zone: str | None

    def text(self, name: str) -> Getter | None:
        return self._one(name, "text")

    def time(self, name: str) -> Getter | None:
        if self.spec.get(name) == "always":
            return lambda row: "always"
        return self._one(name, "time")

    def content(self, name: str) -> Getter | None:
        return self._one(name, "any")

    def many(self, name: str) -> list[tuple[str, Getter]]:
        """`name = ["a", "b"]` (columns under their own names) or a table of values. Measures are numbers, the
        rest any.
        """
        spec = self.spec.get(name, {})
        if isinstance(spec, list) and all(isinstance(one, str) for one in spec):
            spec = {one: {"from": one} for one in spec}
        if not isinstance(spec, dict):
            self.scope.problem(f"{self.at}.{name}", "is a table of values, or a list of columns")
            return []
        kind: Literal["number", "any"] = "number" if name == "measures" else "any"
        return [
            (one, compile_value(value, kind, self.scope, f"{self.at}.{name}.{one}", f"/{name}/{one}", zone=self.zone))
            for one, value in spec.items()
        ]

    def list(self, name: str) -> list[Getter]:
        spec = self.spec.get(name, [])
        if not isinstance(spec, list):
            self.scope.problem(f"{self.at}.{name}", "is a list")
            return []
        return [
            compile_value(one, "text", self.scope, f"{self.at}.{name}[{number}]", f"/{name}/{number - 1}")
            for number, one in enumerate(spec, 1)
        ]

    def _one(self, name: str, kind: Literal["text", "time", "any"]) -> Getter | None:
        if name not in self.spec:
            return None
        return compile_value(self.spec[name], kind, self.scope, f"{self.at}.{name}", f"/{name}", zone=self.zone)


Named = list[tuple[str, Getter]]


def _named(fields: Fields, names: tuple[str, ...]) -> Named:
    return [(name, get) for name in names if (get := fields.text(name)) is not None]


def _fill(target: Row, named: Named, row: Row, *, required: bool = False) -> Row:
    for name, get in named:
        value = get(row)
        if value is not None:
            target[name] = value
        elif required:
            raise Unfit(f"/{name}", "is missing")
    return target


def compile_group(fields: Fields) -> Made:
    required = _named(fields, ("id", "kind"))
    optional = _named(fields, ("name", "parent", "time_zone", "status"))
    since, attributes = fields.time("since"), fields.many("attributes")
    if since is not None:
        optional.append(("since", since))

    def group(row: Row) -> list[Row]:
        command = _fill(_fill({"do": "put_group"}, required, row, required=True), optional, row)
        if attributes:
            command["attributes"] = _fill({}, attributes, row)
        return [command]

    return group


def compile_actor(fields: Fields) -> Made:
    required, optional, attributes = _named(fields, ("id",)), _named(fields, ("name",)), fields.many("attributes")

    def actor(row: Row) -> list[Row]:
        command = _fill(_fill({"do": "put_actor"}, required, row, required=True), optional, row)
        if attributes:
            command["attributes"] = _fill({}, attributes, row)
        return [command]

    return actor


def compile_member(fields: Fields) -> Made:
    required, optional = _named(fields, ("group", "actor")), _named(fields, ("role", "added_by"))
    since, until, permissions = fields.time("since"), fields.time("until"), fields.list("permissions")
    if "role" not in fields.spec and until is None:
        fields.scope.problem(fields.at, "needs role (who joins), until (who leaves), or both")

    def member(row: Row) -> list[Row]:
        who = _fill({}, required, row, required=True)
        commands: list[Row] = []
        start = end = None
        if "role" in fields.spec:
            start = "always" if since is None else since(row)
            put = _fill({"do": "put_member", **who}, optional, row)
            if "role" not in put:
                raise Unfit("/role", "is missing")
            if start is None:
                raise Unfit("/since", "is missing")
            if permissions:
                put["permissions"] = [value for get in permissions if (value := get(row)) is not None]
            commands.append(put | {"since": start})
        if until is not None and (end := until(row)) is not None:
            if start not in (None, "always") and end <= start:
                raise Unfit("/until", "is not after since", end)
            commands.append({"do": "remove_member", **who, "at": end})
        return commands

    return member


def compile_activity(
    fields: Fields,
    *,
    required: tuple[str, ...],
    rest: Callable[[Fields], Getter | None],
    defaults: Defaults | None = None,
) -> Callable[[Row], Row]:
    """required: the fields without which a row is unfit. rest: compiles what goes into `data` unnamed, once all else has said
    which columns it takes. defaults: of fields that the section leaves out.
    """
    spec = fields.spec
    otherwise = {name: get for name, get in (defaults or {}).items() if name not in spec}
    if "group" in spec and "groups" in spec:
        fields.scope.problem(fields.at, "has either group or groups")
    texts = ("key", "actor", "verb", "source", "status", "visibility", "group")
    named = [(name, get) for name in texts if (get := fields.text(name) or otherwise.get(name)) is not None]
    if (occurred_at := fields.time("occurred_at")) is not None:
        named.append(("occurred_at", occurred_at))
    groups, target = fields.list("groups"), _object(fields) or otherwise.get("object")
    measures, data, content = (
        fields.many("measures"),
        fields.many("data"),
        fields.content("content") or otherwise.get("content"),
    )
    numbers_otherwise = otherwise.get("measures")
    remaining = rest(fields)

    def activity(row: Row) -> Row:
        made = _fill({}, named, row)
        for name in required:
            if name not in made:
                raise Unfit(f"/{name}", "is missing")
        if groups and (addressed := [value for get in groups if (value := get(row)) is not None]):
            made["groups"] = list(dict.fromkeys(addressed))
        if target is not None and (one := target(row)) is not None:
            made["object"] = one
        numbers = _fill({}, measures, row) if numbers_otherwise is None else numbers_otherwise(row)
        if numbers:
            made["measures"] = numbers
        facts = {} if remaining is None else remaining(row)
        if _fill(facts, data, row):
            made["data"] = facts
        if content is not None and (large := content(row)) is not None:
            made["content"] = large
        return made

    return activity


def _object(fields: Fields) -> Callable[[Row], Row | None] | None:
    """`object = { kind = …, id = … }`, or a list of those, of which the first that is there counts."""
    spec = fields.spec.get("object")
    if spec is None:
        return None
    tables = spec if isinstance(spec, list) else [spec]
    choices = []
    for number, table in enumerate(tables, 1):
        at = f"{fields.at}.object" + (f"[{number}]" if isinstance(spec, list) else "")
        if not isinstance(table, dict) or set(table) - {"when"} != {"kind", "id"}:
            fields.scope.problem(at, 'is a table such as { kind = "workout", id = "{activity_id}" }, or a list of them')
            continue
        when = compile_condition(table["when"], fields.scope, f"{at}.when") if "when" in table else None
        kind = compile_value(table["kind"], "text", fields.scope, f"{at}.kind", "/object/kind")
        own = compile_value(table["id"], "text", fields.scope, f"{at}.id", "/object/id")
        choices.append((when, kind, own))

    def target(row: Row) -> Row | None:
        for when, kind, own in choices:
            if when is not None and not when(row):
                continue
            found, name = own(row), kind(row)
            if found is not None and name is not None:
                return {"kind": name, "id": found}
        return None

    return target
