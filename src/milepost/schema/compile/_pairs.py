"""Pairs: an opening activity and the first closing one after it on the same object, with the time between.

The rule, per object, over its activities in id order: an opening one that does not follow another opening one starts a pair; the
first closing one after it ends the pair. Openings while open, and closings while closed, change nothing. The pairs of the
objects that a load touches are computed anew from the activity table, so that late and corrected activities need no other rule.
"""

from __future__ import annotations

from dataclasses import dataclass

from milepost.model import Pair
from milepost.schema.compile._contributions import literal
from milepost.schema.compile._rollup_table import Check

__all__ = ["CompiledPair", "compile_pair"]

_COLUMNS = "opened_id, opened_at, opened_by, group_id, closed_id, closed_at, closed_by"


@dataclass(frozen=True, kw_only=True)
class CompiledPair:
    name: str
    table: str
    of: tuple[str, ...]  # verbs
    ddl: tuple[str, ...]
    temp_ddl: tuple[str, ...]
    note_dirty: str  # for activities added and taken back alike
    repair: tuple[str, ...]
    verify: tuple[Check, ...]


def compile_pair(pair: Pair) -> CompiledPair:
    table = f"milepost.pairs_{pair.name}"
    dirty = f"dirty_pairs_{pair.name}"
    opens = ", ".join(literal(verb) for verb in pair.open)
    both = ", ".join(literal(verb) for verb in (*pair.open, *pair.close))
    key = "tenant_id, object_kind, object_id, opened_id"

    def pairs(source: str) -> str:
        """Starts and ends alternate once repeats are dropped, so the end of a start is the row after it."""
        window = "OVER (PARTITION BY object_kind, object_id ORDER BY id)"
        return (
            f"SELECT object_kind, object_id, {_COLUMNS} FROM (\n"
            f"SELECT object_kind, object_id, opens, id AS opened_id, occurred_at AS opened_at, actor_id AS opened_by, group_id,\n"
            f"    lead(id) {window} AS closed_id, lead(occurred_at) {window} AS closed_at, lead(actor_id) {window} AS closed_by\n"
            f"FROM (SELECT *, lag(opens) {window} AS before FROM (\n"
            f"SELECT s.object_kind, s.object_id, s.id, s.occurred_at, s.actor_id, s.group_id, s.verb IN ({opens}) AS opens\n"
            f"FROM {source} AND s.verb IN ({both})\n) e) e\n"
            f"WHERE opens <> coalesce(before, false)\n) p WHERE opens"
        )

    touched = (
        f"(SELECT DISTINCT object_kind, object_id FROM {dirty}) d JOIN milepost.activity s"
        " ON s.tenant_id = %(tenant_id)s AND s.object_kind = d.object_kind AND s.object_id = d.object_id WHERE true"
    )
    everything = "milepost.activity s WHERE s.tenant_id = %(tenant_id)s AND s.object_id IS NOT NULL"
    packed = ", ".join(f"{literal(name)}, {name}" for name in _COLUMNS.split(", ")[1:])
    verify = (
        "SELECT jsonb_build_object('object_kind', object_kind, 'object_id', object_id, 'opened_id', opened_id) AS keys,\n"
        "    'pairs' AS per, NULL::timestamp AS bucket, a.parts, b.parts\n"
        f"FROM (SELECT object_kind, object_id, opened_id, jsonb_build_object({packed}) AS parts FROM {table}\n"
        "    WHERE tenant_id = %(tenant_id)s) a\n"
        f"FULL JOIN (SELECT object_kind, object_id, opened_id, jsonb_build_object({packed}) AS parts\n"
        f"    FROM (\n{pairs(everything)}\n) p) b\nUSING (object_kind, object_id, opened_id)\nWHERE a.parts IS DISTINCT FROM b.parts"
    )
    text = 'text COLLATE "C"'
    return CompiledPair(
        name=pair.name,
        table=table,
        of=(*pair.open, *pair.close),
        ddl=(
            f"CREATE TABLE {table} (\n    tenant_id integer NOT NULL,\n    object_kind {text} NOT NULL,\n"
            f"    object_id {text} NOT NULL,\n    opened_id uuid NOT NULL,\n    opened_at timestamptz NOT NULL,\n"
            f"    opened_by bigint NOT NULL,\n    group_id bigint,\n    closed_id uuid,\n    closed_at timestamptz,\n"
            f"    closed_by bigint,\n    PRIMARY KEY ({key})\n)",
            f"CREATE INDEX ON {table} (tenant_id, group_id, closed_at)",
        ),
        temp_ddl=(
            f"CREATE TEMP TABLE IF NOT EXISTS {dirty} (object_kind {text} NOT NULL, object_id {text} NOT NULL)"
            " ON COMMIT DELETE ROWS",
        ),
        note_dirty=(
            f"INSERT INTO {dirty}\nSELECT DISTINCT s.object_kind, s.object_id FROM delta s"
            f" WHERE s.object_id IS NOT NULL AND s.verb IN ({both})"
        ),
        repair=(
            f"DELETE FROM {table} t USING (SELECT DISTINCT * FROM {dirty}) d WHERE t.tenant_id = %(tenant_id)s"
            " AND t.object_kind = d.object_kind AND t.object_id = d.object_id",
            f"INSERT INTO {table} (tenant_id, object_kind, object_id, {_COLUMNS})\n"
            f"SELECT %(tenant_id)s, object_kind, object_id, {_COLUMNS} FROM (\n{pairs(touched)}\n) p",
        ),
        verify=(Check(what="pairs", chunked=False, sql=verify),),
    )
