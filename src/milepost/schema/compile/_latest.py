"""Latest tables: one row a key with the newest activity of some verbs, so that a new grade replaces the one before.

A load upserts what is newer. When an activity is taken back, the rows that show it, and no others, are computed anew from the activity
table (`note_dirty`, `repair`).
"""

from __future__ import annotations

from dataclasses import dataclass

from milepost.model import Latest
from milepost.schema.compile._activity import ActivityColumn
from milepost.schema.compile._contributions import literal
from milepost.schema.compile._rollup_table import ACTIVITIES, Check

__all__ = ["CompiledLatest", "compile_latest"]

_KEYS = {
    "group": (("group_id", "bigint"),),
    "object": (("object_kind", 'text COLLATE "C"'), ("object_id", 'text COLLATE "C"')),
    "actor": (("actor_id", "bigint"),),
}


@dataclass(frozen=True, kw_only=True)
class CompiledLatest:
    name: str
    table: str
    dirty: str  # the temp table of keys whose rows are to be looked for again
    of: tuple[str, ...]  # verbs
    keys: tuple[str, ...]
    values: tuple[str, ...]  # columns
    ddl: tuple[str, ...]
    temp_ddl: tuple[str, ...]
    fold: str
    shown: str  # keys of the rows that show what the delta takes back
    note_dirty: str
    repair: tuple[str, ...]
    verify: tuple[Check, ...]


def value_column(value: str) -> str:
    return f"d_{value[5:]}" if value.startswith("data.") else f"m_{value}"


def compile_latest(
    latest: Latest, types: dict[str, ActivityColumn], *, kind: str = "latest", indexes: tuple[str, ...] = ()
) -> CompiledLatest:
    """types: of each m_ and d_ column. kind: what the table's name begins with, and what a difference in it is called.
    indexes: columns or expressions, after the tenant, of indexes beside the primary key.
    """
    table = f"milepost.{kind}_{latest.name}"
    typed = tuple(column for key in latest.by for column in _KEYS[key])
    keys = tuple(name for name, _ in typed)
    values = tuple(value_column(value) for value in latest.values)
    key_list = ", ".join(keys)
    all_list = ", ".join((*keys, "id", "occurred_at", *values))
    verbs = ", ".join(literal(verb) for verb in latest.of)
    group = "CROSS JOIN LATERAL unnest(coalesce(s.more_groups, '{}') || s.group_id) g (group_id)" if "group_id" in keys else ""
    present = " AND ".join(
        [f"s.verb IN ({verbs})"]
        + (["s.object_id IS NOT NULL"] if "object_id" in keys else [])
        + (["g.group_id IS NOT NULL"] if group else [])
    )
    picked = ", ".join("g.group_id" if name == "group_id" else f"s.{name}" for name in (*keys, "id", "occurred_at", *values))

    def newest(source: str, where: str = "true") -> str:
        return (
            f"SELECT DISTINCT ON ({key_list}) {all_list} FROM (\nSELECT {picked}\nFROM {source} s {group}\n"
            f"WHERE {present} AND {where}\n) s ORDER BY {key_list}, id DESC"
        )

    columns = "".join(f"    {name} {type_} NOT NULL,\n" for name, type_ in typed)
    kept = "".join(f"    {name} {types[name].type},\n" for name in values)
    sets = ", ".join(f"{name} = excluded.{name}" for name in ("id", "occurred_at", *values))
    dirty = f"dirty_{kind}_{latest.name}"
    upsert = (
        f"INSERT INTO {table} AS t (tenant_id, {all_list})\nSELECT %(tenant_id)s, {all_list} FROM (\n{{source}}\n) s\n"
        f"ON CONFLICT (tenant_id, {key_list}) DO UPDATE SET {sets} WHERE excluded.id > t.id"
    )
    group_match = " AND (s.group_id = d.group_id OR s.more_groups @> ARRAY[d.group_id])" if group else ""
    matches = "".join(f" AND s.{key} = d.{key}" for key in keys if key != "group_id") + group_match
    again_columns = ", ".join(f"d.{key}" for key in keys)
    again = (
        f"SELECT {again_columns}, a.id, a.occurred_at{''.join(f', a.{name}' for name in values)}\n"
        f"FROM (SELECT DISTINCT * FROM {dirty}) d CROSS JOIN LATERAL (\n"
        f"SELECT s.* FROM {ACTIVITIES} s WHERE s.verb IN ({verbs}){matches} ORDER BY s.id DESC LIMIT 1\n) a"
    )
    same = " AND ".join(f"t.{key} = d.{key}" for key in keys)
    in_delta = {key: "g.group_id" if key == "group_id" else f"s.{key}" for key in keys}
    shown = (
        f"SELECT DISTINCT {', '.join(in_delta.values())}\nFROM delta s {group}\nWHERE {present} AND s.sign < 0 AND EXISTS ("
        f"SELECT FROM {table} t WHERE t.tenant_id = %(tenant_id)s AND t.id = s.id"
        f"{''.join(f' AND t.{key} = {value}' for key, value in in_delta.items())})"
    )
    packed = ", ".join(f"{literal(name)}, {name}" for name in ("id", "occurred_at", *values))
    pairs = ", ".join(f"{literal(key)}, {key}" for key in keys)
    names = ", ".join(keys)
    verify = (
        f"SELECT jsonb_build_object({pairs}) AS keys, {literal(kind)} AS per, NULL::timestamp AS bucket, a.parts, b.parts\n"
        f"FROM (SELECT {names}, jsonb_build_object({packed}) AS parts FROM {table} WHERE tenant_id = %(tenant_id)s) a\n"
        f"FULL JOIN (SELECT {names}, jsonb_build_object({packed}) AS parts FROM (\n{newest(ACTIVITIES)}\n) s) b\n"
        f"USING ({names}) WHERE a.parts IS DISTINCT FROM b.parts"
    )
    return CompiledLatest(
        name=latest.name,
        table=table,
        dirty=dirty,
        of=latest.of,
        keys=keys,
        values=values,
        ddl=(
            f"CREATE TABLE {table} (\n    tenant_id integer NOT NULL,\n{columns}    id uuid NOT NULL,\n"
            f"    occurred_at timestamptz NOT NULL,\n{kept}    PRIMARY KEY (tenant_id, {key_list})\n) WITH (fillfactor = 80)",
            *(f"CREATE INDEX ON {table} (tenant_id, {index})" for index in indexes),
        ),
        temp_ddl=(
            f"CREATE TEMP TABLE IF NOT EXISTS {dirty} ({', '.join(f'{n} {t} NOT NULL' for n, t in typed)}) ON COMMIT DELETE ROWS",
        ),
        fold=upsert.format(source=newest("delta", "s.sign > 0")),
        shown=shown,
        note_dirty=f"INSERT INTO {dirty}\n{shown}",
        repair=(
            f"DELETE FROM {table} t USING {dirty} d WHERE t.tenant_id = %(tenant_id)s AND {same}",
            upsert.format(source=again),
        ),
        verify=(Check(what=kind, chunked=False, sql=verify),),
    )
