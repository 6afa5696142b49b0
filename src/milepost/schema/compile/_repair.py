"""The repair of what cannot be subtracted from, and residue.

Minimum, maximum, first and last time follow LEAST/GREATEST while activities are added. When some are taken back, the days
concerned are noted (`note_dirty`) and, once the activity table has changed, computed anew (`repair`); wider buckets then come
from the days. So only a day is ever recomputed.
"""

from __future__ import annotations

from milepost.schema.compile._columns import Column
from milepost.schema.compile._contributions import literal
from milepost.schema.compile._residue import keep_numbers, keep_values, kept_numbers
from milepost.schema.compile._rollup_table import ACTIVITIES, RollupTable, named

__all__ = ["Repairing"]


class Repairing(RollupTable):
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
            # An hour of the day may have lost all its activities: start from the rows, not from what is left. OFFSET 0: each is looked up;
            # a temp table is believed to hold hundreds, for which the planner reads all days of a small table.
            rows = "t.bucket = d.day" if per == "day" else "t.bucket >= d.day AND t.bucket < d.day + interval '1 day'"
            at = "true" if per == "day" else "s.hour = t.bucket"
            row_keys = " AND ".join([f"t.{key} = d.{key}" for key in self.keys] + [rows])
            whole = "true" if per == "day" else "z.at = t.bucket"
            kept = ", ".join(f"{c.extreme}(x.{c.name}, {self.kept(c, 'd.day', whole)})" for c in self.extremes)
            sets = ", ".join(f"{column.name} = again.{column.name}" for column in self.extremes)
            row_columns = named(*(f"t.{key}" for key in self.keys), "t.bucket")
            names = named(*self.keys, "bucket")
            matched = " AND ".join(f"t.{name} = again.{name}" for name in (*self.keys, "bucket"))
            statements.append(
                f"UPDATE {self.table} t SET {sets}\nFROM (\n"
                f"SELECT {row_columns}, again.*\nFROM (SELECT DISTINCT * FROM {dirty}) d\n"
                f"CROSS JOIN LATERAL (SELECT t.* FROM {self.table} t WHERE t.tenant_id = %(tenant_id)s AND t.per = '{per}' AND {row_keys}"
                " OFFSET 0) t\n"
                f"CROSS JOIN LATERAL (\nSELECT {kept} FROM (\n"
                f"SELECT {adds} FROM (\nSELECT c.* FROM (\n{source}\n) c WHERE {same}\n) s WHERE {at}\n) x\n"
                f") again\n) again ({names}, {named(*(column.name for column in self.extremes))})\n"
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

    # ── residue ──

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
