"""Builds seeded faults (`doctor_faults.py`) in a database, or their healthy twins."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Literal

import pytest

from doctor_faults import Fault
from milepost.doctor import Finding
from milepost.errors import MilepostError
from milepost.postgres import Connection, Database, translated

__all__ = ["about", "seeded"]

# What builds a fault is no statement of the application; on a busy machine it would be a slow one.
UNCOUNTED = b"SET pg_stat_statements.track = 'none'"


@asynccontextmanager
async def seeded(url: str, faults: Sequence[Fault], kind: Literal["faulty", "healthy"]) -> AsyncIterator[None]:
    """Autovacuum skips a table that it cannot lock, so those that it must not touch are locked against it until the end."""
    async with await Database.connect_owner(url) as connection, await Database.connect_owner(url) as holder:
        await connection.execute(b"CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        await connection.execute(UNCOUNTED)
        await holder.execute(b"BEGIN")
        for fault in faults:
            if fault.held:
                await _seed(connection, replace(fault, both="", faulty="", healthy=fault.both), "healthy")
                await holder.execute(f"LOCK TABLE {fault.schema}.t IN SHARE UPDATE EXCLUSIVE MODE".encode())
                await _seed(connection, replace(fault, both=""), kind)
            else:
                await _seed(connection, fault, kind)
        await connection.execute(b"RESET search_path")
        await connection.execute(b"SELECT pg_stat_force_next_flush()")
        await connection.execute(b"SELECT 1")
        yield


def about(finding: Finding, fault: Fault) -> bool:
    """A statement is known by its id; its text names the schema."""
    return finding.object.startswith(fault.about or f"{fault.schema}.") or f"{fault.schema}." in finding.detail


def _statements(text: str) -> list[str]:
    """Without splitting bodies in dollar quotes."""
    parts = text.split("$$")
    cut = ["\0".join(part.split(";")) if place % 2 == 0 else part for place, part in enumerate(parts)]
    return [one.strip() for one in "$$".join(cut).split("\0") if one.strip()]


async def _seed(connection: Connection, fault: Fault, kind: Literal["faulty", "healthy"]) -> None:
    await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {fault.schema}".encode())
    await connection.execute(f"SET search_path = {fault.schema}, public".encode())
    for statement in _statements(fault.both + (fault.faulty if kind == "faulty" else fault.healthy)):
        mark, _, marked = statement.partition("\n")
        if mark == "-- fails":
            with suppress(MilepostError), translated(connection):
                await connection.execute(marked.encode())
                pytest.fail(f"{fault.name}: {statement} should have failed")
            continue
        if mark.startswith("-- times "):
            await connection.execute(b"RESET pg_stat_statements.track")
            for _ in range(int(mark.removeprefix("-- times "))):
                await connection.execute(marked.encode())
            await connection.execute(UNCOUNTED)
            continue
        await connection.execute(statement.encode())
