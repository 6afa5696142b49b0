"""Partitions on each server: which are made, that they never overlap, and that making them disturbs nobody."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest

from milepost.activity import SMALLEST_ID, activity_id, id_from, microseconds
from milepost.errors import Conflict, DatabaseError, Timeout
from milepost.postgres import Connection, Database
from milepost.schema.patience import patiently
from milepost.storage import partitions
from milepost.storage.partitions import ahead, ensure_partitions, list_partitions

pytest_plugins = ["fix_schema"]

NOW = datetime(2026, 11, 20, 8, tzinfo=UTC)


def at(year: int, month: int = 1, day: int = 1) -> UUID:
    return id_from(datetime(year, month, day, tzinfo=UTC))


async def insert(conn: Connection, moment: datetime) -> str:
    """Writes an activity of that moment, and answers with the partition it lies in."""
    given = [UUID(int=activity_id(microseconds(moment), 7)), moment]
    row = await (
        await conn.execute(
            b"""INSERT INTO milepost.activity (tenant_id, id, occurred_at, received_at, actor_id, audience, verb)
                VALUES (1, %s, %s, now(), 1, 0, 'run') RETURNING tableoid::regclass::text""",
            given,
        )
    ).fetchone()
    assert row is not None
    return str(row[0]).removeprefix("milepost.")


async def assert_apart(conn: Connection) -> None:
    """No gap can be told from outside, but an overlap can."""
    there = await list_partitions(conn)
    for one, next_one in pairwise(there):
        assert one.low < one.high <= next_one.low


async def test_widths(owner: Connection) -> None:
    """One before 1970, years that began 24 months ago or earlier, months since; made once."""
    made = await ensure_partitions(owner, SMALLEST_ID, at(2025, 3, 15), NOW)
    years = [f"activity_{year}" for year in range(1970, 2025)]
    assert made == ["activity_before_1970", *years, "activity_2025_01", "activity_2025_02", "activity_2025_03"]
    assert await ensure_partitions(owner, SMALLEST_ID, at(2025, 3, 15), NOW) == []
    assert [one.name for one in await list_partitions(owner)] == made
    await assert_apart(owner)


@pytest.mark.parametrize(
    ("low", "high", "made"),
    [
        (at(1, 1, 1), at(1969, 12, 31), ["activity_before_1970"]),
        (at(1970), at(1970), ["activity_1970"]),
        (at(2024, 12, 31), at(2025, 1, 1), ["activity_2024", "activity_2025_01"]),
        (at(2026, 11, 20), at(2026, 11, 20), ["activity_2026_11"]),
        (at(2025, 12, 31), at(2026, 1, 1), ["activity_2025_12", "activity_2026_01"]),
        (at(2025, 12, 31), UUID(int=at(2026, 1, 1).int - 1), ["activity_2025_12"]),
    ],
)
async def test_only_what_is_needed(owner: Connection, low: UUID, high: UUID, made: list[str]) -> None:
    """The range's own partitions and no others."""
    assert await ensure_partitions(owner, low, high, NOW) == made


async def test_boundaries(owner: Connection) -> None:
    """The last microsecond of a month lies in it, the first of the next one does not."""
    await ensure_partitions(owner, at(1969), at(2026, 12, 31), NOW)
    edge = timedelta(microseconds=1)
    for moment, name in (
        (datetime(1, 1, 1, tzinfo=UTC), "activity_before_1970"),
        (datetime(1970, 1, 1, tzinfo=UTC) - edge, "activity_before_1970"),
        (datetime(1970, 1, 1, tzinfo=UTC), "activity_1970"),
        (datetime(2025, 1, 1, tzinfo=UTC) - edge, "activity_2024"),
        (datetime(2025, 1, 1, tzinfo=UTC), "activity_2025_01"),
        (datetime(2025, 3, 1, tzinfo=UTC) - edge, "activity_2025_02"),
        (datetime(2025, 3, 1, tzinfo=UTC), "activity_2025_03"),
        (datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), "activity_2026_12"),
    ):
        assert await insert(owner, moment) == name
    with pytest.raises(Exception, match="no partition"):
        await insert(owner, datetime(2027, 1, 1, tzinfo=UTC))


async def test_a_year_that_was_young(owner: Connection) -> None:
    """Months made when their year was young stay; what is missing of it later is made as months too, and only as needed."""
    young = datetime(2025, 2, 10, tzinfo=UTC)
    assert await ahead(owner, young, months=1) == ["activity_2025_02", "activity_2025_03"]
    late = datetime(2028, 6, 1, tzinfo=UTC)
    assert await ensure_partitions(owner, at(2024, 5), at(2025, 4, 9), late) == [
        "activity_2024",
        "activity_2025_01",
        "activity_2025_04",
    ]
    await assert_apart(owner)


async def test_a_clock_that_went_back(owner: Connection) -> None:
    """A year that is one partition is not cut into months."""
    assert await ensure_partitions(owner, at(2025), at(2025), datetime(2028, 1, 1, tzinfo=UTC)) == ["activity_2025"]
    assert await ensure_partitions(owner, at(2025, 6), at(2026, 1, 1), NOW) == ["activity_2026_01"]
    await assert_apart(owner)


