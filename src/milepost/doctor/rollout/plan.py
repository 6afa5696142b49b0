"""What a change would do: each operation validated against the database as it is, in a session that cannot write."""

from __future__ import annotations

from typing import Any

from milepost.doctor.rollout.file import Change
from milepost.doctor.rollout.journal import Journal
from milepost.doctor.rollout.waits import Waits
from milepost.doctor.rollout.work import Work
from milepost.doctor.target import Target

__all__ = ["planned"]


async def planned(target: Target, change: Change) -> list[dict[str, Any]]:
    """For each operation `operation`, `does`, `locks`, `final` (why it cannot be taken back once complete; empty if it can).

    Raises what validation raises. An operation on what an earlier one makes cannot be validated before that is there; a column that one
    adds may be named by those after it.
    """
    found = []
    coming: dict[int, list[str]] = {}
    async with target.reading() as connection:
        for position, operation in enumerate(change.operations, start=1):
            work = Work(connection, target, Waits(), Journal(connection, 0), position, {}, lambda _: None, coming)
            await operation.validate(work)
            if operation.adds is not None:
                table, column = operation.adds
                coming.setdefault((await work.table(table)).oid, []).append(column)
            does, locks = operation.describe(), operation.locks
            found.append({"operation": operation.kind, "does": does, "locks": locks, "final": operation.final})
    return found
