"""A rollup's rows recomputed from the activities, and the wider buckets from the days: what `milepost verify` compares."""

from __future__ import annotations

from milepost.schema.compile._columns import Column
from milepost.schema.compile._contributions import literal
from milepost.schema.compile._residue import kept_numbers, kept_values
from milepost.schema.compile._rollup_table import ACTIVITIES, Check, RollupTable, again_of, named

__all__ = ["Verifying"]


class Verifying(RollupTable):
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
        names = named(*keys)
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
            f", {again_of(column)}" if column.extreme else f", coalesce(sum(s.{column.name}), 0) AS {column.name}"
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
        names = named(*self.keys, "bucket", "value", "n")
        stored = (
            f"SELECT {names} FROM {self.table}_seen_{suffix} WHERE tenant_id = %(tenant_id)s AND per = 'day'"
            " AND bucket >= %(first)s AND bucket < %(last)s AND n <> 0"
        )
        return self.compare(f"distinct {suffix}", True, "day", stored, again, ("n",), "value")

    def verify_seen_wide(self, suffix: str, per: str) -> Check:
        bucket, _ = self.days_of(per, "t.bucket", "t.bucket")
        keys = "".join(f"t.{key}, " for key in self.keys)
        group = ", ".join(str(i + 1) for i in range(len(self.keys) + 2))
        names = named(*self.keys, "bucket", "value", "n")
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
        names = named(*keys)
        stored = (
            f"SELECT {names}, distinct_{suffix} AS n FROM {self.table}"
            f" WHERE tenant_id = %(tenant_id)s AND distinct_{suffix} <> 0"
        )
        again = (
            f"SELECT {names}, count(*) AS n FROM {self.table}_seen_{suffix} WHERE tenant_id = %(tenant_id)s AND n > 0"
            f" GROUP BY {names}"
        )
        return self.compare(f"distinct {suffix}", False, "*", stored, again, ("n",), "per")


def _total(column: Column) -> str:
    function = {"": "sum", "LEAST": "min", "GREATEST": "max"}[column.extreme]
    return f"{function}(t.{column.name})"
