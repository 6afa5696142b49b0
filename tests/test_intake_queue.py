"""The way into the queue: group commit, idempotency keys, waiting for outcomes, hints, backlog."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from fix_postgres import Proxy
from fix_queue import column, connected, insert, load, lock_waiters, owner_of, put, queue_on, reader_of, until, value
from milepost.errors import DatabaseUnavailable, FieldError, InvalidInput
from milepost.intake import _group_commit
from milepost.intake.queue import (
    PAYLOAD_BYTES_MAX,
    Idempotency,
    Loaded,
    Queue,
    backlog,
    forget_answers,
)
from milepost.postgres import Connection, Database
from milepost.settings import Settings

LONG_S = 30.0  # longer than any of these waits takes


def key(name: str = "k", body: bytes = b"hash") -> Idempotency:
    return Idempotency(key=name, body_hash=body, answer={"accepted": 1, "rejected": []})


async def test_what_is_enqueued_is_there(db: Database, settings: Settings) -> None:
    """A batch comes out of the lane as it went in, byte for byte, and receipts grow."""
    payload = bytes(range(256)) * 100
    async with queue_on(db, settings) as queue, connected(db) as connection:
        first = await put(queue, payload, tenant_id=7, rows=3)
        second = await put(queue, b"")
        assert second.batch_id > first.batch_id
        row = await (
            await connection.execute(
                "SELECT tenant_id, lane, kind, model, rows, payload FROM milepost.queue_1 WHERE batch_id = %s",
                [first.batch_id],
            )
        ).fetchone()
        assert row == (7, 0, 0, 1, 3, payload)


async def test_callers_share_commits(db: Database, settings: Settings) -> None:
    """Three hundred callers at once are written in a few transactions, each with its own batch."""
    async with queue_on(db, settings) as queue, connected(db) as connection:
        receipts = await asyncio.gather(*(put(queue, b"%d" % number, tenant_id=number) for number in range(300)))
        rows = await (await connection.execute("SELECT batch_id, tenant_id, payload FROM milepost.queue_1")).fetchall()
        assert {receipt.batch_id: number for number, receipt in enumerate(receipts)} == {row[0]: row[1] for row in rows}
        assert all(payload == b"%d" % tenant_id for _, tenant_id, payload in rows)
        assert await value(connection, "SELECT count(DISTINCT txid) FROM milepost.queue_1") <= 3


async def test_a_group_is_bounded_in_bytes(db: Database, settings: Settings) -> None:
    """Large payloads do not pile up in one statement: each that exceeds the bound goes alone."""
    large = bytes(_group_commit.GROUP_BYTES_MAX + 1)
    async with queue_on(db, settings) as queue, connected(db) as connection:
        await asyncio.gather(*(put(queue, large) for _ in range(3)))
        assert await value(connection, "SELECT count(DISTINCT txid) FROM milepost.queue_1") == 3


async def test_a_cancelled_caller_takes_nothing_with_it(db: Database, settings: Settings) -> None:
    """Callers of the same group, and of the next, are answered when one of them is cancelled, sent or not yet sent."""
    async with queue_on(db, settings) as queue, owner_of(db) as owner, connected(db) as connection:
        async with owner.transaction():
            await owner.execute("LOCK TABLE milepost.queue_1 IN EXCLUSIVE MODE")
            sent = [asyncio.create_task(put(queue, b"sent %d" % number)) for number in range(4)]
            await until(lambda: lock_waiters(connection))
            more = [asyncio.create_task(put(queue, b"sent too")) for _ in range(2)]  # for the second writer
            await until(lambda: two_wait(connection))
            waiting = [asyncio.create_task(put(queue, b"waiting %d" % number)) for number in range(3)]
            await asyncio.sleep(0)
            sent[1].cancel()
            waiting[0].cancel()
        answers = await asyncio.gather(*sent, *more, *waiting, return_exceptions=True)
        assert [isinstance(answer, asyncio.CancelledError) for answer in answers] == [number in (1, 6) for number in range(9)]
        payloads = set(await column(connection, "SELECT payload FROM milepost.queue_1"))
        assert b"waiting 0" not in payloads
        assert {b"waiting 1", b"waiting 2", b"sent 0", b"sent 2", b"sent 3", b"sent too"} <= payloads


async def two_wait(connection: Connection) -> bool:
    return await lock_waiters(connection) == 2


async def test_a_commit_that_nobody_saw_is_not_acknowledged(template_url: str, settings: Settings) -> None:
    """When the connection breaks in mid-commit every caller gets DatabaseUnavailable, though the batches may be there."""
    with TemporaryDirectory(prefix="milepost-proxy-") as folder:
        proxy = Proxy(Path(folder), template_url)
        await proxy.start()
        async with (
            # Not prepared: the lock would stop it before the server had the batches.
            await Database.open(proxy.url, replace(settings, prepare_threshold=None)) as far,
            await Database.open(template_url, settings) as near,
            queue_on(far, settings) as queue,
            connected(near) as connection,
            owner_of(near) as owner,
        ):
            async with owner.transaction():
                await owner.execute("LOCK TABLE milepost.queue_1 IN EXCLUSIVE MODE")
                callers = [asyncio.create_task(put(queue)) for _ in range(5)]
                await until(lambda: lock_waiters(connection))
                proxy.sever()
                answers = await asyncio.gather(*callers, return_exceptions=True)
            assert all(isinstance(answer, DatabaseUnavailable) for answer in answers)
            # The server had all it needed, and commits once the lock is gone.
            await until(lambda: value(connection, "SELECT count(*) FROM milepost.queue_1"))

            assert (await put(queue, b"afterwards")).batch_id > 0
            proxy.refusing = True
            proxy.sever()
            answers = await asyncio.gather(*(put(queue) for _ in range(5)), return_exceptions=True)
            assert all(isinstance(answer, DatabaseUnavailable) for answer in answers)
            proxy.refusing = False
        await proxy.stop()


async def test_a_connection_that_died_idle_hurts_nobody(
    template_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart of PostgreSQL the first enqueue succeeds: before an insert, an idle connection is tried."""
    monkeypatch.setattr(_group_commit, "CURRENT_READ_S", 0.0)
    with TemporaryDirectory(prefix="milepost-proxy-") as folder:
        proxy = Proxy(Path(folder), template_url)
        await proxy.start()
        async with await Database.open(proxy.url, settings) as far, queue_on(far, settings) as queue:
            before = [await put(queue) for _ in range(4)]  # both writers have a connection
            proxy.sever()
            after = [await put(queue) for _ in range(4)]
            assert len({receipt.batch_id for receipt in before + after}) == 8
        await proxy.stop()


