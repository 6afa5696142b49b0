"""The cure that most rules about rows have: an index, as a statement and as an operation of a rollout."""

from __future__ import annotations

from milepost.doctor.plans._tables import Table
from milepost.doctor.plans._view import index_name

__all__ = ["create", "operation"]


def create(table: Table, parts: list[str], *, expression: bool = False) -> str:
    listed = ", ".join(f"({one})" if expression else one for one in parts)
    return f"CREATE INDEX CONCURRENTLY {index_name(table, parts)} ON {table.name} ({listed})"


def operation(table: Table, parts: list[str]) -> dict[str, object]:
    return {"operation": "create_index", "table": table.name, "columns": parts, "name": index_name(table, parts)}
