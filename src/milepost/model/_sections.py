"""Reads what a model speaks of: kinds of groups, verbs with their measures and data fields, terms, and how
long data is kept.
"""

from __future__ import annotations

import datetime
from typing import Any, Final, Literal

from milepost.model._lines import Path
from milepost.model._phrases import (
    Unreadable,
    duration_days,
    number_of_units,
    read_duration,
    read_media_type,
    read_size,
    read_type,
    type_text,
)
from milepost.model._tables import Table, expect_name
from milepost.model._types import Content, Field, FieldType, FileRule, GroupKind, Health, Keep, Measure, Term, Verb

__all__ = ["BUCKETS", "RESERVED_VERBS", "SEARCH_CONFIGURATIONS", "read_groups", "read_keep", "read_terms", "read_verbs"]

BUCKETS: Final = ("hour", "day", "week", "month", "all")

# `data` would make `data.NAME` ambiguous; `milestone` is what milepost itself writes when a goal passes one.
RESERVED_VERBS: Final = frozenset({"data", "milestone"})
_RESERVED_TERMS: Final = frozenset({*BUCKETS, "quarter", "year"})

# Those that every PostgreSQL from 15 on is built with.
SEARCH_CONFIGURATIONS: Final = (
    "simple", "arabic", "armenian", "basque", "catalan", "danish", "dutch", "english", "finnish", "french", "german",
    "greek", "hindi", "hungarian", "indonesian", "irish", "italian", "lithuanian", "nepali", "norwegian", "portuguese",
    "romanian", "russian", "serbian", "spanish", "swedish", "tamil", "turkish", "yiddish",
)  # fmt: skip

FILE_BYTES_MAX = 5000 * 1024**2
FILES_OF_NAME_MAX = 100

_TEXT: tuple[FieldType, int] = ("text", 0)
_INTEGER: tuple[FieldType, int] = ("integer", 0)
_AGES: tuple[Literal["occurred", "last change"], ...] = ("occurred", "last change")
_THENS: tuple[Literal["delete", "keep"], ...] = ("delete", "keep")


def read_groups(model: Table) -> dict[str, GroupKind]:
    return {name: _group_kind(Table(model.notes, path, raw), name) for name, path, raw in model.named("groups")}


def _group_kind(table: Table, name: str) -> GroupKind:
    parent = table.text("parent") or None
    roles, permissions = _actions(table, "roles"), _actions(table, "permissions")
    attributes_table = table.table("attributes")
    attributes = {}
    health = _health(table.table("health")) if table.has("health") else None
    searched = []
    for attribute, path, raw in table.named("attributes"):
        said = attributes_table
        if isinstance(raw, dict):
            said = Table(table.notes, path, {attribute: raw.get("type"), **{key: raw[key] for key in raw if key != "type"}})
            if said.flag("search", default=False):
                searched.append(attribute)
        type_, scale = said.phrase(attribute, "bad-type", read_type, _TEXT)
        if attribute in searched and type_ != "text":
            table.notes.add(
                (*path, "search"),
                "search-needs-text",
                f"{attribute} is {type_text(type_, scale)}, and words are searched in texts",
            )
        attributes[attribute] = type_text(type_, scale)
    table.close()
    return GroupKind(
        name=name,
        parent=parent,
        roles=roles,
        permissions=permissions,
        attributes=attributes,
        searched=tuple(searched),
        health=health,
    )


def _health(table: Table) -> Health:
    usual = Health(source="")
    weights = table.table("weights")
    given = {part: weights.whole(part, 0, 100) for part in usual.weights}
    weights.close()
    read = Health(
        source=table.text("from", required=True),
        days=table.whole("days", 1, 366) or usual.days,
        per_week=table.whole("per_week", 1, 1000) or usual.per_week,
        weights={part: usual.weights[part] if weight is None else weight for part, weight in given.items()},
    )
    if not any(read.weights.values()):
        table.notes.add((*table.path, "weights"), "out-of-range", "one of the weights is above 0")
    table.close()
    return read


def _actions(table: Table, key: str) -> dict[str, tuple[str, ...]]:
    """What the user has named under this key, each with a list of actions, which are names as well."""
    inner = table.table(key)
    found = {}
    for name, path, _ in table.named(key):
        found[name] = inner.words(name, empty=True)
        for position, action in enumerate(found[name]):
            if action:
                expect_name(table.notes, (*path, position), action)
    return found


def read_verbs(model: Table) -> dict[str, Verb]:
    named = model.named("verbs", reserved=RESERVED_VERBS)
    return {name: _verb(Table(model.notes, path, raw), name) for name, path, raw in named}


def _verb(table: Table, name: str) -> Verb:
    verb = Verb(
        name=name,
        object=table.name("object"),
        measures={measure: _measure(table, measure, path, raw) for measure, path, raw in table.named("measures")},
        data={field: _field(table, field, path, raw) for field, path, raw in table.named("data")},
        search_data=_search(table, "search_data"),
        content=_content(table.table("content")) if table.has("content") else None,
        files={file: _file_rule(Table(table.notes, path, raw), file) for file, path, raw in table.named("files")},
    )
    table.close()
    return verb