async def test_the_write_table_is_learned_again(db: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer follows the rotation within a second; until then it writes the old table, which is read all the same."""
    async with queue_on(db, settings) as queue, owner_of(db) as owner, reader_of(db) as reader:
        receipts = [await put(queue) for _ in range(3)]
        await owner.execute("UPDATE milepost.queue SET current = 2")
        receipts += [await put(queue) for _ in range(3)]
        monkeypatch.setattr(_group_commit, "CURRENT_READ_S", 0.0)
        receipts += [await put(queue) for _ in range(3)]
        batches = await reader.poll()
        assert [batch.batch_id for batch in batches] == [receipt.batch_id for receipt in receipts]
        assert [batch.table for batch in batches[:3] + batches[6:]] == [1, 1, 1, 2, 2, 2]


async def test_stop_answers_all_that_was_put(db: Database, settings: Settings) -> None:
    """Stopping writes what waits; afterwards nothing is taken. It is safe twice and unstarted."""
    queue = Queue(db, settings)
    await queue.stop()
    with pytest.raises(DatabaseUnavailable):
        await put(queue)
    await queue.start()
    callers = [asyncio.create_task(put(queue)) for _ in range(20)]
    await asyncio.sleep(0)
    await queue.stop()
    assert len({(await caller).batch_id for caller in callers}) == 20
    with pytest.raises(DatabaseUnavailable):
        await put(queue)
    await queue.stop()


async def test_a_payload_is_bounded(db: Database, settings: Settings) -> None:
    """More than 64 MB in one batch is our own mistake."""
    async with queue_on(db, settings) as queue:
        with pytest.raises(AssertionError):
            await put(queue, bytes(PAYLOAD_BYTES_MAX + 1))


# ── Idempotency-Key ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_request_sent_again_is_answered_again(db: Database, settings: Settings) -> None:
    """The same key and body puts nothing in and gets the first answer, with its receipt."""
    async with queue_on(db, settings) as queue, connected(db) as connection:
        first = await put(queue, idempotency=key())
        assert first.answer_replayed is None
        again = await put(queue, idempotency=key())
        assert again.batch_id == first.batch_id
        assert again.answer_replayed == {"accepted": 1, "rejected": [], "receipt": str(first.batch_id)}
        assert await column(connection, "SELECT batch_id FROM milepost.queue_1") == [first.batch_id]


async def test_a_key_belongs_to_its_body(db: Database, settings: Settings) -> None:
    """The same key with another body is refused, and says so at the header."""
    async with queue_on(db, settings) as queue:
        await put(queue, idempotency=key(body=b"one"))
        with pytest.raises(InvalidInput) as refused:
            await put(queue, idempotency=key(body=b"two"))
        assert refused.value.errors == (
            FieldError("/Idempotency-Key", "This key came with another body before. A new request needs a new key."),
        )


async def test_a_key_belongs_to_its_tenant(db: Database, settings: Settings) -> None:
    """Two tenants may use the same key; a row that one tenant's policy hides does not stand in another's way."""
    async with queue_on(db, settings) as queue:
        ours, theirs = [await put(queue, tenant_id=tenant_id, idempotency=key()) for tenant_id in (1, 2)]
        assert ours.answer_replayed is None
        assert theirs.answer_replayed is None
        assert ours.batch_id != theirs.batch_id


async def test_of_equal_requests_at_once_one_enqueues(db: Database, settings: Settings) -> None:
    """Eight requests with one key at the same time make one batch, and all name it."""
    async with queue_on(db, settings) as queue, connected(db) as connection:
        receipts = await asyncio.gather(*(put(queue, idempotency=key()) for _ in range(8)))
        assert len({receipt.batch_id for receipt in receipts}) == 1
        assert sum(receipt.answer_replayed is None for receipt in receipts) == 1
        assert await value(connection, "SELECT count(*) FROM milepost.queue_1") == 1


async def test_a_claim_that_fails_leaves_the_key_free(db: Database, settings: Settings) -> None:
    """A request that waits for the first one's transaction enqueues when that does not commit."""
    async with queue_on(db, settings) as queue, connected(db) as connection, owner_of(db) as owner:
        async with owner.transaction():
            await owner.execute("LOCK TABLE milepost.queue_1 IN EXCLUSIVE MODE")
            first = asyncio.create_task(put(queue, idempotency=key()))
            await until(lambda: lock_waiters(connection))
            second = asyncio.create_task(put(queue, idempotency=key()))
            await until(lambda: two_wait(connection))
            await owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event = 'relation'"
            )
            with pytest.raises(DatabaseUnavailable):
                await first
        receipt = await second
        assert receipt.answer_replayed is None
        assert await column(connection, "SELECT batch_id FROM milepost.queue_1") == [receipt.batch_id]


