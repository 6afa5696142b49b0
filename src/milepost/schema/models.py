"""The deployment's model in the database: which one is current, and applying another to a live database.

A changed model is applied in one transaction: new columns, tables and indexes, the new version's row, and for every tenant a row
in `filling` for each new rollup, latest, pairs, pending and board table. From then on each lane's loader folds new activities below that row's id
and fills the rest from history, chunk by chunk between its loads; since a lane has one writer, nothing is counted twice or left
out, and the numbers are exact when the row is gone. Removed ones are dropped. An incompatible change is refused, with what to do.

A newer milepost may make tables of what an older one only parsed. Until the model is applied again they are missing: loads go on without
them (`current_model` leaves them out), their readers are told so, and applying the same model makes and fills them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import structlog

from milepost.errors import Conflict, NotFound
from milepost.model import Model, ModelChange, diff_models, model_fingerprint, parse_model
from milepost.postgres import Connection, load_queries
from milepost.schema.compile import (
    ActivityColumn,
    CompiledBoard,
    CompiledLatest,
    CompiledMilestones,
    CompiledModel,
    CompiledPair,
    CompiledRollup,
    column_types,
    compile_model,
    guard,
)

__all__ = ["Applied", "CurrentModel", "apply_model", "current_model", "model_columns"]

_queries = load_queries(__package__, "models.sql")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class CurrentModel:
    version: int
    toml: str
    model: Model
    compiled: CompiledModel


@dataclass(frozen=True, kw_only=True)
class Applied:
    """version: the current one, also where nothing changed. filling: tables that are being filled from history."""

    version: int
    changed: bool
    filling: tuple[str, ...]
    dropped: tuple[str, ...]


async def model_columns(conn: Connection) -> dict[str, ActivityColumn]:
    """Every m_ and d_ column of the activity table, those of older models too."""
    rows = await (await conn.execute(_queries.columns)).fetchall()
    ours = {"text": 'text COLLATE "C"', "timestamp with time zone": "timestamptz"}
    return {name: ActivityColumn(type=ours.get(type_) or type_, declared=declared) for name, type_, declared in rows}


async def current_model(conn: Connection) -> CurrentModel:
    """The model of the newest version. Raises NotFound where none was applied yet."""
    row = await (await conn.execute(_queries.newest)).fetchone()
    if row is None:
        raise NotFound("No model has been applied to this database: run `milepost model apply FILE`.")
    version, toml = row
    model = parse_model(toml)
    compiled = compile_model(model, columns=await model_columns(conn))
    return CurrentModel(version=version, toml=toml, model=model, compiled=compiled.without(await _missing(conn, compiled)))


async def apply_model(owner: Connection, toml: str) -> Applied:
    """Make `toml` the current model. owner: a connection as the tables' owner. Raises Conflict with what to do."""
    model = parse_model(toml)
    async with owner.transaction():
        await owner.execute(_queries.lock)
        row = await (await owner.execute(_queries.newest)).fetchone()
        missing: frozenset[str] = frozenset()
        if row is None:
            version, old = 0, Model(name=model.name)
        else:
            version, old = row[0], parse_model(row[1])
            missing = await _missing(owner, compile_model(old))
            if model_fingerprint(old) == model_fingerprint(model) and not missing:
                if row[1] != toml:  # only words changed
                    await owner.execute(_queries.reword, {"version": version, "toml": toml})
                return Applied(version=version, changed=False, filling=(), dropped=())
        change = diff_models(old, model)
        if change.refusals:
            raise Conflict(
                "The model cannot be changed in this way:\n" + "\n".join(problem.message for problem in change.refusals),
                problems=change.refusals,
            )
        columns = await model_columns(owner)
        _refuse_other_types(columns, column_types(model))
        await _refuse_second_chain(owner, old, model)
        compiled = compile_model(model, columns=columns)
        await owner.execute(_queries.patience)
        before = compile_model(old, columns=columns)
        other = _made_otherwise(before, compiled)
        removed = _named(change, "removed") | other
        added = _named(change, "added") | other | missing
        dropped = await _drop(owner, before, removed - missing)
        for statement in compiled.activity.ddl:
            await owner.execute(statement)
        filling = []
        for part in compiled.derived():
            if part.table not in added:
                continue
            for statement in part.ddl:
                await owner.execute(statement)
            for table in _tables(part):
                for statement in guard(table):
                    await owner.execute(statement)
            filling.append(part.table.removeprefix("milepost."))
        await owner.execute(_queries.admit_readers)
        for statement in compiled.indexes:
            await owner.execute(statement)
        # Activities that carried a field before it was declared get its column filled before anything is counted by it.
        filling += [f"column {name}" for name in compiled.activity.take_over if name not in columns]
        if model.chain and not old.chain:
            filling.append("chain")
        elif old.chain and not model.chain:
            await owner.execute(_queries.forget_filling, {"name": "chain"})
        if version:
            await owner.execute(_queries.fill, {"names": filling})
        await owner.execute(_queries.insert, {"version": version + 1, "toml": toml, "fingerprint": model_fingerprint(model)})
    new_columns = sorted(set(column_types(model)) - set(columns))
    _log.info("model applied", version=version + 1, filling=filling, dropped=dropped, columns=new_columns)
    return Applied(version=version + 1, changed=True, filling=tuple(filling) if version else (), dropped=tuple(dropped))


