"""One section of the map, compiled: one function from a row to what it becomes, built once the columns of the
file are known.

The function gives a list: one activity, the commands that make an entity, or nothing where `where` leaves the
row out. It raises `Unfit` for a row that cannot become it, and changes nothing but the names that it joins into
the row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from milepost.mapping.entities import Fields, compile_activity, compile_actor, compile_group, compile_member
from milepost.mapping.paths import Row, Scope, Unfit, compile_condition, nearest
from milepost.mapping.values import compile_value

from ._types import Map, MapError, Section, Tables

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
            make = _each(compile_group(fields))
        case "actors":
            make = _each(compile_actor(fields))
        case "members":
            make = _each(compile_member(fields))
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


def _each(make: Callable[[Row], list[Row]]) -> Build:
    return lambda row, number: make(row)


def _activity(fields: Fields, fingerprint: str, section: int, lookups: frozenset[str]) -> Build:
    required = ("key", "occurred_at", "actor", "verb") if "key" in fields.spec else ("occurred_at", "actor", "verb")
    make = compile_activity(fields, required=required, rest=lambda fields: _rest(fields, lookups))
    if "key" in fields.spec:
        return lambda row, number: [make(row)]
    # Two sections of one file must not give the same key to what one row becomes.
    suffix = "" if section == 1 else f".{section}"
    return lambda row, number: [make(row) | {"key": f"{fingerprint}-{number}{suffix}"}]


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