async def test_a_key_expires(db: Database, settings: Settings) -> None:
    """After a day a key is as new, and upkeep forgets the answers nobody asked for again."""
    async with queue_on(db, settings) as queue, owner_of(db) as owner:
        first = await put(queue, idempotency=key())
        await put(queue, tenant_id=2, idempotency=key("other"))
        await owner.execute("UPDATE milepost.idempotency SET created_at = created_at - interval '25 hours'")
        second = await put(queue, idempotency=key())
        assert second.answer_replayed is None
        assert second.batch_id > first.batch_id
        assert await forget_answers(owner, settings) == 1
        assert await forget_answers(owner, settings) == 0
        assert (await put(queue, idempotency=key())).batch_id == second.batch_id


# ── Outcomes and hints ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_outcome_is_told_in_process(db: Database, settings: Settings) -> None:
    """Who waits for a batch is answered by this process's loader, without a look at the database."""
    async with queue_on(db, settings) as queue:
        waiters = [asyncio.create_task(queue.outcome(12345, LONG_S)) for _ in range(3)]
        await asyncio.sleep(0)
        told = Loaded(batch_id=12345, position=9, loaded=5, duplicates=1, result={"status": 200})
        queue.loaded_hint([told])
        assert await asyncio.gather(*waiters) == [told, told, told]