async def _missing(conn: Connection, compiled: CompiledModel) -> frozenset[str]:
    """The derived tables, and the indexes of reports, that the model should have and the database has not."""
    names = [part.table for part in compiled.derived()]
    names += [f"milepost.{statement.split()[5]}" for statement in compiled.indexes]
    rows = await (await conn.execute(_queries.missing, {"tables": names})).fetchall()
    return frozenset(row[0] for row in rows)


def _made_otherwise(before: CompiledModel, now: CompiledModel) -> frozenset[str]:
    """Tables that no section of derived things names: those of what reports look up, and of milestones, that come, go or are made
    otherwise.
    """
    was, will_be = (
        {part.table: part.ddl for part in compiled.latest if part.table.startswith("milepost.about_")}
        | {part.table: part.definition for part in compiled.milestones}
        for compiled in (before, now)
    )
    return frozenset(table for table in was.keys() | will_be.keys() if was.get(table) != will_be.get(table))


def _tables(part: CompiledRollup | CompiledLatest | CompiledPair | CompiledBoard | CompiledMilestones) -> list[str]:
    """A derived thing's table and those beside it, from its own DDL."""
    return [statement.split()[2] for statement in part.ddl if statement.startswith("CREATE TABLE ")]


def _refuse_other_types(columns: dict[str, ActivityColumn], wanted: dict[str, ActivityColumn]) -> None:
    """A name that once was a column stays what it was, also where no current verb declares it."""
    for name, column in wanted.items():
        stored = columns.get(name)
        if stored is not None and stored.declared != column.declared:
            what = f"{'measures' if name.startswith('m_') else 'data'}.{name[2:]}"
            raise Conflict(
                f"{what} was stored as {stored.declared} by an earlier model and cannot become {column.declared}: give it another name."
            )


async def _refuse_second_chain(owner: Connection, old: Model, model: Model) -> None:
    """A chain that ended is not taken up again: what became of activities meanwhile is in no link of it."""
    if not model.chain or old.chain:
        return
    row = await (await owner.execute(_queries.chained)).fetchone()
    if row is not None:
        raise Conflict(
            "There are chains that ended when a model without `chain` was applied, and they cannot go on: keep the heads and let the model"
            f" be without, or have them begin anew after `milepost chain drop --tenant {row[0]}`."
        )


def _named(change: ModelChange, what: Literal["added", "removed"]) -> frozenset[str]:
    """The derived tables that come or go; one whose definition changed does both."""
    sections = (
        ("rollup", change.rollups),
        ("latest", change.latest),
        ("pairs", change.pairs),
        ("given", change.pending),
        ("done", change.pending),
        ("board", change.boards),
    )
    return frozenset(f"milepost.{kind}_{name}" for kind, section in sections for name in getattr(section, what))


async def _drop(owner: Connection, old: CompiledModel, removed: frozenset[str]) -> list[str]:
    dropped = []
    for part in old.derived():
        if part.table in removed:
            if isinstance(part, CompiledMilestones):  # nothing is left of what stood
                await owner.execute(part.take_away)
            for table in reversed(_tables(part)):
                await owner.execute(f"DROP TABLE IF EXISTS {table}")
            name = {"name": part.table.removeprefix("milepost.")}
            await owner.execute(_queries.forget_filling, name)
            await owner.execute(_queries.forget_residue, name)
            dropped.append(part.table)
    return dropped
