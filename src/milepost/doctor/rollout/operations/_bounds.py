"""Bounds of partitions by range, as files write them: between two of them lies one partition."""

from __future__ import annotations

import re
from typing import TypeAlias

from milepost.doctor.rollout.names import Table, fitted
from milepost.postgres import sql

__all__ = ["Bound", "listed", "literals", "partition_name", "said"]

Value: TypeAlias = str | int | float
Bound: TypeAlias = Value | list[Value]  # a list for several columns
WORDS = ("MINVALUE", "MAXVALUE")


def listed(bound: Bound) -> list[Value]:
    return bound if isinstance(bound, list) else [bound]


def said(bound: Bound) -> str:
    return ", ".join(map(str, listed(bound)))


def literals(bound: Bound) -> sql.Composed:
    """Values in quotes, which PostgreSQL reads as the key's type; or its two words."""
    return sql.SQL(", ").join(sql.SQL(one) if one in WORDS else sql.Literal(str(one)) for one in listed(bound))


def partition_name(table: Table, lower: Bound) -> str:
    return fitted(f"{table.name}_from_{re.sub(r'[^0-9A-Za-z]+', '_', said(lower)).strip('_').lower()}")
