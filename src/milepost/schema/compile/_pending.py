"""Pending lists: what a group was given, and what an actor has done. Both are latest tables, and what is pending is one less the other.

`given_NAME` has the newest giving activity of each group and object, in the order of their due dates; `done_NAME` the newest one
that ends it, of each actor and object. So an assignment to a class of thirty writes one row and not thirty, and a student who
joins later, leaves, or changes roles changes nothing here: who has it is asked when it is read
(docs/decisions/2026-11-28-pending-is-given-less-done.md).
"""

from __future__ import annotations

from milepost.model import Latest, Pending
from milepost.schema.compile._activity import ActivityColumn
from milepost.schema.compile._latest import CompiledLatest, compile_latest

__all__ = ["GIVEN", "compile_pending", "due_of"]

GIVEN = ("group", "object")
DONE = ("actor", "object")


def compile_pending(pending: Pending, types: dict[str, ActivityColumn]) -> tuple[CompiledLatest, CompiledLatest]:
    """types: of each m_ and d_ column."""
    field = pending.due_field
    given = Latest(name=pending.name, of=(pending.given,), by=GIVEN, values=(f"data.{field}",) if field else ())
    done = Latest(name=pending.name, of=pending.done, by=DONE, values=())
    by_due = f"group_id, {due_of(pending)}, id" if field else "group_id, id"
    return compile_latest(given, types, kind="given", indexes=(by_due,)), compile_latest(done, types, kind="done")


def due_of(pending: Pending, alias: str = "") -> str:
    """When a given row is due, as SQL: what has no due date comes last."""
    if pending.due_field is None:
        return "('infinity'::timestamptz)"
    return f"(coalesce({alias}d_{pending.due_field}, 'infinity'::timestamptz))"
