"""The way into the queue while PostgreSQL comes and goes: order, and what may not wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import milepost.intake._detour as detour
from fix_postgres import Proxy
from fix_queue import owner_of, until
from milepost.errors import QueueUnavailable
from milepost.intake.queue import Queue
from milepost.postgres import Database
from milepost.settings import Settings

TENANTS = 4


@pytest.fixture
async def proxy(template_url: str) -> AsyncIterator[Proxy]:
    with TemporaryDirectory(prefix="milepost-proxy-") as folder:
        made = Proxy(Path(folder), template_url)
        await made.start()
        yield made
        await made.stop()


async def put(queue: Queue, tenant_id: int, number: int, *, may_wait: bool = True) -> None:
    await queue.enqueue(
        tenant_id=tenant_id, lane=0, kind=0, model=1, rows=1, payload=b"%d" % number, may_wait=may_wait
    )  # fmt: skip


async def test_order_while_it_drains(
    proxy: Proxy, template_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each tenant's batches are in the queue in the order of their receipts, though each comes while earlier ones are drained."""
    monkeypatch.setattr(detour, "DRAINED_BATCHES_MAX", 2)
    patient = replace(settings, queue_patience_s=0.5)
    sent = [0] * TENANTS
    seen: set[str] = set()
    ending = False

    async def send(tenant: int) -> None:
        while not ending:
            await put(queue, tenant + 1, sent[tenant])
            sent[tenant] += 1
            seen.add(queue.state()["state"])

    async def at(seen_now: Callable[[], bool]) -> None:
        async def look() -> bool:
            await asyncio.sleep(0)  # the senders' turn
            return seen_now()

        await until(look)

    async def sent_more(batches: int) -> None:
        wanted = min(sent) + batches
        await at(lambda: min(sent) >= wanted)

    def is_in(*states: str) -> Callable[[], bool]:
        return lambda: queue.state()["state"] in states

    async with await Database.open(proxy.url, patient) as db:
        queue = Queue(db, patient, spill=True)
        await queue.start()
        senders = [asyncio.create_task(send(tenant)) for tenant in range(TENANTS)]
        try:
            for _ in range(3):
                await sent_more(10)
                proxy.refusing = True
                proxy.sever()
                await at(is_in("spilling"))
                await sent_more(30)
                with pytest.raises(QueueUnavailable):
                    await put(queue, 1, -1, may_wait=False)
                proxy.refusing = False
                await at(is_in("draining", "direct"))
                await sent_more(5)
        finally:
            ending = True
            await asyncio.gather(*senders)

        await at(is_in("direct"))
        assert queue.state()["spilled_batches"] == 0
        async with owner_of(db) as owner:
            for tenant in range(TENANTS):
                query = b"SELECT payload FROM milepost.queue_1 WHERE tenant_id = %s ORDER BY txid, batch_id"
                rows = await (await owner.execute(query, [tenant + 1])).fetchall()
                numbers = list(dict.fromkeys(int(payload) for (payload,) in rows))
                assert numbers == list(range(sent[tenant]))
        await queue.stop()
    assert seen == {"direct", "spilling", "draining"}
