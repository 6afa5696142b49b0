"""A transaction elsewhere that wrote and then sits idle keeps vacuum from cleaning: intake goes on, folds seldom, and the room that
was taken is used again.

60 seconds with `MILEPOST_TEST_IDLE_S=60`; a few seconds otherwise. Prints what it measured beside the bounds.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from statistics import median
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
# What a fold leaves that cannot be removed: another version of each hot row, here of 100 actors in two buckets. A version is 80 bytes
# with its pointer, and more where its page was full, so that the indexes point to it, too: 86 on average over a minute.
FOLD_BYTES = 100 * 2 * 110
# Whole pages, the maps of free space and visibility that vacuum may make meanwhile, and the lane's own row.
SLACK_BYTES = 160 * 1024


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
        sent = 0

        async def send() -> None:
            nonlocal sent
            rows = [activity(sent + number) for number in range(ROWS)]
            accepted = acceptor.accept(tenant.tenant_id, json.dumps({"activities": rows}).encode(), datetime.now(UTC))
            await queue.enqueue(
                tenant_id=tenant.tenant_id, lane=0, kind=0, model=current.version, rows=ROWS, payload=accepted.payload
            )
            sent += ROWS

        async def vacuum() -> None:
            for table in ("rollup_per_actor", "lane"):
                await owner.execute(f"VACUUM milepost.{table}".encode())

        for _ in range(5):
            await send()
            await lane.run_once()
        await vacuum()
        await idler.execute("BEGIN")
        await idler.execute("SELECT pg_current_xact_id()")  # from now on it is a writer, and idle
        began = monotonic()
        before, sent_before = await size(owner), sent
        polls: list[float] = []
        folds: list[float] = []  # when each ended
        while monotonic() - began < IDLE_S:
            for _ in range(3):
                await send()
            asked = monotonic()
            assert await lane.poll()
            polls.append(1000 * (monotonic() - asked))
            await lane.run_once()
            folds.append(monotonic() - began)
        held = await size(owner)
        rate = (sent - sent_before) / folds[-1]
        await idler.execute("COMMIT")
        await vacuum()
        dead = await (
            await owner.execute(
                b"SELECT coalesce(sum(n_dead_tup), 0) FROM pg_stat_all_tables WHERE relname IN ('rollup_per_actor', 'lane')"
            )
        ).fetchone()
        for _ in range(20):
            await send()
            await lane.run_once()
        await vacuum()
        after = await size(owner)
        outcome = await verify(db)
        await lane.close()
        await queue.stop()
    # The horizon is seen to be held that long after the first look at it, which is that of the first fold.
    paced = [at for at in folds if at > folds[0] + load.HORIZON_HELD_S]
    most = (paced[-1] - paced[0]) / 1.0 + 2
    grown = len(folds) * FOLD_BYTES + SLACK_BYTES
    with capsys.disabled():
        print(
            f"\nidle writer for {IDLE_S:g} s: {rate:,.0f} activities/s (bound: 400),"
            f" {len(folds)} folds, {len(paced)} of them since the horizon was seen to be held (bound: {most:.1f}),"
            f" polls {median(polls):.0f} ms, the slowest {max(polls):.0f} (bounds: 50 and 500),"
            f" hot tables {before / 1024:.0f} kB + {(held - before) / 1024:.0f} kB (bound: {grown / 1024:.0f}),"
            f" {after / 1024:.0f} kB after 20 more loads"
        )
    assert outcome.differences == 0
    assert rate > 400
    assert len(paced) <= most
    assert held - before <= grown
    assert median(polls) < 50
    assert max(polls) < 500
    assert dead == (0,)
    assert after <= held + SLACK_BYTES


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
