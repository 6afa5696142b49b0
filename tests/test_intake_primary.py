"""PostgreSQL as the primary: what a spill hands over is in the queue once, in its order, however often it is handed over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fix_queue import column, owner_of, value
from milepost.errors import DatabaseUnavailable
from milepost.intake import relay
from milepost.intake._batches import Idempotency, NewBatch
from milepost.intake._claims import Claims
from milepost.intake._postgres_primary import PostgresPrimary
from milepost.intake.relay import Relayed
from milepost.postgres import Connection, Database
from milepost.settings import Settings

RECEIVED = datetime(2026, 3, 1, 7, 12, tzinfo=UTC)
QUEUED = "SELECT payload FROM milepost.queue_1 ORDER BY txid, batch_id"


def relayed(number: int, *, receipt_id: int | None = None) -> Relayed:
    batch = NewBatch(lane=0, tenant_id=1, kind=0, model=1, rows=1, payload=b"%d" % number)
    return Relayed(
        position=f"{number:020}",
        receipt_id=relay.ELSEWHERE | number if receipt_id is None else receipt_id,
        received_at=RECEIVED + timedelta(seconds=number),
        batch=batch,
    )


@pytest.fixture
async def primary(db: Database, settings: Settings) -> AsyncIterator[PostgresPrimary]:
    made = PostgresPrimary(db, settings)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def owner(db: Database) -> AsyncIterator[Connection]:
    async with owner_of(db) as connection:
        yield connection


async def test_each_once_in_order(primary: PostgresPrimary, owner: Connection) -> None:
    """What was taken is passed over, wherever the second attempt begins; times and receipts are kept."""
    for first, last in ((1, 4), (1, 4), (3, 6), (2, 3), (7, 9)):
        await primary.put_again("spill a", [relayed(number) for number in range(first, last)])
    await primary.put_again("spill b", [relayed(10)])
    assert await column(owner, QUEUED) == [b"1", b"2", b"3", b"4", b"5", b"7", b"8", b"10"]
    assert await value(owner, "SELECT min(received_at) FROM milepost.queue_1") == RECEIVED + timedelta(seconds=1)
    found = await relay.batch_ids(owner, [relay.ELSEWHERE | 8, relay.ELSEWHERE | 99])
    assert await column(owner, f"SELECT payload FROM milepost.queue_1 WHERE batch_id = {found[relay.ELSEWHERE | 8]}") == [b"8"]
    assert relay.ELSEWHERE | 99 not in found
    await primary.forget("spill a")
    assert await column(owner, "SELECT source FROM milepost.relay") == ["spill b"]


async def test_without_batches_it_is_asked(primary: PostgresPrimary, owner: Connection) -> None:
    """Nothing is noted by that; and after its connection was ended it fails once, then connects anew."""
    await primary.put_again("spill", [])
    assert await column(owner, "SELECT source FROM milepost.relay") == []
    ended = (
        "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE application_name = 'milepost/queue-again'"
    )
    assert await value(owner, ended) == 1
    with pytest.raises(DatabaseUnavailable):
        await primary.put_again("spill", [])
    await primary.put_again("spill", [relayed(1)])
    assert await column(owner, QUEUED) == [b"1"]


async def test_claims_of_what_was_spilled(db: Database, settings: Settings, owner: Connection) -> None:
    """A key that is claimed already: the batch is passed over, and its receipt stands for the first; with another body it is enqueued."""
    claims = Claims(db, settings)
    mine = Idempotency(key="k", body_hash=b"1" * 16, answer={"accepted": 1})
    first = await claims.put(relayed(1).batch, mine)
    for _ in range(2):
        await claims.put_again("spill a claimed", replace(relayed(2), claim=mine))
    another = Idempotency(key="k", body_hash=b"2" * 16, answer={})
    await claims.put_again("spill a claimed", replace(relayed(3), claim=another))
    other = Idempotency(key="other", body_hash=b"2" * 16, answer={"accepted": 1})
    await claims.put_again("spill a claimed", replace(relayed(4), claim=other))
    again = await claims.put(relayed(4).batch, Idempotency(key="other", body_hash=b"2" * 16, answer={}))
    assert await column(owner, QUEUED) == [b"1", b"3", b"4"]
    receipts = await relay.batch_ids(owner, [relay.ELSEWHERE | number for number in (2, 3, 4)])
    assert receipts[relay.ELSEWHERE | 2] == first.batch_id
    assert receipts[relay.ELSEWHERE | 4] == again.batch_id
    assert again.answer_replayed is not None
    assert again.answer_replayed["accepted"] == 1


async def test_receipts_are_forgotten(primary: PostgresPrimary, owner: Connection) -> None:
    """What receipts stood for is kept for two days."""
    await primary.put_again("spill a", [relayed(1), relayed(2)])
    await owner.execute(b"UPDATE milepost.relayed SET moved_at = now() - interval '49 hours' WHERE receipt_id & 1 = 1")
    assert await relay.forget_relayed(owner) == 1
    assert await relay.forget_relayed(owner) == 0
    assert await column(owner, "SELECT receipt_id FROM milepost.relayed") == [relay.ELSEWHERE | 2]
