"""A transaction elsewhere that wrote and then sits idle keeps vacuum from cleaning: intake goes on, folds seldom, and shrinks back.

60 seconds with `MILEPOST_TEST_IDLE_S=60`; a few seconds otherwise. Prints what it measured.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import pytest

from milepost.access.tenants import create_tenant
from milepost.intake import load
from milepost.intake.accept import Acceptor
from milepost.intake.load import Lane
from milepost.intake.queue import Queue
from milepost.postgres import Database
from milepost.rollups.verify import verify
from milepost.schema.models import apply_model, current_model
from milepost.settings import Settings

IDLE_S = float(os.environ.get("MILEPOST_TEST_IDLE_S", "6"))
ROWS = 200
MODEL = """
name = "idle"
[verbs.run]
measures.distance_m = "integer"
[rollups.per_actor]
of = "run"
by = ["actor"]
per = ["day", "all"]
values = ["count", "sum(distance_m)"]
"""
# Without pacing, each load leaves a dead version of every hot row: here 100 actors in two buckets, 100 bytes each with its pointer.
VERSION_BYTES = 100 * 2 * 100


async def test_an_idle_writer_neither_stops_intake_nor_bloats_it(
    template_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Batches go on being loaded; once the horizon is seen to be held there is one fold a second; afterwards vacuum cleans all."""
    monkeypatch.setattr(load, "HORIZON_HELD_S", min(5.0, IDLE_S / 6))
    owner = await Database.connect_owner(template_url)
    idler = await Database.connect_owner(template_url)
    await apply_model(owner, MODEL)
    async with owner, idler, await Database.open(template_url, settings) as db:
        tenant = await create_tenant(owner, "idle", 1)
        async with db.transaction("point") as conn:
            current = await current_model(conn)
        acceptor = Acceptor(current.model, current.version)
        queue = Queue(db, settings)
        await queue.start()
        lane = Lane(db, queue, 0, "test", settings)
        assert await lane.open()
        sent = folds = 0

        async def send() -> None:
            nonlocal sent
            rows = [activity(sent + number) for number in range(ROWS)]
            accepted = acceptor.accept(tenant.tenant_id, json.dumps({"activities": rows}).encode(), datetime.now(UTC))
            await queue.enqueue(
                tenant_id=tenant.tenant_id, lane=0, kind=0, model=current.version, rows=ROWS, payload=accepted.payload
            )
            sent += ROWS

        for _ in range(5):
            await send()
            await lane.run_once()
        await idler.execute("BEGIN")
        await idler.execute("SELECT pg_current_xact_id()")  # from now on it is a writer, and idle
        began = monotonic()
        before = await size(owner)
        slowest_poll = 0.0
        while monotonic() - began < IDLE_S:
            for _ in range(3):
                await send()
            asked = monotonic()
            waiting = await lane.poll()
            slowest_poll = max(slowest_poll, monotonic() - asked)
            assert waiting
            await lane.run_once()
            folds += 1
        held = await size(owner)
        rate = (sent - 5 * ROWS) / (monotonic() - began)
        await idler.execute("COMMIT")
        for table in ("rollup_per_actor", "lane"):
            await owner.execute(f"VACUUM milepost.{table}")
        dead = await (
            await owner.execute(
                "SELECT coalesce(sum(n_dead_tup), 0) FROM pg_stat_all_tables WHERE relname IN ('rollup_per_actor', 'lane')"
            )
        ).fetchone()
        await send()
        await lane.run_once()
        outcome = await verify(db)
        await lane.close()
        await queue.stop()
    with capsys.disabled():
        print(
            f"\nidle writer for {IDLE_S:g} s: {rate:,.0f} activities/s, {folds} folds, slowest poll {slowest_poll * 1000:.0f} ms,"
            f" hot tables {before / 1024:.0f} kB → {held / 1024:.0f} kB"
        )
    assert outcome.differences == 0
    assert rate > 300
    assert folds <= IDLE_S / 6 * 40 + IDLE_S + 2  # unpaced until the horizon is seen to be held, then one a second
    assert held - before <= folds * VERSION_BYTES * 2 + 500_000
    assert slowest_poll < 0.5
    assert dead is not None
    assert dead[0] == 0


def activity(number: int) -> dict[str, Any]:
    when = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=number % 3600)
    return {
        "key": str(number),
        "occurred_at": when.isoformat(),
        "actor": f"a{number % 100}",
        "verb": "run",
        "measures": {"distance_m": number % 50},
    }


async def size(owner: Any) -> int:
    row = await (
        await owner.execute(
            "SELECT sum(pg_total_relation_size(c)) FROM unnest('{milepost.rollup_per_actor, milepost.lane}'::regclass[]) c"
        )
    ).fetchone()
    return int(row[0])
