"""A rollup, compiled: its tables, and the statements that add to them, take back and verify."""

from __future__ import annotations

from dataclasses import dataclass

from milepost.model import Model, Rollup
from milepost.schema.compile._fold import Folding
from milepost.schema.compile._repair import Repairing
from milepost.schema.compile._rollup_table import Check
from milepost.schema.compile._verify import Verifying

__all__ = ["CompiledRollup", "RollupCompiler", "compile_rollup"]


@dataclass(frozen=True, kw_only=True)
class CompiledRollup:
    """Statements take the named parameter `tenant_id`; `delta` and `dirty_NAME` are temp tables of the load's session."""

    name: str
    table: str
    of: tuple[str, ...]  # verbs
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


def compile_rollup(model: Model, rollup: Rollup) -> CompiledRollup:
    return RollupCompiler(model, rollup).compile()


class RollupCompiler(Folding, Repairing, Verifying):
    """Of a rollup; a board is compiled as one is, with more beside it (`_boards`)."""

    def compile(self) -> CompiledRollup:
        filled = self.filled()
        return CompiledRollup(
            name=self.rollup.name,
            table=self.table,
            of=self.rollup.of,
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
