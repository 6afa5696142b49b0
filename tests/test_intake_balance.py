"""Lanes shared out among loaders: evenly, at rest once even, and taken over from the dead."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from fix_queue import column, owner_of, until, value
from milepost.access.tenants import create_tenant
from milepost.intake import load
from milepost.intake._balance import plan
from milepost.intake.accept import Acceptor
from milepost.intake.loader import Loader
from milepost.intake.queue import Queue
from milepost.postgres import Database
from milepost.schema import migrate
from milepost.schema.models import apply_model, current_model
from milepost.settings import Settings
from test_cli_serve import serving
from web_client import run_of

LEASE_S = 5.0  # the default
HELD = "SELECT holder FROM milepost.lane WHERE expires_at > clock_timestamp()"
MODEL = (Path(__file__).parent / "models" / "spine.toml").read_text(encoding="utf-8")


@given(lanes=st.integers(1, 24), loaders=st.integers(1, 9), seed=st.integers(0, 2**32))
def test_shares_become_even_and_stay_so(lanes: int, loaders: int, seed: int) -> None:
    """From wherever it begins: within as many rounds as there are lanes every lane is served, no two loaders differ by more than one
    lane, and then nothing moves any more, even where each acts on what it saw at the round's beginning."""
    rng = random.Random(seed)
    live = [f"loader-{number}" for number in range(loaders)]
    holders: dict[int, str | None] = {lane: rng.choice([*live, None]) for lane in range(lanes)}
    for _ in range(lanes + 2):
        seen = dict(holders)
        moved = False
        for me in rng.sample(live, loaders):
            wanted = plan(me, seen, live)
            for lane in wanted.leave:
                assert holders[lane] == me
                holders[lane], moved = None, True
            for lane in wanted.take:
                if holders[lane] is None:  # the lease decides
                    holders[lane], moved = me, True
        if not moved:
            break
    assert not moved
    shares = Counter(holders.values())
    assert None not in shares
    assert max(shares[one] for one in live) - min(shares[one] for one in live) <= 1


def test_a_stranger_keeps_its_lane() -> None:
    """A lane held by nobody who shares is neither taken nor waited for."""
    wanted = plan("a", {0: "an older version", 1: None}, ["a"])
    assert (wanted.take, wanted.leave) == ((1,), ())


async def shares(db: Database) -> Callable[[], Awaitable[list[int]]]:
    """How many lanes each holder has, the most first."""

    async def look() -> list[int]:
        async with db.transaction("point") as conn:
            return sorted(Counter(await column(conn, HELD)).values(), reverse=True)

    return look


async def test_a_second_loader_gets_its_half(template_url: str, settings: Settings) -> None:
    """Lanes move to it one after the other, between loads; when it stops, they move back at once."""
    async with await Database.open(template_url, settings) as db, owner_of(db) as owner:
        await migrate(owner, 4)
        await apply_model(owner, MODEL)
        queue = Queue(db, settings)
        await queue.start()
        first, second = (Loader(db, queue, settings, holder=name) for name in ("first", "second"))
        held = await shares(db)
        await first.start()
        await until(lambda: is_equal(held, [4]))
        await second.start()
        await until(lambda: is_equal(held, [2, 2]))
        epochs = "SELECT sum(epoch) FROM milepost.lane"
        before = await value(owner, epochs)
        for _ in range(3):  # at rest: nothing changes hands, however many look at once
            await asyncio.gather(*(one.run_once() for one in (first, first, second)))
        assert await value(owner, epochs) == before
        await second.stop()
        await until(lambda: is_equal(held, [4]))
        assert await column(owner, "SELECT holder FROM milepost.loader") == ["first"]
        await first.stop()
        assert await held() == []
        await queue.stop()


async def test_lanes_wait_for_a_model(template_url: str, settings: Settings) -> None:
    """Before there is one no lane is taken, which is said once, however often it looks; at the first look after, all are."""
    async with await Database.open(template_url, settings) as db, owner_of(db) as owner:
        await migrate(owner, 2)
        queue = Queue(db, settings)
        await queue.start()
        loader, held = Loader(db, queue, settings, holder="first"), await shares(db)
        with capture_logs() as logs:
            for _ in range(5):
                await loader.run_once()
            assert await held() == []
            await apply_model(owner, MODEL)
            await loader.run_once()
            await until(lambda: is_equal(held, [2]))
        warned = [one["event"] for one in logs if one["log_level"] == "warning"]
        assert warned == ["nothing is loaded before a model has been applied: run `milepost model apply FILE`"]
        await loader.stop()
        await queue.stop()


async def is_equal(held: Callable[[], Awaitable[list[int]]], wanted: list[int]) -> bool:
    return await held() == wanted


@pytest.mark.timeout(180)
async def test_a_killed_servers_lanes_are_taken_over(template_url: str, settings: Settings, tmp_path: Path) -> None:
    """Three servers share six lanes, two each; one is killed with SIGKILL, and within its lease and a look the others have three."""
    async with await Database.open(template_url, settings) as db, owner_of(db) as owner:
        await migrate(owner, 6)
        await apply_model(owner, MODEL)
        held = await shares(db)
        with ExitStack() as stack:
            given = {"database_url": template_url, "data_dir": str(tmp_path), "lanes": "6"}
            processes = [stack.enter_context(serving(**given))[0] for _ in range(3)]
            async with asyncio.timeout(60):
                await until(lambda: is_equal(held, [2, 2, 2]))
            processes[1].send_signal(signal.SIGKILL)
            began = monotonic()
            async with asyncio.timeout(60):
                await until(lambda: is_equal(held, [3, 3]))
            took = monotonic() - began
            print(f"taken over {took:.2f} s after the kill")
            assert took < LEASE_S + 3.0


async def test_who_comes_during_a_long_backlog(template_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenant that sends while another's backlog is loaded is loaded in its turn, and not behind all of it; and a lane that is to
    be left is left between two loads, however much waits."""
    monkeypatch.setattr(load, "POLL_AGAIN_S", 0.0)
    one_a_load = replace(settings, batch_rows_max=1)
    async with await Database.open(template_url, settings) as db, owner_of(db) as owner:
        await apply_model(owner, MODEL)
        noisy, quiet = [(await create_tenant(owner, name, 1)).tenant_id for name in ("noisy", "quiet")]
        current = await current_model(owner)
        acceptor, queue = Acceptor(current.model, current.version), Queue(db, settings)
        await queue.start()

        async def send(tenant_id: int) -> int:
            body = json.dumps({"activities": [run_of()]}).encode()
            accepted = acceptor.accept(tenant_id, body, datetime.now(UTC))
            receipt = await queue.enqueue(
                tenant_id=tenant_id, lane=0, kind=0, model=current.version, rows=1, payload=accepted.payload
            )
            return receipt.batch_id

        class Watched(load.Lane):
            steps, late, left_after = 0, 0, 0

            async def step(self) -> int:
                did = await super().step()
                self.steps += 1
                if self.steps == 3:
                    self.late = await send(quiet)
                if self.steps == self.left_after:
                    self.leaving.set()
                return did

        for _ in range(30):
            await send(noisy)
        lane = Watched(db, queue, 0, "test", one_a_load)
        lane.left_after = 20
        assert await lane.open()
        assert await lane.run_once() == 20
        marks = await column(owner, "SELECT batch_id FROM milepost.queue_1_loaded ORDER BY loaded_at")
        assert marks.index(lane.late) in (3, 4)
        await lane.close()
        await queue.stop()
