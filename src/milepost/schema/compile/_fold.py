"""The fold: one statement a rollup that adds a load's delta to its rows, and the repair of what cannot be subtracted from.

A fold aggregates the delta's contributions by key and local day (hour, where asked for), spreads each day over the wider
buckets, and upserts in key order. Sums and counts are exact under any order, because a correction folds the old contribution
with sign -1 and the new one with +1.

- Distinct values are reference counts in `rollup_NAME_seen_WHAT`; a count going from or to zero changes the rollup's number.
- Minimum, maximum, first and last time follow LEAST/GREATEST while activities are added. When some are taken back, the days
  concerned are noted (`note_dirty`) and, once the activity table has changed, computed anew (`repair`); wider buckets then come
  from the days. So only a day is ever recomputed.
"""

from __future__ import annotations

from dataclasses import dataclass

from milepost.model import Model, Rollup, Term
from milepost.schema.compile._columns import Column, columns_of, distinct_of, key_columns
from milepost.schema.compile._contributions import contributions, literal
from milepost.schema.compile._residue import keep_numbers, keep_values, kept_numbers, kept_values

__all__ = ["ACTIVITIES", "ALL_BUCKET", "Check", "CompiledRollup", "RollupCompiler", "compile_rollup"]

# The bucket of per = 'all'.
ALL_BUCKET = "timestamp '0001-01-01'"
ACTIVITIES = "(SELECT 1::smallint AS sign, a.* FROM milepost.activity a WHERE a.tenant_id = %(tenant_id)s)"


@dataclass(frozen=True, kw_only=True)
class CompiledRollup:
    """Statements take the named parameter `tenant_id`; `delta` and `dirty_NAME` are temp tables of the load's session."""

    name: str
    table: str
    keys: tuple[str, ...]
    pers: tuple[str, ...]
    by_group: bool
    ddl: tuple[str, ...]
    temp_ddl: tuple[str, ...]
    fold: str  # the delta, as far as the rollup is filled
    fill: str  # the delta, whatever the filling says
    note_dirty: str | None  # None: nothing here needs repair
    repair: tuple[str, ...]
    remember: tuple[str, ...]  # the delta, with sign +1, becomes residue
    distinct: tuple[str, ...]  # of which values references are counted: TABLE_seen_WHAT
    verify: tuple[Check, ...]


@dataclass(frozen=True, kw_only=True)
class Check:
    """A SELECT of differences: keys (jsonb), per, bucket, stored (jsonb or NULL), recomputed (jsonb or NULL).

    chunked: takes the parameters `first` and `last` (local dates, last excluded) and is run once a span of days.
    """

    what: str
    chunked: bool
    sql: str


def compile_rollup(model: Model, rollup: Rollup) -> CompiledRollup:
    return RollupCompiler(model, rollup).compile()


