"""The fold: one statement a rollup that adds a load's delta to its rows.

A fold aggregates the delta's contributions by key and local day (hour, where asked for), spreads each day over the wider
buckets, and upserts in key order. Sums and counts are exact under any order, because a correction folds the old contribution
with sign -1 and the new one with +1.

Distinct values are reference counts in `rollup_NAME_seen_WHAT`; a count going from or to zero changes the rollup's number.
"""

from __future__ import annotations

from milepost.schema.compile._columns import Column
from milepost.schema.compile._rollup_table import RollupTable, again_of, named

__all__ = ["Folding"]


class Folding(RollupTable):
    def fold(self, where: str) -> str:
        group = ", ".join(str(i + 1) for i in range(len(self.keys) + 1))
        keys = "".join(f"s.{key}, " for key in self.keys)
        adds = "".join(f", {column.add} AS {column.name}" for column in self.columns)
        source = self.contributions(source="delta", where=where)
        statement = f"WITH c AS MATERIALIZED (\n{source}\n), fine AS (\n"
        statement += f"SELECT {keys}s.{self.unit}, sum(s.sign) AS n{adds}\nFROM c s GROUP BY {group}\n), "
        spread_adds = "".join(f", {again_of(column)}" for column in self.columns)
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
        names = named("tenant_id", *self.keys, "per", "bucket", "value")
        columns = named(*self.keys, "per", "bucket")
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
            f"SELECT %(tenant_id)s, {named(*self.keys, 'per', 'bucket', 'value')}, n FROM seen_{suffix}\n"
            f"ORDER BY {named(*self.keys, 'per', 'bucket', 'value')}\n"
            f"ON CONFLICT ({names}) DO UPDATE SET n = t.n + excluded.n\n), changed_{suffix} AS (\n"
            f"SELECT {columns}, 0 AS n{zeros}{others} FROM seen_{suffix} w GROUP BY {columns}\n)"
        )

    def upsert(self) -> str:
        columns = (*self.keys, "per", "bucket")
        added, source = self.additions()
        return (
            f"INSERT INTO {self.table} AS t ({named('tenant_id', *columns, *added)})\n"
            f"SELECT %(tenant_id)s, {named(*columns, *added)} FROM (\n{source}\n) a\nORDER BY {named(*columns)}\n"
            f"ON CONFLICT ({named('tenant_id', *columns)}) DO UPDATE SET {self.sets(added)}"
        )

    def additions(self) -> tuple[tuple[str, ...], str]:
        """What is added to each row: the columns, and a SELECT of the row's keys, per, bucket and these."""
        columns = (*self.keys, "per", "bucket")
        source = "SELECT * FROM wide"
        for suffix, _, _ in self.distinct:
            source += f" UNION ALL SELECT * FROM changed_{suffix}"
        if self.distinct:
            adds = "".join(f", {again_of(column)}" for column in self.columns)
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


def _zero(column: Column) -> str:
    return f"NULL::{column.type}" if column.extreme else "0"