def _measure(verb: Table, name: str, path: Path, raw: Any) -> Measure:
    table, (type_, scale), typed = _typed(verb, path, raw, _INTEGER, required=True)
    if type_ not in ("integer", "decimal"):
        verb.notes.add(typed, "bad-type", f"a measure is an integer or a decimal, not {type_}", "integer")
    minimum, maximum = _bound(table, "min", scale), _bound(table, "max", scale)
    if minimum is not None and maximum is not None and minimum > maximum:
        table.notes.add((*path, "max"), "bad-range", f"max {maximum} is below min {minimum}")
    table.close()
    return Measure(name=name, scale=scale, minimum=minimum, maximum=maximum)


def _bound(table: Table, key: str, scale: int) -> int | float | None:
    value = table.raw(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        table.wrong_type(key, "a number")
        return None
    try:
        units = number_of_units(value, scale)
    except Unreadable as error:
        table.notes.add((*table.path, key), "bad-number", str(error))
        return None
    return int(value) if units % 10**scale == 0 else value


def _field(verb: Table, name: str, path: Path, raw: Any) -> Field:
    table, (type_, scale), _ = _typed(verb, path, raw, _TEXT)
    filter_ = table.flag("filter", default=False)
    search = _search(table, "search")
    if search is not None and type_ != "text":
        table.notes.add((*path, "search"), "search-needs-text", f"only a text can be searched, not {type_}")
    table.close()
    return Field(name=name, type=type_, scale=scale, filter=filter_, search=search)


def _search(table: Table, key: str) -> str | None:
    return table.choice(key, SEARCH_CONFIGURATIONS, "simple") if table.has(key) else None


def _typed(
    verb: Table, path: Path, raw: Any, default: tuple[FieldType, int], *, required: bool = False
) -> tuple[Table, tuple[FieldType, int], Path]:
    """A measure or field in its short form, `"integer"`, or as a table with a `type`: the table, the type,
    and its path.
    """
    if isinstance(raw, str):
        empty = Table(verb.notes, path, {})
        return empty, verb.read(path, "bad-type", read_type, raw, default), path
    table = Table(verb.notes, path, raw)
    return table, table.phrase("type", "bad-type", read_type, default, required=required), (*path, "type")


def _content(table: Table) -> Content:
    content = Content(
        versions=table.flag("versions", default=False),
        offload_over=table.phrase("offload_over", "bad-size", read_size, 4096),
    )
    table.close()
    return content


def _file_rule(table: Table, name: str) -> FileRule:
    usual = FileRule(name=name)
    types = table.words("types")
    for position, text in enumerate(types):
        table.read((*table.path, "types", position), "bad-media-type", read_media_type, text, "")
    bytes_max = table.phrase("max", "bad-size", read_size, usual.bytes_max)
    if not 0 < bytes_max <= FILE_BYTES_MAX:
        message = f"a file has at most {FILE_BYTES_MAX // 1024**2} MiB, which is what a store takes in one piece"
        table.notes.add((*table.path, "max"), "out-of-range", message)
    most = table.whole("most", 1, FILES_OF_NAME_MAX) or usual.most
    table.close()
    return FileRule(name=name, types=types, bytes_max=bytes_max, most=most)


def read_terms(model: Table) -> dict[str, Term]:
    named = model.named("terms", reserved=_RESERVED_TERMS)
    return {name: _term(Table(model.notes, path, raw), name) for name, path, raw in named}


def _term(table: Table, name: str) -> Term:
    first, last = _date(table, "first"), _date(table, "last")
    if first is not None and last is not None and first > last:
        table.notes.add((*table.path, "last"), "bad-range", f"last {last} is before first {first}")
    table.close()
    return Term(name=name, first=first or datetime.date.min, last=last or datetime.date.max)


def _date(table: Table, key: str) -> datetime.date | None:
    value = table.raw(key)
    if value is None:
        table.missing(key)
    elif not isinstance(value, datetime.date) or isinstance(value, datetime.datetime):
        table.wrong_type(key, "a date such as 2026-02-01, without quotes")
    else:
        return value
    return None


def read_keep(model: Table) -> dict[str, Keep]:
    return {name: _keep(Table(model.notes, path, raw), name) for name, path, raw in model.named("keep")}


def _keep(table: Table, name: str) -> Keep:
    selectors = [key for key in ("of", "status", "group", "data") if table.has(key)]
    if name == "default":
        for key in selectors:
            message = f"default is for all that no other entry selects; leave `{key}` out"
            table.notes.add((*table.path, key), "default-selects", message)
    of = table.words("of", required=name != "default" and not selectors)
    data = table.table("data")
    hot = table.phrase("hot", "bad-duration", read_duration, "", required=True)
    archive = table.phrase("archive", "bad-duration", read_duration, "") or None
    if hot and archive and duration_days(archive) <= duration_days(hot):
        message = f"archive ({archive}) counts from the activity's age too, so it must be longer than hot ({hot})"
        table.notes.add((*table.path, "archive"), "bad-range", message)
    keep = Keep(
        name=name,
        of=of,
        status=table.words("status"),
        group=table.words("group"),
        data={one: data.words(one) for one, _, _ in table.named("data")},
        age=table.choice("age", _AGES, "occurred"),
        hot=hot,
        archive=archive,
        then=table.choice("then", _THENS, "keep"),
    )
    table.close()
    return keep