async def test_ahead(owner: Connection) -> None:
    """This month and the three after it, across the end of the year."""
    names = ["activity_2026_11", "activity_2026_12", "activity_2027_01", "activity_2027_02"]
    assert await ahead(owner, NOW) == names
    assert await ahead(owner, NOW + timedelta(days=31)) == ["activity_2027_03"]
    assert await ahead(owner, NOW) == []


async def test_like_the_table(owner: Connection) -> None:
    """A partition has the table's indexes, attached, no constraint left over from its making, and takes new rows of the service."""
    await ensure_partitions(owner, at(2026, 1), at(2026, 1), NOW)
    rows = await owner.execute(
        b"""SELECT i.inhparent::regclass::text FROM pg_index x JOIN pg_inherits i ON i.inhrelid = x.indexrelid
            WHERE x.indrelid = 'milepost.activity_2026_01'::regclass AND x.indisvalid ORDER BY 1"""
    )
    attached = [row[0] for row in await rows.fetchall()]
    rows = await owner.execute(
        b"SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'milepost.activity'::regclass ORDER BY 1"
    )
    assert attached == [row[0] for row in await rows.fetchall()]
    assert len(attached) >= 4
    row = await (
        await owner.execute(
            b"""SELECT (SELECT array_agg(privilege_type) FROM aclexplode(relacl) WHERE grantee <> relowner),
                    (SELECT count(*) FROM pg_constraint WHERE conrelid = c.oid AND contype = 'c')
                FROM pg_class c WHERE oid = 'milepost.activity_2026_01'::regclass"""
        )
    ).fetchone()
    assert row == (["INSERT"], 0)


async def test_reached_through_the_table_only(any_db: Database, owner: Connection) -> None:
    """The service reads through the table, where the policy holds; from the partition itself it can read nothing."""
    await ensure_partitions(owner, at(2026, 1), at(2026, 1), NOW)
    async with any_db.transaction("write", tenant_id=1) as conn:
        assert await insert(conn, datetime(2026, 1, 5, tzinfo=UTC)) == "activity_2026_01"
    async with any_db.transaction("point", tenant_id=2) as conn:
        row = await (await conn.execute(b"SELECT count(*) FROM milepost.activity")).fetchone()
        assert row == (0,)
    with pytest.raises(DatabaseError, match="permission denied"):
        async with any_db.transaction("point", tenant_id=1) as conn:
            await conn.execute(b"SELECT FROM milepost.activity_2026_01")


async def test_two_makers(any_url: str) -> None:
    """Two processes that need the same partitions at the same moment make each of them once."""
    async with await Database.connect_owner(any_url) as one, await Database.connect_owner(any_url) as two:
        made = await asyncio.gather(
            ensure_partitions(one, at(2022), at(2026, 3), NOW), ensure_partitions(two, at(2023), at(2026, 6), NOW)
        )
        there = [partition.name for partition in await list_partitions(one)]
        await assert_apart(one)
    assert sorted(made[0] + made[1]) == there
    assert len(there) == len(set(there)) == 3 + 12 + 6


async def test_readers_and_writers_go_on(owner: Connection, any_url: str) -> None:
    """Old transactions that have read and written the table neither wait for a new partition nor hold it up."""
    await ensure_partitions(owner, at(2026, 1), at(2026, 1), NOW)
    async with await Database.connect_owner(any_url) as reader, await Database.connect_owner(any_url) as writer:
        async with reader.transaction(), writer.transaction():
            await reader.execute(b"SELECT count(*) FROM milepost.activity")
            await insert(writer, datetime(2026, 1, 2, tzinfo=UTC))
            assert await ensure_partitions(owner, at(2026, 2), at(2026, 2), NOW) == ["activity_2026_02"]
            await insert(writer, datetime(2026, 1, 3, tzinfo=UTC))
            await reader.execute(b"SELECT count(*) FROM milepost.activity")


async def test_waits_for_other_ddl(owner: Connection, any_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind other DDL a maker gives up its place in the queue again and again, then raises; later it succeeds."""

    async def hurried(conn: Connection, work: object) -> object:
        return await patiently(conn, work, lock_timeout_s=0.01, attempts=2)  # type: ignore[arg-type]

    monkeypatch.setattr(partitions, "patiently", hurried)
    async with await Database.connect_owner(any_url) as other:
        async with other.transaction():
            await other.execute(b"LOCK TABLE milepost.activity IN SHARE UPDATE EXCLUSIVE MODE")
            with pytest.raises(Timeout):
                await ensure_partitions(owner, at(2026, 2), at(2026, 2), NOW)
    assert await ensure_partitions(owner, at(2026, 2), at(2026, 2), NOW) == ["activity_2026_02"]


async def test_a_table_in_the_way(owner: Connection) -> None:
    """A table of a partition's name that is none is left alone and named."""
    await owner.execute(b"CREATE TABLE milepost.activity_2026_02 (id integer)")
    with pytest.raises(Conflict, match=r"milepost\.activity_2026_02 that is not a partition"):
        await ensure_partitions(owner, at(2026, 2), at(2026, 2), NOW)


async def test_far_ahead_is_refused(owner: Connection) -> None:
    """A bound centuries ahead is a mistake, not a wish for thousands of partitions."""
    with pytest.raises(ValueError, match="1200 months"):
        await ensure_partitions(owner, at(2026), at(3000), NOW)
    assert await list_partitions(owner) == []
