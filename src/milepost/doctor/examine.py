"""Examining a database: every check over one snapshot of its catalogue and one copy of its counters.

All queries run in one read-only transaction at REPEATABLE READ with `stats_fetch_consistency` = snapshot, so that two checks never
contradict each other, and take no lock above ACCESS SHARE. A check that its server refuses, or that takes too long, is left out with the
reason in the report; the others go on. What ends the connection ends the examination: `DatabaseUnavailable`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from milepost.doctor.checks import CHECKS
from milepost.doctor.checks.check import Check, Seen
from milepost.doctor.finding import SEVERITIES, Finding
from milepost.doctor.machine import Machine, find_machine
from milepost.doctor.score import Score, score_of
from milepost.doctor.target import Target
from milepost.errors import DatabaseUnavailable, InvalidInput, MilepostError
from milepost.postgres import Connection, dict_row, load_queries, translated

__all__ = ["Examination", "Ran", "examine", "worst_first"]

queries = load_queries(__package__, "examine.sql")

CHECK_MS_MAX = 10_000


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What came of one check. left_out: why it could not run; empty if it did."""

    check: str
    seconds: float
    findings: int
    left_out: str = ""


@dataclass(frozen=True, kw_only=True)
class Examination:
    """findings: worst first. ran: every check, in order. statements: counters by id, for the next look; empty without them."""

    at: datetime
    target: Target
    machine: Machine
    facts: Mapping[str, Any]
    findings: tuple[Finding, ...]
    ran: tuple[Ran, ...]
    seconds: float
    statements: Mapping[str, Mapping[str, float]]

    @property
    def score(self) -> Score:
        return score_of(self.findings)


async def examine(
    target: Target,
    *,
    checks: Sequence[Check] = CHECKS,
    limits: Mapping[str, float] | None = None,
    machine: Machine | None = None,
    since: Mapping[str, Mapping[str, float]] | None = None,
) -> Examination:
    """limits: `check.limit` → value, over the defaults. machine: what somebody knows better than can be found out.
    since: `statements` of an earlier examination, against which statements are compared.

    Raises `InvalidInput` for a limit that there is not.
    """
    began = time.monotonic()
    chosen = _limits(checks, limits or {})
    found: list[Finding] = []
    ran: list[Ran] = []
    async with target.reading(statement_timeout_ms=CHECK_MS_MAX) as connection, connection.transaction():
        await connection.execute(queries.one_snapshot)
        await connection.execute(queries.one_copy)
        facts = await _row(connection, queries.facts)
        facts["stats_age_s"] = min(facts["stats_age_s"], max(1.0, await _age_s(connection)))
        machine = machine or await find_machine(target, connection)
        seen = Seen(check="", target=target, limits={}, facts=facts, machine=machine, since=since or {})
        for check in checks:
            one, outcome = await _run(connection, check, replace(seen, check=check.name, limits=chosen[check.name]))
            found += one
            ran.append(outcome)
        statements: Mapping[str, Mapping[str, float]] = {}
        if "pg_stat_statements" in target.extensions:
            statements = (await _row(connection, queries.statements))["statements"] or {}
    return Examination(
        at=facts["now"],
        target=target,
        machine=machine,
        facts=facts,
        findings=worst_first(found),
        ran=tuple(ran),
        seconds=time.monotonic() - began,
        statements=statements,
    )


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda one: SEVERITIES.index(one.severity)))


async def _run(connection: Connection, check: Check, seen: Seen) -> tuple[list[Finding], Ran]:
    began = time.monotonic()
    if why := check.left_out(seen.target):
        return [], Ran(check=check.name, seconds=0.0, findings=0, left_out=why)
    try:
        with translated(connection):
            async with connection.transaction():
                cursor = connection.cursor(row_factory=dict_row)
                await cursor.execute(check.query_for(seen.target), {**seen.facts, **seen.limits})
                rows = await cursor.fetchall()
    except DatabaseUnavailable:
        raise
    except MilepostError as error:
        return [], Ran(check=check.name, seconds=time.monotonic() - began, findings=0, left_out=str(error))
    found = list(check.judge(rows, seen))
    return found, Ran(check=check.name, seconds=time.monotonic() - began, findings=len(found))


async def _age_s(connection: Connection) -> float:
    """Of the database; infinite where that cannot be known. Counters are no older, and the cluster's say years for one of today."""
    if not (await _row(connection, queries.may_ask_age))["may"]:
        return math.inf
    try:
        with translated(connection):
            async with connection.transaction():
                age_s = (await _row(connection, queries.age))["age_s"]
    except DatabaseUnavailable:
        raise
    except MilepostError:
        return math.inf
    return math.inf if age_s is None else float(age_s)


async def _row(connection: Connection, query: Any) -> dict[str, Any]:
    row = await (await connection.cursor(row_factory=dict_row).execute(query)).fetchone()
    assert row is not None
    return row


def _limits(checks: Sequence[Check], given: Mapping[str, float]) -> dict[str, dict[str, float]]:
    chosen = {check.name: {name: limit.value for name, limit in check.limits.items()} for check in checks}
    known = {f"{check}.{name}" for check, limits in chosen.items() for name in limits}
    for name, value in given.items():
        check, _, limit = name.partition(".")
        if name not in known:
            near = get_close_matches(name, known, n=1)
            raise InvalidInput(f"There is no limit {name}.{f' Did you mean {near[0]}?' if near else ''}")
        chosen[check][limit] = value
    return chosen