class RollupCompiler:
    """Of a rollup; a board is compiled as one is, with more beside it (`_boards`)."""

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

    def compile(self) -> CompiledRollup:
        filled = self.filled()
        return CompiledRollup(
            name=self.rollup.name,
            table=self.table,
            keys=self.keys,
            pers=self.pers,
            by_group="group" in self.rollup.by,
            ddl=self.ddl(),
            temp_ddl=self.temp_ddl(),
            fold=self.fold(filled),
            fill=self.fold("true"),
            note_dirty=self.note_dirty(filled) if self.extremes else None,
            repair=self.repair(filled) if self.extremes else (),
            remember=self.remember(filled),
            distinct=tuple(suffix for suffix, _, _ in self.distinct),
            verify=self.verify(),
        )

    def filled(self) -> str:
        """The condition on activities `s` that history has been filled that far."""
        return (
            "s.id < coalesce((SELECT f.filled_to FROM milepost.filling f"
            f" WHERE f.tenant_id = %(tenant_id)s AND f.name = {literal(self.table.removeprefix('milepost.'))}),"
            " 'ffffffff-ffff-ffff-ffff-ffffffffffff')"
        )

    def contributions(self, *, source: str, where: str = "true") -> str:
        return contributions(self.model, self.rollup, source=source, where=where)

    # ── tables ──

    def ddl(self) -> tuple[str, ...]:
        keys = "".join(f"    {name} {type_} NOT NULL,\n" for name, type_, _ in self.key_types)
        parts = "".join(
            f"    {column.name} {column.type}{'' if column.extreme else ' NOT NULL DEFAULT 0'},\n" for column in self.columns
        )
        counts = "".join(f"    distinct_{suffix} bigint NOT NULL DEFAULT 0,\n" for suffix, _, _ in self.distinct)
        key = _list("tenant_id", *self.keys, "per", "bucket")
        # Free space on the page keeps the updates of a row's numbers HOT: no index entry is written.
        statements = [
            f"CREATE TABLE {self.table} (\n    tenant_id integer NOT NULL,\n{keys}"
            f'    per text COLLATE "C" NOT NULL,\n    bucket timestamp NOT NULL,\n    n bigint NOT NULL,\n{parts}{counts}'
            f"    PRIMARY KEY ({key})\n) WITH (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.05)",
            f"CREATE INDEX ON {self.table} (tenant_id, per, bucket)",
            *self.indexes_by_key(),
        ]
        for suffix, _, type_ in self.distinct:
            statements.append(
                f"CREATE TABLE {self.table}_seen_{suffix} (\n    tenant_id integer NOT NULL,\n{keys}"
                f'    per text COLLATE "C" NOT NULL,\n    bucket timestamp NOT NULL,\n    value {type_} NOT NULL,\n'
                f"    n bigint NOT NULL,\n    PRIMARY KEY ({key}, value)\n) WITH (fillfactor = 80)"
            )
            statements.append(f"CREATE INDEX ON {self.table}_seen_{suffix} (tenant_id, per, bucket)")
        return tuple(statements)

    def indexes_by_key(self) -> list[str]:
        """Where there are several keys, rows may be asked for by any one: each has them in the order of a page, newest first.

        Without it a page by one key read all of a tenant's buckets until it was full. An index costs a new row some 2 µs, an update
        nothing (docs/decisions/2026-11-21-rollups-are-indexed-by-each-key.md).
        """
        keys = [[name for name, _, _ in key_columns(self.model, (key,))] for key in self.rollup.by if key != "tenant"]
        if len(keys) < 2:
            return []
        return [
            f"CREATE INDEX ON {self.table} ({_list('tenant_id', *key, 'per', 'bucket', *(k for k in self.keys if k not in key))})"
            for key in keys
        ]

    def temp_ddl(self) -> tuple[str, ...]:
        if not self.extremes:
            return ()
        keys = "".join(f"{name} {type_} NOT NULL, " for name, type_, _ in self.key_types)
        return (f"CREATE TEMP TABLE IF NOT EXISTS {self.dirty} ({keys}day timestamp NOT NULL) ON COMMIT DELETE ROWS",)

    # ── adding ──

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
            spread += f" UNION ALL SELECT {_term_row(term)} WHERE {day} {_term_span(term)}"
        return spread

    def fold(self, where: str) -> str:
        group = ", ".join(str(i + 1) for i in range(len(self.keys) + 1))
        keys = "".join(f"s.{key}, " for key in self.keys)
        adds = "".join(f", {column.add} AS {column.name}" for column in self.columns)
        source = self.contributions(source="delta", where=where)
        statement = f"WITH c AS MATERIALIZED (\n{source}\n), fine AS (\n"
        statement += f"SELECT {keys}s.{self.unit}, sum(s.sign) AS n{adds}\nFROM c s GROUP BY {group}\n), "
        spread_adds = "".join(f", {_again(column)}" for column in self.columns)
        zeros = "".join(f", 0 AS distinct_{suffix}" for suffix, _, _ in self.distinct)
        group = ", ".join(str(i + 1) for i in range(len(self.keys) + 2))
        statement += (
            f"wide AS (\nSELECT {keys}p.per, p.bucket, sum(s.n) AS n{spread_adds}{zeros}\n"
            f"FROM fine s CROSS JOIN LATERAL ({self.spread()}) p (per, bucket)\nGROUP BY {group}\n)"
        )
        for suffix, _, _ in self.distinct:
            statement += self.seen(suffix)
        statement += "\n" + self.upsert()
        return statement

    def seen(self, suffix: str) -> str:
        """Count references; `changed_*` is by how much the distinct number changes. This load is the only writer."""
        keys = "".join(f"s.{key}, " for key in self.keys)
        group = ", ".join(str(i + 1) for i in range(len(self.keys) + 3))
        table = f"{self.table}_seen_{suffix}"
        same = " AND ".join(f"t.{key} = w.{key}" for key in (*self.keys, "per", "bucket", "value"))
        names = _list("tenant_id", *self.keys, "per", "bucket", "value")
        columns = _list(*self.keys, "per", "bucket")
        zeros = "".join(f", {_zero(column)}" for column in self.columns)
        others = "".join(
            f", {'sum(sign(w.old + w.n) - sign(w.old))::bigint' if other == suffix else '0'}" for other, _, _ in self.distinct
        )
        return (
            f", seen_{suffix} AS MATERIALIZED (\nSELECT w.*, coalesce(t.n, 0) AS old FROM (\n"
            f"SELECT {keys}p.per, p.bucket, s.value_{suffix} AS value, sum(s.sign) AS n\n"
            f"FROM c s CROSS JOIN LATERAL ({self.spread()}) p (per, bucket)\n"
            f"WHERE s.value_{suffix} IS NOT NULL GROUP BY {group} HAVING sum(s.sign) <> 0\n) w\n"
            f"LEFT JOIN {table} t ON t.tenant_id = %(tenant_id)s AND {same}\n), kept_{suffix} AS (\n"
            f"INSERT INTO {table} AS t ({names}, n)\n"
            f"SELECT %(tenant_id)s, {_list(*self.keys, 'per', 'bucket', 'value')}, n FROM seen_{suffix}\n"
            f"ORDER BY {_list(*self.keys, 'per', 'bucket', 'value')}\n"
            f"ON CONFLICT ({names}) DO UPDATE SET n = t.n + excluded.n\n), changed_{suffix} AS (\n"
            f"SELECT {columns}, 0 AS n{zeros}{others} FROM seen_{suffix} w GROUP BY {columns}\n)"
        )

    def upsert(self) -> str:
        columns = (*self.keys, "per", "bucket")
        added, source = self.additions()
        return (
            f"INSERT INTO {self.table} AS t ({_list('tenant_id', *columns, *added)})\n"
            f"SELECT %(tenant_id)s, {_list(*columns, *added)} FROM (\n{source}\n) a\nORDER BY {_list(*columns)}\n"
            f"ON CONFLICT ({_list('tenant_id', *columns)}) DO UPDATE SET {self.sets(added)}"
        )

    def additions(self) -> tuple[tuple[str, ...], str]:
        """What is added to each row: the columns, and a SELECT of the row's keys, per, bucket and these."""
        columns = (*self.keys, "per", "bucket")
        source = "SELECT * FROM wide"
        for suffix, _, _ in self.distinct:
            source += f" UNION ALL SELECT * FROM changed_{suffix}"
        if self.distinct:
            adds = "".join(f", {_again(column)}" for column in self.columns)
            adds += "".join(f", sum(s.distinct_{suffix}) AS distinct_{suffix}" for suffix, _, _ in self.distinct)
            keys = "".join(f"s.{column}, " for column in columns)
            group = ", ".join(str(i + 1) for i in range(len(columns)))
            source = f"SELECT {keys}sum(s.n) AS n{adds} FROM ({source}) s GROUP BY {group}"
        added = ("n", *(column.name for column in self.columns), *(f"distinct_{suffix}" for suffix, _, _ in self.distinct))
        extremes = {column.name for column in self.extremes}
        values = ", ".join(f"w.{name}" if name in extremes else f"coalesce(w.{name}, 0) AS {name}" for name in added)
        # What cancels out within the delta changes nothing, unless it may move an extreme.
        moved = [f"coalesce(w.{name}, 0) <> 0" for name in added if name not in extremes]
        moved += [f"w.{name} IS NOT NULL" for name in sorted(extremes)]
        picked = ", ".join(f"w.{column}" for column in columns)
        return added, f"SELECT {picked}, {values}\nFROM ({source}) w\nWHERE {' OR '.join(moved)}"

    def sets(self, added: tuple[str, ...]) -> str:
        """How a row takes what is added to it."""
        extremes = {column.name: column.extreme for column in self.extremes}
        return ", ".join(
            f"{name} = {extremes[name]}(t.{name}, excluded.{name})"
            if name in extremes
            else f"{name} = t.{name} + excluded.{name}"
            for name in added
        )

    # ── taking back ──

    def note_dirty(self, where: str) -> str:
        source = self.contributions(source="delta", where=f"s.sign < 0 AND {where}")
        keys = "".join(f"s.{key}, " for key in self.keys)
        day = "s.day" if self.unit == "day" else "date_trunc('day', s.hour)"
        return f"INSERT INTO {self.dirty}\nSELECT DISTINCT {keys}{day} FROM (\n{source}\n) s"

    def repair(self, filled: str) -> tuple[str, ...]:
        dirty = self.dirty
        bounds = (
            "s.id >= milepost.id_from((d.day - interval '27 hours') AT TIME ZONE 'UTC')"
            f" AND s.id < milepost.id_from((d.day + interval '51 hours') AT TIME ZONE 'UTC') AND {filled}"
        )
        if "actor" in self.rollup.by:
            bounds += " AND s.actor_id = d.actor_id"
        source = self.contributions(source=ACTIVITIES, where=bounds)
        adds = ", ".join(f"{column.add} AS {column.name}" for column in self.extremes)
        same_day = "c.day = d.day" if self.unit == "day" else "c.hour >= d.day AND c.hour < d.day + interval '1 day'"
        same = " AND ".join([f"c.{key} = d.{key}" for key in self.keys] + [same_day])
        statements = []
        for per in ("day", "hour") if self.unit == "hour" else ("day",):
            # An hour of the day may have lost all its activities: start from the rows, not from what is left.
            rows = "t.bucket = d.day" if per == "day" else "t.bucket >= d.day AND t.bucket < d.day + interval '1 day'"
            at = "true" if per == "day" else "s.hour = t.bucket"
            row_keys = " AND ".join([f"t.{key} = d.{key}" for key in self.keys] + [rows])
            whole = "true" if per == "day" else "z.at = t.bucket"
            kept = ", ".join(f"{c.extreme}(x.{c.name}, {self.kept(c, 'd.day', whole)})" for c in self.extremes)
            sets = ", ".join(f"{column.name} = again.{column.name}" for column in self.extremes)
            row_columns = _list(*(f"t.{key}" for key in self.keys), "t.bucket")
            names = _list(*self.keys, "bucket")
            matched = " AND ".join(f"t.{name} = again.{name}" for name in (*self.keys, "bucket"))
            statements.append(
                f"UPDATE {self.table} t SET {sets}\nFROM (\n"
                f"SELECT {row_columns}, again.*\nFROM (SELECT DISTINCT * FROM {dirty}) d\n"
                f"JOIN {self.table} t ON t.tenant_id = %(tenant_id)s AND t.per = '{per}' AND {row_keys}\n"
                f"CROSS JOIN LATERAL (\nSELECT {kept} FROM (\n"
                f"SELECT {adds} FROM (\nSELECT c.* FROM (\n{source}\n) c WHERE {same}\n) s WHERE {at}\n) x\n"
                f") again\n) again ({names}, {_list(*(column.name for column in self.extremes))})\n"
                f"WHERE t.tenant_id = %(tenant_id)s AND t.per = '{per}' AND {matched}"
            )
        for per in self.pers:
            if per in ("hour", "day"):
                continue
            statements.append(self.repair_wide(per, dirty))
        return tuple(statements)

    def repair_wide(self, per: str, dirty: str) -> str:
        bucket, span = self.days_of(per, "d.day", "t.bucket")
        keys = "".join(f"d.{key}, " for key in self.keys)
        same = " AND ".join([f"t.{key} = d.{key}" for key in self.keys] + ["t.bucket = d.bucket"])
        same_day = " AND ".join(f"y.{key} = t.{key}" for key in self.keys) or "true"
        least = ", ".join(
            f"{column.name} = (SELECT {'min' if column.extreme == 'LEAST' else 'max'}(y.{column.name}) FROM {self.table} y"
            f" WHERE y.tenant_id = t.tenant_id AND {same_day} AND y.per = 'day' AND {span})"
            for column in self.extremes
        )
        return (
            f"UPDATE {self.table} t SET {least}\n"
            f"FROM (SELECT DISTINCT {keys}{bucket} AS bucket FROM {dirty} d) d\n"
            f"WHERE t.tenant_id = %(tenant_id)s AND t.per = {literal(per)} AND {same}"
        )

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
                return f"CASE WHEN {day} {_term_span(term)} THEN {start} END", f"y.bucket {_term_span(term)}"

    # ── residue ──

    @property
    def short(self) -> str:
        """The table, as `milepost.residue` names it."""
        return self.table.removeprefix("milepost.")

    @property
    def typed(self) -> tuple[tuple[str, str], ...]:
        return tuple((name, type_) for name, type_, _ in self.key_types)

    def remember(self, where: str) -> tuple[str, ...]:
        source = self.contributions(source="delta", where=where)
        day = "s.day" if self.unit == "day" else "date_trunc('day', s.hour)"
        numbers = keep_numbers(self.short, self.typed, self.unit, self.columns, source)
        return (numbers, *(keep_values(self.short, suffix, self.typed, day, source) for suffix, _, _ in self.distinct))

    def kept(self, column: Column, day: str, at: str) -> str:
        """The extreme that the residue of a dirty day (or of the hour `at`) has, as a sub-select."""
        same = " AND ".join(["true", *(f"z.{key} = d.{key}" for key in self.keys)])
        span = f"z.at >= {day} AND z.at < {day} + interval '1 day'"
        rows = kept_numbers(self.short, self.typed, (column,), span)
        function = "min" if column.extreme == "LEAST" else "max"
        return f"(SELECT {function}(z.{column.name}) FROM (\n{rows}\n) z WHERE {same} AND {at})"

    # ── verifying ──

    def verify(self) -> tuple[Check, ...]:
        checks = [self.verify_fine(per) for per in self.pers if per in ("hour", "day")]
        checks += [self.verify_wide(per) for per in self.pers if per not in ("hour", "day")]
        for suffix, _, _ in self.distinct:
            checks.append(self.verify_seen_days(suffix))
            checks += [self.verify_seen_wide(suffix, per) for per in self.pers if per not in ("hour", "day")]
            checks.append(self.verify_distinct(suffix))
        return tuple(checks)

    def compare(
        self, what: str, chunked: bool, per: str, stored: str, again: str, parts: tuple[str, ...], more: str = ""
    ) -> Check:
        """`stored` and `again` give the keys, bucket and `parts` (and the column `more`, also a key)."""
        keys = (*self.keys, "bucket", *([more] if more else []))
        pairs = ", ".join(f"{literal(key)}, {key}" for key in (*self.keys, *([more] if more else [])))
        packed = ", ".join(f"{literal(part)}, {part}" for part in parts)
        names = _list(*keys)
        sql = (
            f"SELECT jsonb_build_object({pairs}) AS keys, {literal(per)} AS per, bucket, a.parts AS stored, b.parts AS again\n"
            f"FROM (SELECT {names}, jsonb_build_object({packed}) AS parts FROM (\n{stored}\n) a) a\n"
            f"FULL JOIN (SELECT {names}, jsonb_build_object({packed}) AS parts FROM (\n{again}\n) b) b USING ({names})\n"
            f"WHERE a.parts IS DISTINCT FROM b.parts"
        )
        return Check(what=what, chunked=chunked, sql=sql)

    def parts(self) -> tuple[str, ...]:
        return ("n", *(column.name for column in self.columns))

    def own(self, per: str, chunked: bool) -> str:
        """The stored rows that hold anything: a row all of whose activities were taken back is as good as none."""
        span = " AND t.bucket >= %(first)s AND t.bucket < %(last)s" if chunked else ""
        parts = ", ".join(f"t.{part}" for part in (*self.keys, "bucket", *self.parts()))
        anything = " OR ".join(f"t.{part} <> 0" for part in ("n", *(c.name for c in self.columns if not c.extreme)))
        return (
            f"SELECT {parts} FROM {self.table} t WHERE t.tenant_id = %(tenant_id)s AND t.per = {literal(per)}{span}"
            f" AND ({anything})"
        )

    def recomputed(self, extra: str = "") -> str:
        bounds = (
            "s.id >= milepost.id_from((%(first)s::timestamp - interval '27 hours') AT TIME ZONE 'UTC')"
            " AND s.id < milepost.id_from((%(last)s::timestamp + interval '27 hours') AT TIME ZONE 'UTC')"
        )
        source = self.contributions(source=ACTIVITIES, where=bounds)
        return f"SELECT s.* FROM (\n{source}\n) s WHERE s.{self.unit} >= %(first)s AND s.{self.unit} < %(last)s{extra}"

    def verify_fine(self, per: str) -> Check:
        keys = "".join(f"s.{key}, " for key in self.keys)
        bucket = f"s.{self.unit}" if per == self.unit else "date_trunc('day', s.hour)"
        group = ", ".join(str(i + 1) for i in range(len(self.keys) + 1))
        adds = "".join(
            f", {column.add if column.extreme else f'coalesce({column.add}, 0)'} AS {column.name}" for column in self.columns
        )
        left = kept_numbers(self.short, self.typed, self.columns, "z.at >= %(first)s AND z.at < %(last)s")
        at = "s.at" if per == self.unit else "date_trunc('day', s.at)"
        total = "".join(
            f", {_again(column)}" if column.extreme else f", coalesce(sum(s.{column.name}), 0) AS {column.name}"
            for column in self.columns
        )
        names = "".join(f", s.{column.name}" for column in self.columns)
        again = f"SELECT {keys}{bucket} AS bucket, sum(s.sign) AS n{adds} FROM (\n{self.recomputed()}\n) s GROUP BY {group}"
        again += f"\nUNION ALL\nSELECT {keys}{at}, s.n{names} FROM (\n{left}\n) s"
        again = f"SELECT {keys}s.bucket, sum(s.n) AS n{total} FROM (\n{again}\n) s GROUP BY {group}"
        return self.compare(self.kind, True, per, self.own(per, True), again, self.parts())

    def verify_wide(self, per: str) -> Check:
        bucket, _ = self.days_of(per, "t.bucket", "t.bucket")
        keys = "".join(f"t.{key}, " for key in self.keys)
        group = ", ".join(str(i + 1) for i in range(len(self.keys) + 1))
        adds = ", ".join(f"{_total(column)} AS {column.name}" for column in self.columns)
        again = (
            f"SELECT {keys}{bucket} AS bucket, sum(t.n) AS n{', ' + adds if adds else ''}\n"
            f"FROM ({self.own('day', False)}) t GROUP BY {group} HAVING {bucket} IS NOT NULL"
        )
        return self.compare(self.kind, False, per, self.own(per, False), again, self.parts())

    def verify_seen_days(self, suffix: str) -> Check:
        keys = "".join(f"s.{key}, " for key in self.keys)
        bucket = "s.day" if self.unit == "day" else "date_trunc('day', s.hour)"
        group = ", ".join(str(i + 1) for i in range(len(self.keys) + 2))
        again = (
            f"SELECT {keys}{bucket} AS bucket, s.value_{suffix} AS value, sum(s.sign) AS n FROM (\n"
            f"{self.recomputed(f' AND s.value_{suffix} IS NOT NULL')}\n) s GROUP BY {group}"
        )
        type_ = next(type_ for one, _, type_ in self.distinct if one == suffix)
        left = kept_values(self.short, suffix, self.typed, type_, "z.at >= %(first)s AND z.at < %(last)s")
        again += f"\nUNION ALL\nSELECT {keys}s.at, s.value, s.n FROM (\n{left}\n) s"
        again = f"SELECT {keys}s.bucket, s.value, sum(s.n) AS n FROM (\n{again}\n) s GROUP BY {group}"
        names = _list(*self.keys, "bucket", "value", "n")
        stored = (
            f"SELECT {names} FROM {self.table}_seen_{suffix} WHERE tenant_id = %(tenant_id)s AND per = 'day'"
            " AND bucket >= %(first)s AND bucket < %(last)s AND n <> 0"
        )
        return self.compare(f"distinct {suffix}", True, "day", stored, again, ("n",), "value")

    def verify_seen_wide(self, suffix: str, per: str) -> Check:
        bucket, _ = self.days_of(per, "t.bucket", "t.bucket")
        keys = "".join(f"t.{key}, " for key in self.keys)
        group = ", ".join(str(i + 1) for i in range(len(self.keys) + 2))
        names = _list(*self.keys, "bucket", "value", "n")
        table = f"{self.table}_seen_{suffix} t WHERE t.tenant_id = %(tenant_id)s AND t.n <> 0"
        again = (
            f"SELECT {keys}{bucket} AS bucket, t.value, sum(t.n) AS n FROM {table} AND t.per = 'day'"
            f" GROUP BY {group} HAVING {bucket} IS NOT NULL"
        )
        stored = f"SELECT {names} FROM {table} AND t.per = {literal(per)}"
        return self.compare(f"distinct {suffix}", False, per, stored, again, ("n",), "value")

    def verify_distinct(self, suffix: str) -> Check:
        """The number on the rollup row against the reference counts, in every bucket."""
        keys = (*self.keys, "per", "bucket")
        names = _list(*keys)
        stored = (
            f"SELECT {names}, distinct_{suffix} AS n FROM {self.table}"
            f" WHERE tenant_id = %(tenant_id)s AND distinct_{suffix} <> 0"
        )
        again = (
            f"SELECT {names}, count(*) AS n FROM {self.table}_seen_{suffix} WHERE tenant_id = %(tenant_id)s AND n > 0"
            f" GROUP BY {names}"
        )
        return self.compare(f"distinct {suffix}", False, "*", stored, again, ("n",), "per")


def _list(*names: str) -> str:
    return ", ".join(names)


def _again(column: Column) -> str:
    """Aggregating an aggregate: a sum of sums, a minimum of minima."""
    function = {"": "sum", "LEAST": "min", "GREATEST": "max"}[column.extreme]
    return f"{function}(s.{column.name}) AS {column.name}"


def _total(column: Column) -> str:
    function = {"": "sum", "LEAST": "min", "GREATEST": "max"}[column.extreme]
    return f"{function}(t.{column.name})"


def _zero(column: Column) -> str:
    return f"NULL::{column.type}" if column.extreme else "0"


def _term_row(term: Term) -> str:
    return f"{literal('term:' + term.name)}, timestamp '{term.first}'"


def _term_span(term: Term) -> str:
    return f"BETWEEN timestamp '{term.first}' AND timestamp '{term.last}'"