async def test_an_outcome_is_found_in_the_marks(db: Database, settings: Settings) -> None:
    """What another process loaded is found, before or after the wait began, in a table made since or an old one."""
    async with (
        queue_on(db, settings) as queue,
        connected(db) as connection,
        owner_of(db) as owner,
    ):
        await owner.execute("CREATE TABLE milepost.queue_4 (LIKE milepost.queue_template INCLUDING ALL)")
        await owner.execute("CREATE TABLE milepost.queue_4_loaded (LIKE milepost.queue_template_loaded INCLUDING ALL)")
        await owner.execute("GRANT SELECT, INSERT ON milepost.queue_4, milepost.queue_4_loaded TO milepost_service")
        waiting = asyncio.create_task(queue.outcome(41, LONG_S))
        await asyncio.sleep(0)
        await owner.execute("UPDATE milepost.queue SET tables = 4")
        for table, batch_id, result in ((1, 11, "null"), (4, 41, "'{\"version\": 2}'")):
            await connection.execute(
                f"INSERT INTO milepost.queue_{table}_loaded (batch_id, lane, position, loaded, duplicates, result)"
                f" VALUES ({batch_id}, 0, 3, 2, 1, {result})".encode()
            )
        assert await waiting == Loaded(batch_id=41, position=3, loaded=2, duplicates=1, result={"version": 2})
        assert await queue.outcome(11, LONG_S) == Loaded(batch_id=11, position=3, loaded=2, duplicates=1)


async def test_an_outcome_that_takes_too_long_is_none(db: Database, settings: Settings) -> None:
    """The wait ends without an answer, also when the queue stops; one that is cancelled leaves nothing behind."""
    async with queue_on(db, settings) as queue:
        assert await queue.outcome(1, 0.0) is None
        waiting = asyncio.create_task(queue.outcome(2, LONG_S))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        waiting = asyncio.create_task(queue.outcome(3, LONG_S))
        await asyncio.sleep(0)
        await queue.stop()
        assert await waiting is None
        assert not queue._outcomes._awaited


async def test_a_loader_is_woken_in_its_process(db: Database, settings: Settings) -> None:
    """What was enqueued before the wait counts, and only for its own lane."""
    async with queue_on(db, settings) as queue:
        await put(queue, lane=0)
        assert await queue.wait_for_batches(0, LONG_S)
        assert not await queue.wait_for_batches(0, 0.0)
        assert not await queue.wait_for_batches(1, 0.0)
        waiting = asyncio.create_task(queue.wait_for_batches(1, LONG_S))
        await put(queue, lane=1)
        assert await waiting


async def test_processes_wake_each_other(db: Database, settings: Settings) -> None:
    """A batch, or a load, in one process is announced to the others."""
    async with queue_on(db, settings) as one, queue_on(db, settings) as other:
        assert await other.wait_for_batches(3, 0.0) is False
        waiting = asyncio.create_task(other.wait_for_batches(3, LONG_S))
        await put(one, lane=3)
        assert await waiting
        other._outcomes._hinted.clear()
        one.loaded_hint([])
        async with asyncio.timeout(LONG_S):
            await other._outcomes._hinted.wait()


# ── Backlog, dead letters ──────────────────────────────────────────────────────────────────────────────────────────


async def test_the_backlog_is_what_is_not_loaded(db: Database, settings: Settings) -> None:
    """Per lane: batches, rows and the oldest one's age, across tables; a lane without any shows zeros."""
    async with queue_on(db, settings) as queue, connected(db) as connection, owner_of(db) as owner:
        await owner.execute("INSERT INTO milepost.lane (lane) VALUES (7)")
        async with reader_of(db) as reader:
            for rows in (5, 6, 7):
                await put(queue, rows=rows)
            await insert(connection, table=2)
            batches = await reader.poll()
            await load(reader, reader._connection, batches[:1])
            lanes = {lane.lane: lane for lane in await backlog(connection)}
            assert (lanes[0].batches, lanes[0].rows, lanes[0].held, lanes[0].holder) == (3, 14, True, "reader")
            assert 0 < lanes[0].oldest_age_s < 60
            assert (lanes[7].batches, lanes[7].rows, lanes[7].oldest_age_s, lanes[7].held) == (0, 0, 0.0, False)
            await load(reader, reader._connection, batches[1:])
            assert await reader.advance(force=True)
            assert {lane.batches for lane in await backlog(connection)} == {0}
