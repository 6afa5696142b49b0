"""From a model to SQL: the tables it needs, and every statement that a load, a refill and `milepost verify` run on them.

`compile_model` is pure: the same model gives the same text. `milepost model show` prints it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from milepost.model import Model
from milepost.schema.compile._activity import (
    ActivityColumn,
    CompiledActivity,
    RowColumns,
    column_types,
    compile_activity,
    depends_on_groups,
    row_columns,
)
from milepost.schema.compile._boards import CompiledBoard, compile_board, score_units
from milepost.schema.compile._chain import chain_content, chain_form
from milepost.schema.compile._columns import columns_of, distinct_of, key_columns, reading_of, threshold_units
from milepost.schema.compile._contributions import MEMBERSHIP, REACH, literal
from milepost.schema.compile._goals import recomputed_goal
from milepost.schema.compile._latest import CompiledLatest, compile_latest, value_column
from milepost.schema.compile._milestones import CompiledMilestones, compile_milestones
from milepost.schema.compile._pairs import CompiledPair, compile_pair
from milepost.schema.compile._pending import compile_pending, due_of
from milepost.schema.compile._ranked import EVERYWHERE, member_column
from milepost.schema.compile._reports import compile_about, report_indexes
from milepost.schema.compile._rollup import CompiledRollup, compile_rollup
from milepost.schema.compile._rollup_table import Check
from milepost.schema.compile._search import EVERYTHING_IN_DATA, CompiledSearch, compile_search

__all__ = [
    "EVERYTHING_IN_DATA",
    "EVERYWHERE",
    "ActivityColumn",
    "Check",
    "CompiledActivity",
    "CompiledBoard",
    "CompiledLatest",
    "CompiledMilestones",
    "CompiledModel",
    "CompiledPair",
    "CompiledRollup",
    "CompiledSearch",
    "RowColumns",
    "chain_content",
    "chain_form",
    "column_types",
    "columns_of",
    "compile_model",
    "distinct_of",
    "due_of",
    "guard",
    "key_columns",
    "literal",
    "member_column",
    "reading_of",
    "recomputed_goal",
    "row_columns",
    "score_units",
    "threshold_units",
    "value_column",
]


@dataclass(frozen=True, kw_only=True)
class CompiledModel:
    model: Model
    columns: dict[str, ActivityColumn]  # every m_ and d_ column of the activity table, older models' too
    activity: CompiledActivity
    rollups: tuple[CompiledRollup, ...]
    reach: tuple[str, ...]  # what rollups and boards by group need to know of the delta, before any of them folds
    latest: tuple[CompiledLatest, ...]  # those of pending lists and of what reports look up, too
    pairs: tuple[CompiledPair, ...]
    boards: tuple[CompiledBoard, ...]
    search: CompiledSearch | None  # None: no verb is searched
    milestones: tuple[CompiledMilestones, ...]
    indexes: tuple[str, ...]  # of reports, on the tables of others; may run again

    def temp_ddl(self) -> Iterator[str]:
        yield from self.activity.temp_ddl
        for part in self.derived():
            yield from part.temp_ddl

    def without(self, tables: Collection[str]) -> CompiledModel:
        """The same, as if boards, pending lists, look-ups of reports and milestones that are kept in these tables were not declared: models
        that declare them were applied before they had tables. A rollup's table, or of pairs or the latest, stays in: when it is gone,
        every load must fail, and not leave it out.
        """
        if not tables:
            return self
        declared = {f"milepost.latest_{name}" for name in self.model.latest}
        return replace(
            self,
            latest=tuple(part for part in self.latest if part.table in declared or part.table not in tables),
            boards=tuple(part for part in self.boards if part.table not in tables),
            milestones=tuple(part for part in self.milestones if part.table not in tables),
        )

    def counting(self, verbs: Collection[str]) -> CompiledModel:
        """The same, as if nothing but what activities of these verbs count for were declared: all that a delta of them can change."""
        return replace(
            self,
            rollups=_counting(self.rollups, verbs),
            latest=_counting(self.latest, verbs),
            pairs=_counting(self.pairs, verbs),
            boards=_counting(self.boards, verbs),
            milestones=_counting(self.milestones, verbs),
        )

    def derived(self) -> Iterator[CompiledRollup | CompiledLatest | CompiledPair | CompiledBoard | CompiledMilestones]:
        yield from self.rollups
        yield from self.latest
        yield from self.pairs
        yield from self.boards
        yield from self.milestones


_Part = TypeVar("_Part", CompiledRollup, CompiledLatest, CompiledPair, CompiledBoard, CompiledMilestones)


def _counting(parts: tuple[_Part, ...], verbs: Collection[str]) -> tuple[_Part, ...]:
    return tuple(part for part in parts if not set(verbs).isdisjoint(part.of))


def compile_model(model: Model, *, columns: dict[str, ActivityColumn] | None = None) -> CompiledModel:
    """columns: what the activity table has beyond the model's own, from earlier models."""
    types = column_types(model)
    every = dict(sorted(((columns or {}) | types).items()))
    return CompiledModel(
        model=model,
        columns=every,
        activity=compile_activity(model, every),
        rollups=tuple(compile_rollup(model, rollup) for rollup in model.rollups.values()),
        reach=tuple(
            statement
            for belongs, statement in (("addressed", REACH), ("membership", MEMBERSHIP))
            if depends_on_groups(model, belongs)
        ),
        latest=(
            *(compile_latest(latest, types) for latest in model.latest.values()),
            *(part for pending in model.pending.values() for part in compile_pending(pending, types)),
            *compile_about(model, types),
        ),
        pairs=tuple(compile_pair(pair) for pair in model.pairs.values()),
        boards=tuple(compile_board(model, board) for board in model.boards.values()),
        search=compile_search(model),
        milestones=tuple(compile_milestones(model, goal) for goal in model.goals.values() if goal.milestones),
        indexes=report_indexes(model),
    )


def guard(table: str) -> tuple[str, ...]:
    """What every derived table gets: the service may use its rows, of the transaction's tenant alone."""
    return (
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO milepost_service",
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY tenant ON {table} TO milepost_service"
        " USING (tenant_id = (SELECT NULLIF(current_setting('milepost.tenant', true), '')::integer))",
    )
