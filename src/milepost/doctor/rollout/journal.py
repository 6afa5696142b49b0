"""The journal of rollouts, in the database that is changed: `milepost_doctor.rollout` and `rollout_operation`.

It is made when a rollout begins, and never by looking. What an operation remembers is written in the transaction that makes it true, or
before a statement that can have no transaction, so that whoever comes after a kill knows what may be there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from milepost.postgres import Connection, Jsonb, class_row, load_queries

__all__ = ["Entry", "Journal", "OperationState", "RolloutState", "Standing", "standing"]

RolloutState: TypeAlias = Literal["starting", "held", "completing", "completed", "rolling_back", "rolled_back"]
OperationState: TypeAlias = Literal["pending", "starting", "started", "completing", "completed", "rolling_back", "rolled_back"]

queries = load_queries(__package__, "journal.sql")
MAKING = (queries.make_schema, queries.make_rollout, queries.make_one_at_a_time, queries.make_operation)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One operation of a change. step: the last that it passed. memory: what it keeps for going on and for going back."""

    position: int
    operation: Mapping[str, Any]
    state: OperationState
    step: str | None
    memory: dict[str, Any]
    changed_at: datetime


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A change, and how far it is. digest: of its operations."""

    rollout_id: int
    name: str
    digest: str
    state: RolloutState
    error: str | None
    begun_at: datetime
    changed_at: datetime
    operations: tuple[Entry, ...] = ()

    @property
    def ended(self) -> bool:
        return self.state in ("completed", "rolled_back")

    @property
    def untouched(self) -> bool:
        """Begun, and nothing was done yet."""
        return self.state == "starting" and all(entry.state == "pending" for entry in self.operations)


async def standing(connection: Connection, digest: str | None = None) -> Standing | None:
    """The change under way, else the last; None if there never was one. Reads only. digest: only that content's."""
    row = await (await connection.execute(queries.is_there)).fetchone()
    if row is None or not row[0]:
        return None
    found = await (
        await connection.cursor(row_factory=class_row(Standing)).execute(queries.newest, {"digest": digest})
    ).fetchone()
    if found is None:
        return None
    entries = connection.cursor(row_factory=class_row(Entry))
    listed = await (await entries.execute(queries.operations, {"rollout_id": found.rollout_id})).fetchall()
    return Standing(**{**vars(found), "operations": tuple(listed)})


class Journal:
    """Writes for one change, on the connection that acts."""

    def __init__(self, connection: Connection, rollout_id: int) -> None:
        self._connection = connection
        self.rollout_id = rollout_id

    @classmethod
    async def begin(cls, connection: Connection, name: str, digest: str, operations: Sequence[Mapping[str, Any]]) -> Journal:
        """A new change, all of it pending."""
        given = {"name": name, "digest": digest, "operations": Jsonb(list(operations))}
        row = await (await connection.execute(queries.begin, given)).fetchone()
        assert row is not None
        return cls(connection, row[0])

    @staticmethod
    async def prepare(connection: Connection) -> None:
        """Makes the journal where there is none."""
        for statement in MAKING:
            await connection.execute(statement)

    async def set(self, state: RolloutState, error: str | None = None) -> None:
        await self._connection.execute(queries.set_rollout, {"rollout_id": self.rollout_id, "state": state, "error": error})

    async def set_operation(self, position: int, state: OperationState) -> None:
        given = {"rollout_id": self.rollout_id, "position": position, "state": state}
        await self._connection.execute(queries.set_operation, given)

    async def remember(self, position: int, step: str | None, memory: Mapping[str, Any]) -> None:
        given = {"rollout_id": self.rollout_id, "position": position, "step": step, "memory": Jsonb(dict(memory))}
        await self._connection.execute(queries.remember, given)
