"""The table of a rollup: its columns and indexes, and to which rows of it a day belongs.

`_fold`, `_repair` and `_verify` build upon it, each one part of the compiler in `_rollup`.
"""

from __future__ import annotations

from dataclasses import dataclass

from milepost.model import Model, Rollup, Term
from milepost.schema.compile._columns import Column, columns_of, distinct_of, key_columns
from milepost.schema.compile._contributions import contributions, literal

__all__ = ["ACTIVITIES", "ALL_BUCKET", "Check", "RollupTable", "again_of", "named"]

# The bucket of per = 'all'.
ALL_BUCKET = "timestamp '0001-01-01'"
ACTIVITIES = "(SELECT 1::smallint AS sign, a.* FROM milepost.activity a WHERE a.tenant_id = %(tenant_id)s)"


@dataclass(frozen=True, kw_only=True)
class Check:
    """A SELECT of differences: keys (jsonb), per, bucket, stored (jsonb or NULL), recomputed (jsonb or NULL).

    chunked: takes the parameters `first` and `last` (local dates, last excluded) and is run once a span of days.
    """

    what: str
    chunked: bool
    sql: str


class RollupTable:
    """What folding, repairing and verifying a rollup's rows have in common."""

    kind = "rollup"  # what verify calls its rows

    def __init__(self, model: Model, rollup: Rollup) -> None:
        self.model = model
        self.rollup = rollup
        self.table = f"milepost.rollup_{rollup.name}"
        self.dirty = f"dirty_{rollup.name}"
        self.columns = columns_of(rollup)
        self.distinct = distinct_of(rollup)
        self.key_types = key_columns(model, rollup.by)
        self.keys = tuple(name for name, _, _ in self.key_types)
        self.unit = "hour" if "hour" in rollup.per else "day"
        self.extremes = tuple(column for column in self.columns if column.extreme)
        self.terms = tuple(model.terms[per] for per in rollup.per if per in model.terms)
        fixed = [per for per in ("hour", "day", "week", "month", "all") if per in rollup.per or per == "day"]
        self.pers = (*fixed, *(f"term:{term.name}" for term in self.terms))

    def filled(self) -> str:
        """The condition on activities `s` that history has been filled that far."""
        return (
            "s.id < coalesce((SELECT f.filled_to FROM milepost.filling f"
            f" WHERE f.tenant_id = %(tenant_id)s AND f.name = {literal(self.table.removeprefix('milepost.'))}),"
            " 'ffffffff-ffff-ffff-ffff-ffffffffffff')"
        )

    def contributions(self, *, source: str, where: str = "true") -> str:
        return contributions(self.model, self.rollup, source=source, where=where)

    @property
    def short(self) -> str:
        """The table, as `milepost.residue` names it."""
        return self.table.removeprefix("milepost.")

    @property
    def typed(self) -> tuple[tuple[str, str], ...]:
        return tuple((name, type_) for name, type_, _ in self.key_types)

    # ── tables ──

    def ddl(self) -> tuple[str, ...]:
        keys = "".join(f"    {name} {type_} NOT NULL,\n" for name, type_, _ in self.key_types)
        parts = "".join(
            f"    {column.name} {column.type}{'' if column.extreme else ' NOT NULL DEFAULT 0'},\n" for column in self.columns
        )
        counts = "".join(f"    distinct_{suffix} bigint NOT NULL DEFAULT 0,\n" for suffix, _, _ in self.distinct)
        key = named("tenant_id", *self.keys, "per", "bucket")
        # Free space on the page keeps the updates of a row's numbers HOT: no index entry is written.
        statements = [
            f"CREATE TABLE {self.table} (\n    tenant_id integer NOT NULL,\n{keys}"
            f'    per text COLLATE "C" NOT NULL,\n    bucket timestamp NOT NULL,\n    n bigint NOT NULL,\n{parts}{counts}'
            f"    PRIMARY KEY ({key})\n) WITH (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.05)",
            *self.indexes_by_bucket(self.table),
            *self.indexes_by_key(),
        ]
        for suffix, _, type_ in self.distinct:
            statements.append(
                f"CREATE TABLE {self.table}_seen_{suffix} (\n    tenant_id integer NOT NULL,\n{keys}"
                f'    per text COLLATE "C" NOT NULL,\n    bucket timestamp NOT NULL,\n    value {type_} NOT NULL,\n'
                f"    n bigint NOT NULL,\n    PRIMARY KEY ({key}, value)\n) WITH (fillfactor = 80)"
            )
            statements += self.indexes_by_bucket(f"{self.table}_seen_{suffix}", "value")
        return tuple(statements)

    def indexes_by_bucket(self, table: str, *more: str) -> list[str]:
        """Permutations of the primary keys: of a table without statistics, an index that has not all that is asked for looks as good to the
        planner as one that has, and a load then read a bucket's rows once for each of its keys.
        """
        key = (*self.keys, *more)
        return [f"CREATE INDEX ON {table} ({', '.join(('tenant_id', 'per', 'bucket', *key))})"] if key else []

    def indexes_by_key(self) -> list[str]:
        """Where there are several keys, rows may be asked for by any one: each has them in the order of a page, newest first.

        Without it a page by one key read all of a tenant's buckets until it was full. An index costs a new row some 2 µs, an update
        nothing (docs/decisions/2026-11-21-rollups-are-indexed-by-each-key.md).
        """
        keys = [[name for name, _, _ in key_columns(self.model, (key,))] for key in self.rollup.by if key != "tenant"]
        if len(keys) < 2:
            return []
        return [
            f"CREATE INDEX ON {self.table} ({named('tenant_id', *key, 'per', 'bucket', *(k for k in self.keys if k not in key))})"
            for key in keys
        ]

    def temp_ddl(self) -> tuple[str, ...]:
        if not self.extremes:
            return ()
        keys = "".join(f"{name} {type_} NOT NULL, " for name, type_, _ in self.key_types)
        return (f"CREATE TEMP TABLE IF NOT EXISTS {self.dirty} ({keys}day timestamp NOT NULL) ON COMMIT DELETE ROWS",)

    # ── the rows of a day ──

    def spread(self, source: str = "s") -> str:
        """The rows (per, bucket) to which a day or hour belongs."""
        day = f"{source}.{self.unit}" if self.unit == "day" else f"date_trunc('day', {source}.hour)"
        rows = []
        for per in self.pers:
            match per:
                case "hour":
                    rows.append(f"('hour', {source}.hour)")
                case "day":
                    rows.append(f"('day', {day})")
                case "week" | "month":
                    rows.append(f"('{per}', date_trunc('{per}', {day}))")
                case "all":
                    rows.append(f"('all', {ALL_BUCKET})")
        spread = f"SELECT * FROM (VALUES {', '.join(rows)}) v (per, bucket)"
        for term in self.terms:
            spread += f" UNION ALL SELECT {term_row(term)} WHERE {day} {term_span(term)}"
        return spread

    def days_of(self, per: str, day: str, bucket: str) -> tuple[str, str]:
        """The bucket of a day, and the condition on a day row `y` that it lies in `bucket`."""
        match per:
            case "week" | "month":
                return f"date_trunc('{per}', {day})", f"y.bucket >= {bucket} AND y.bucket < {bucket} + interval '1 {per}'"
            case "all":
                return ALL_BUCKET, "true"
            case _:
                term = self.model.terms[per.removeprefix("term:")]
                start = f"timestamp '{term.first}'"
                return f"CASE WHEN {day} {term_span(term)} THEN {start} END", f"y.bucket {term_span(term)}"


def named(*names: str) -> str:
    return ", ".join(names)


def again_of(column: Column) -> str:
    """Aggregating an aggregate: a sum of sums, a minimum of minima."""
    function = {"": "sum", "LEAST": "min", "GREATEST": "max"}[column.extreme]
    return f"{function}(s.{column.name}) AS {column.name}"


def term_row(term: Term) -> str:
    return f"{literal('term:' + term.name)}, timestamp '{term.first}'"


def term_span(term: Term) -> str:
    return f"BETWEEN timestamp '{term.first}' AND timestamp '{term.last}'"
