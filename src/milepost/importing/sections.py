"""One section of the map, compiled: one function from a row to what it becomes, built once the columns of the
file are known.

The function gives a list: one activity, the commands that make an entity, or nothing where `where` leaves the
row out. It raises `Unfit` for a row that cannot become it, and changes nothing but the names that it joins into
the row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ._types import Map, MapError, Section, Tables
from .paths import Getter, Row, Scope, Unfit, compile_condition, nearest
from .values import compile_value

__all__ = ["Build", "compile_section", "section_problems"]

Build = Callable[[Row, int], list[Row]]


def compile_section(section: Section, whole: Map, *, columns: frozenset[str] | None, tables: Tables, fingerprint: str) -> Build:
    """The function from a row and its number to what it becomes: one activity, commands, or nothing if `where`
    leaves it out.

    columns: of the file, None where each row has its own; fingerprint: of the file, for keys where the map has
    none. Raises `MapError` where the map names a column that the file does not have.
    """
    scope = Scope(columns=columns)
    build = _compile(section, whole, scope, tables, fingerprint)
    if scope.problems:
        raise MapError(tuple(scope.problems))
    return build


def section_problems(section: Section, whole: Map) -> list[str]:
    """What is wrong with a section, as far as the map alone can tell."""
    scope = Scope()
    _compile(section, whole, scope, {name: {} for name in whole.lookups}, "")
    return scope.problems


def _compile(section: Section, whole: Map, scope: Scope, tables: Tables, fingerprint: str) -> Build:
    spec, at = section.spec, section.name
    where = compile_condition(spec["where"], scope, f"{at}.where") if "where" in spec else None
    join = _compile_joins(spec.get("join", {}), whole, scope, tables, at)
    scope.used.clear()  # joining by a column does not take it: `rest` still has it
    fields = Fields(spec=spec, scope=scope, at=at, zone=whole.zone)
    match section.kind:
        case "groups":
            make = _group(fields)
        case "actors":
            make = _actor(fields)
        case "members":
            make = _member(fields)
        case "activities":
            make = _activity(fields, fingerprint, section.number, frozenset(whole.lookups))

    def build(row: Row, number: int) -> list[Row]:
        if where is not None and not where(row):
            return []
        if join is not None:
            join(row)
        return make(row, number)

    return build


def _compile_joins(spec: Any, whole: Map, scope: Scope, tables: Tables, at: str) -> Callable[[Row], None] | None:
    if not isinstance(spec, dict):
        scope.problem(f"{at}.join", 'is a table such as { course = "{code_module}" }')
        return None
    steps = []
    for name, key in spec.items():
        if name not in whole.lookups:
            scope.problem(f"{at}.join.{name}", f"there is no [lookups.{name}]{nearest(name, whole.lookups)}")
            continue
        if scope.columns is not None and name in scope.columns:
            scope.problem(f"{at}.join.{name}", "the file has a column of this name: call the lookup otherwise")
        get = compile_value(key, "text", scope, f"{at}.join.{name}", f"/{name}")
        steps.append((name, get, tables[name], whole.lookups[name].optional))
        scope.joined |= {name}

    def join(row: Row) -> None:
        for name, get, table, optional in steps:
            key = get(row)
            row[name] = found = None if key is None else table.get(key)
            if found is None and key is not None and not optional:
                raise Unfit(f"/{name}", "is not in the lookup", key)

    return join if steps else None


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


def _group(fields: Fields) -> Build:
    required = _named(fields, ("id", "kind"))
    optional = _named(fields, ("name", "parent", "time_zone", "status"))
    since, attributes = fields.time("since"), fields.many("attributes")
    if since is not None:
        optional.append(("since", since))

    def group(row: Row, number: int) -> list[Row]:
        command = _fill(_fill({"do": "put_group"}, required, row, required=True), optional, row)
        if attributes:
            command["attributes"] = _fill({}, attributes, row)
        return [command]

    return group


def _actor(fields: Fields) -> Build:
    required, optional, attributes = _named(fields, ("id",)), _named(fields, ("name",)), fields.many("attributes")

    def actor(row: Row, number: int) -> list[Row]:
        command = _fill(_fill({"do": "put_actor"}, required, row, required=True), optional, row)
        if attributes:
            command["attributes"] = _fill({}, attributes, row)
        return [command]

    return actor


def _member(fields: Fields) -> Build:
    required, optional = _named(fields, ("group", "actor")), _named(fields, ("role", "added_by"))
    since, until, permissions = fields.time("since"), fields.time("until"), fields.list("permissions")
    if "role" not in fields.spec and until is None:
        fields.scope.problem(fields.at, "needs role (who joins), until (who leaves), or both")

    def member(row: Row, number: int) -> list[Row]:
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


def _activity(fields: Fields, fingerprint: str, section: int, lookups: frozenset[str]) -> Build:
    spec, scope, at = fields.spec, fields.scope, fields.at
    key, occurred_at = fields.text("key"), fields.time("occurred_at")
    required = [("occurred_at", occurred_at), *_named(fields, ("actor", "verb"))] if occurred_at else []
    optional = _named(fields, ("source", "status", "visibility"))
    if "group" in spec and "groups" in spec:
        scope.problem(at, "has either group or groups")
    optional += _named(fields, ("group",))
    groups = fields.list("groups")
    target = _object(fields)
    measures, data, content = fields.many("measures"), fields.many("data"), fields.content("content")
    rest = _rest(fields, lookups)
    # Two sections of one file must not give the same key to what one row becomes.
    suffix = "" if section == 1 else f".{section}"

    def activity(row: Row, number: int) -> list[Row]:
        own = f"{fingerprint}-{number}{suffix}" if key is None else key(row)
        if own is None:
            raise Unfit("/key", "is missing")
        made: Row = {"key": own}
        _fill(made, required, row, required=True)
        _fill(made, optional, row)
        if groups and (addressed := [value for get in groups if (value := get(row)) is not None]):
            made["groups"] = list(dict.fromkeys(addressed))
        if target is not None and (one := target(row)) is not None:
            made["object"] = one
        if measures and (numbers := _fill({}, measures, row)):
            made["measures"] = numbers
        facts = {} if rest is None else rest(row)
        if _fill(facts, data, row):
            made["data"] = facts
        if content is not None and (large := content(row)) is not None:
            made["content"] = large
        return [made]

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


def _rest(fields: Fields, lookups: frozenset[str]) -> Callable[[Row], Row] | None:
    """`rest = true`: every column that nothing else took whole goes into data under its own name; `drop` leaves
    some out.
    """
    spec, scope = fields.spec, fields.scope
    drop = spec.get("drop", [])
    if not isinstance(spec.get("rest", False), bool) or not isinstance(drop, list):
        scope.problem(fields.at, "rest is true or false, drop is a list of columns")
        return None
    if not spec.get("rest", False):
        if "drop" in spec:
            scope.problem(fields.at, "drop only says what rest = true leaves out")
        return None
    taken = frozenset(scope.used) | lookups | frozenset(drop)
    if scope.columns is not None:
        names = [name for name in sorted(scope.columns) if name not in taken]
        return lambda row: {name: row[name] for name in names if row[name] not in (None, "")}
    return lambda row: {name: value for name, value in row.items() if name not in taken and value is not None}
