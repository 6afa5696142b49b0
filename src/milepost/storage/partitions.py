"""Partitions of the activity table: by time, of varying width, made before they are needed.

Ids sort by time, so a partition is a range of ids: one for all before 1970, one for each year that is long over (it began
24 months ago or earlier), one for each month since. Where months of a year are there already, its missing ones are made as
months, so partitions never overlap. There is no DEFAULT partition: it would have to be scanned at every ATTACH.

`ensure_partitions` makes what a load is going to need, `ahead` what the coming months will. Both are safe to run in several
processes at once, and again. Making one takes a lock that neither readers nor writers notice; it is waited for briefly,
several times, and then `Timeout` is raised. `Conflict`: a table of that name is there and is not a partition.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from milepost.activity import SMALLEST_ID, id_from, occurred_at_of
from milepost.errors import Conflict, DatabaseError
from milepost.postgres import Connection, load_queries, translated
from milepost.schema.patience import patiently
from milepost.telemetry import count

__all__ = ["Partition", "ahead", "ensure_partitions", "list_partitions"]

EPOCH_YEAR = 1970
MONTHLY_MONTHS = 24  # months are counted as year * 12 + month - 1
AHEAD_MONTHS_MAX = 1200  # what lies further ahead is a mistake, and would be made month by month
BOUNDS = re.compile(r"FOR VALUES FROM \('([0-9a-f-]{36})'\) TO \('([0-9a-f-]{36})'\)")

queries = load_queries(__package__, "partitions.sql")


@dataclass(frozen=True, kw_only=True)
class Partition:
    """low is in it, high is not."""

    name: str
    low: UUID
    high: UUID


async def ensure_partitions(owner: Connection, ids_low: UUID, ids_high: UUID, now: datetime) -> list[str]:
    """Makes the partitions that are missing for ids from `ids_low` to `ids_high`, both included; answers with their names.

    `now` decides which years are long over.
    """
    made = []
    for wanted in _missing(await list_partitions(owner), ids_low, ids_high, now):
        made += await _make(owner, wanted)
    return made


async def ahead(owner: Connection, now: datetime, months: int = 3) -> list[str]:
    """Makes what is missing of this month's partition and those of the `months` after it; answers with their names."""
    first = _month_of(now)
    return await ensure_partitions(owner, _month_start(first), _before(_month_start(first + months + 1)), now)


async def list_partitions(conn: Connection) -> list[Partition]:
    """The partitions there are, in the order of time."""
    with translated(conn):
        rows = await (await conn.execute(queries.list_partitions)).fetchall()
    partitions = []
    for name, bounds in rows:
        match = BOUNDS.fullmatch(bounds)
        if match is None:
            raise Conflict(f"Partition {name} of the activity table is not one of milepost's: {bounds}.", table=name)
        partitions.append(Partition(name=name, low=UUID(match[1]), high=UUID(match[2])))
    return sorted(partitions, key=lambda partition: partition.low)


async def _make(owner: Connection, wanted: Partition) -> list[str]:
    async def work() -> list[str]:
        await owner.execute(queries.lock_activity)
        # Another process may have made it, or a wider or narrower one, since we looked.
        if any(one.low < wanted.high and wanted.low < one.high for one in await list_partitions(owner)):
            return []
        given = {"name": wanted.name, "low": wanted.low, "high": wanted.high}
        statements = await (await owner.execute(queries.statements, given)).fetchone()
        assert statements is not None
        for statement in statements:
            await owner.execute(statement.encode())
        return [wanted.name]

    try:
        made = await patiently(owner, work)
    except DatabaseError as error:
        if error.facts.get("sqlstate") != "42P07":  # duplicate_table
            raise
        raise Conflict(
            f"There is a table milepost.{wanted.name} that is not a partition of milepost.activity: attach it or rename it.",
            table=wanted.name,
        ) from error
    count("partitions_made", len(made))
    return made


def _missing(there: list[Partition], ids_low: UUID, ids_high: UUID, now: datetime) -> Iterator[Partition]:
    for cell in _cells(ids_low, ids_high, now):
        overlapping = [one for one in there if one.low < cell.high and cell.low < one.high]
        if not overlapping:
            yield cell
        elif cell.name.count("_") == 1 and not any(one.low <= cell.low and cell.high <= one.high for one in overlapping):
            # A year of which some months were made when it was young.
            year = int(cell.name.rpartition("_")[2])
            months = (_month(number) for number in range(year * 12, year * 12 + 12))
            for month in months:
                wanted = month.low <= ids_high and ids_low < month.high
                if wanted and not any(one.low < month.high and month.low < one.high for one in there):
                    yield month


def _cells(ids_low: UUID, ids_high: UUID, now: datetime) -> Iterator[Partition]:
    """The partitions that hold `ids_low` to `ids_high`, as if none were there yet."""
    last_yearly = (_month_of(now) - MONTHLY_MONTHS) // 12
    epoch = Partition(name="activity_before_1970", low=SMALLEST_ID, high=_month_start(EPOCH_YEAR * 12))
    if ids_low < epoch.high:
        yield epoch
    if ids_high < epoch.high:
        return
    month = _month_with(max(ids_low, epoch.high))
    last = _month_with(ids_high)
    if last > _month_of(now) + AHEAD_MONTHS_MAX:
        raise ValueError(f"ids_high {ids_high} lies more than {AHEAD_MONTHS_MAX} months after {now}")
    while month <= last:
        year = month // 12
        if year <= last_yearly:
            yield Partition(name=f"activity_{year}", low=_month_start(year * 12), high=_month_start(year * 12 + 12))
            month = year * 12 + 12
        else:
            yield _month(month)
            month += 1


def _month(number: int) -> Partition:
    name = f"activity_{number // 12}_{number % 12 + 1:02}"
    return Partition(name=name, low=_month_start(number), high=_month_start(number + 1))


def _month_of(moment: datetime) -> int:
    moment = moment.astimezone(UTC)
    return moment.year * 12 + moment.month - 1


def _month_with(id: UUID) -> int:
    """The month whose partition holds an id, or any other bound: its time alone would put a bound's predecessor too late."""
    month = _month_of(occurred_at_of(id))
    return month - 1 if id < _month_start(month) else month


def _month_start(number: int) -> UUID:
    return id_from(datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC))


def _before(bound: UUID) -> UUID:
    return UUID(int=bound.int - 1)
