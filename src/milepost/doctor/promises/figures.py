"""Figures of what was promised, as they are now: times of statements, bytes of relations.

Statements are run in a session that cannot write, each a few times in turn with the others, within a time limit. One that cannot be run (its
table is gone, it takes too long) is said, and has no figure: a measurement is no reason for a rollout to end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from milepost.doctor.advisor.timing import times
from milepost.doctor.advisor.workload import Statement
from milepost.doctor.promises.promise import Promise
from milepost.doctor.target import Target
from milepost.errors import DatabaseUnavailable, MilepostError
from milepost.postgres import load_queries, translated

__all__ = ["Figures", "Say", "figures"]

queries = load_queries(__package__, "promises.sql")

TIMEOUT_MS: Final = 10_000  # of one run
Say: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """By name: milliseconds of statements, bytes of relations that are there; and the indexes that each statement's plan uses."""

    values: dict[str, float] = field(default_factory=dict)
    used: dict[str, frozenset[str]] = field(default_factory=dict)


async def figures(target: Target, promises: Iterable[Promise], say: Say) -> Figures:
    found: dict[str, float] = {}
    runnable: dict[str, Statement] = {}
    async with target.reading(statement_timeout_ms=TIMEOUT_MS) as reader:
        for one in promises:
            if one.sql is None:
                row = await (await reader.execute(queries.bytes, {"name": one.name})).fetchone()
                if row is not None and row[0] is not None:
                    found[one.name] = row[0]
                continue
            try:
                statement = Statement(name=one.name, sql=one.sql)
                with translated(reader):
                    await times(reader, [statement], runs=1)
                runnable[one.name] = statement
            except DatabaseUnavailable:
                raise
            except MilepostError as error:
                say(f"{one.name} is not measured: {error}")
    # One that was just within the time may need a little more.
    async with target.reading(statement_timeout_ms=2 * TIMEOUT_MS) as reader:
        medians, used = await times(reader, list(runnable.values()))
    return Figures(values=found | medians, used=used)
