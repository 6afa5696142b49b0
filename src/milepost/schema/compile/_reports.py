"""What reports need beside the tables that they read: what another verb said of an object last, and indexes by each key.

`about_VERB` is a latest table by object, with the measures and data fields of the verb that reports name as `VERB.NAME`: a grade book's
weights. An index of a report is named by what it is on, so that two reports that want the same have one; it stays until its table
goes.
"""

from __future__ import annotations

from hashlib import blake2b

from milepost.model import Latest, Model
from milepost.schema.compile._activity import ActivityColumn
from milepost.schema.compile._columns import key_columns
from milepost.schema.compile._latest import CompiledLatest, compile_latest

__all__ = ["compile_about", "report_indexes"]


def compile_about(model: Model, types: dict[str, ActivityColumn]) -> tuple[CompiledLatest, ...]:
    """types: of each m_ and d_ column."""
    made = []
    for verb, names in model.looked_up().items():
        measures = model.verbs[verb].measures
        values = tuple(name if name in measures else f"data.{name}" for name in names)
        made.append(compile_latest(Latest(name=verb, of=(verb,), by=("object",), values=values), types, kind="about"))
    return tuple(made)


def report_indexes(model: Model) -> tuple[str, ...]:
    """Statements that may run again."""
    wanted: dict[str, None] = {}
    for report in model.reports.values():
        if rollup := model.rollups.get(report.source):
            # A rollup's own rows are indexed by each key; the values that are counted as distinct are not.
            keys = [[name for name, _, _ in key_columns(model, (key,))] for key in rollup.by if key != "tenant"]
            for value in rollup.values:
                if value.function == "distinct" and len(keys) > 1:
                    what = value.arguments[0].replace("data.", "d_")
                    for key in keys:
                        wanted[_index(f"rollup_{rollup.name}_seen_{what}", (*key, "per", "bucket"))] = None
        elif (latest := model.latest.get(report.source)) and latest.by[0] != "actor" and "actor" in latest.by:
            wanted[_index(f"latest_{latest.name}", ("actor_id",))] = None
        elif report.source in model.pairs:
            wanted[_index(f"pairs_{report.source}", ("closed_at",))] = None
            wanted[_index(f"pairs_{report.source}", ("opened_by", "closed_at"))] = None
    return tuple(wanted)


def _index(table: str, columns: tuple[str, ...]) -> str:
    listed = ", ".join(("tenant_id", *columns))
    name = blake2b(f"{table} {listed}".encode(), digest_size=8).hexdigest()
    return f"CREATE INDEX IF NOT EXISTS report_{name} ON milepost.{table} ({listed})"
