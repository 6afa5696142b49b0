"""Pressure: rates and quotas that hold over several processes, turns between tenants, bounds on what waits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from effort import long_only
from fix_postgres import Proxy
from fix_queue import ManualClock, owner_of, put, queue_on, reader_of, value
from milepost.access.keys import create_key
from milepost.access.limits import DEFAULT, Limits, Use, read_limits, read_use, set_limits
from milepost.access.tenants import create_tenant
from milepost.bench._http import request_bytes, send
from milepost.bench._memory import resident_bytes
from milepost.bench._report import percentile
from milepost.errors import InvalidInput
from milepost.intake.pressure.allowance import Allowance
from milepost.intake.pressure.allowances import Allowances
from milepost.intake.pressure.refusal import LimitReached, Overfull
from milepost.intake.pressure.shares import Shares
from milepost.intake.pressure.turns import Turns
from milepost.intake.pressure.waiting import Waiting
from milepost.postgres import Database
from milepost.settings import Settings
from test_cli_serve import serving
from web_client import run_of

pytest_plugins = ["fix_web"]


def allowance(clock: ManualClock, *, used: int = 0, tokens: float = 0.0, **limits: float) -> Allowance:
    made = Allowance(
        Limits(**limits),  # type: ignore[arg-type]
        Use(today=used, this_month=used),
        clock=clock,
        today=lambda: datetime(2026, 12, 31, 23, 0, tzinfo=UTC),
    )
    made.tokens = tokens
    return made


def test_a_quota_has_room_for_a_request_or_has_not() -> None:
    """What would only fit in part is refused whole, with the time until the next day; a smaller one still fits."""
    own = allowance(ManualClock(), used=90, per_day=100, per_month=10_000)
    with pytest.raises(LimitReached, match=r"^10 of 100 activities a day are left") as refused:
        own.take(11)
    assert (refused.value.reason, refused.value.retry_after_s) == ("per_day", 3600)
    own.take(10)
    with pytest.raises(LimitReached):
        own.check(1)
    own.give_back(1)
    own.take(1)
    assert own.headers()["ratelimit"] == '"per_day";r=0;t=3600, "per_month";r=9900;t=3600'
    assert own.headers()["ratelimit-policy"].startswith('"per_day";q=100;w=86400;qu="activities"')


def test_a_request_larger_than_the_bucket() -> None:
    """Is let in when the bucket is full, and owes the rest: the rate holds, and nothing is refused for ever."""
    own = allowance(ManualClock(), rate=10.0, burst=100.0, tokens=99.0)
    with pytest.raises(LimitReached) as refused:
        own.take(1000)
    assert refused.value.reason == "rate"
    own.tokens = 100.0
    own.take(1000)
    assert own.tokens == -900.0
    with pytest.raises(LimitReached) as refused:
        own.take(1)
    assert refused.value.retry_after_s == 91


@asynccontextmanager
async def tenant_with(db: Database, **limits: float) -> AsyncIterator[int]:
    async with owner_of(db) as owner:
        tenant_id = (await create_tenant(owner, "acme", 1)).tenant_id
        await set_limits(owner, tenant_id, limits)
    yield tenant_id


async def test_limits_are_the_tenants_own_or_the_defaults(db: Database) -> None:
    """None takes a default away, DEFAULT brings it back, and what is not positive is named."""
    defaults = Limits(rate=5.0, per_day=10)
    async with tenant_with(db, per_day=7) as tenant_id, owner_of(db) as owner:
        assert (await read_limits(owner, [tenant_id], defaults))[tenant_id] == Limits(rate=5.0, per_day=7)
        await set_limits(owner, tenant_id, {"rate": None, "per_day": DEFAULT})
        assert (await read_limits(owner, [tenant_id], defaults))[tenant_id] == Limits(rate=None, per_day=10)
        with pytest.raises(InvalidInput) as refused:
            await set_limits(owner, tenant_id, {"per_month": 0})
        assert refused.value.errors[0].pointer == "/per_month"


async def let_in(several: list[Allowances], tenant_id: int, rows: int, *, tries: int) -> int:
    taken = 0
    for number in range(tries):
        try:
            await several[number % len(several)].take(tenant_id, rows)
        except LimitReached:
            continue
        taken += rows
    return taken


async def test_a_rate_holds_for_all_processes_together(db: Database, settings: Settings) -> None:
    """Three processes that are flooded let in no more than the bucket holds and what flows into it meanwhile; after a pause one of
    them alone gets nearly all of it again."""
    async with tenant_with(db, rate=100, burst=300) as tenant_id, owner_of(db) as owner:
        clock = ManualClock()  # of the processes; the bucket fills by the database's
        several = [Allowances(db, settings, clock=clock) for _ in range(3)]
        began = await value(owner, "SELECT extract(epoch FROM clock_timestamp())::float8")
        taken = 0
        for _ in range(8):
            clock.now += 0.2
            taken += await let_in(several, tenant_id, 5, tries=300)
        seconds = await value(owner, "SELECT extract(epoch FROM clock_timestamp())::float8") - began
        assert 300 - 3 * 5 <= taken <= 300 + 100 * seconds
        for one in several:  # idle: what was leased and not used goes back
            clock.now += 2.0
            await one.run_once()
        await owner.execute("UPDATE milepost.tenant_bucket SET filled_at = filled_at - interval '1 hour'")
        clock.now += 0.2
        assert await let_in(several[:1], tenant_id, 300, tries=1) == 300


async def test_a_rate_costs_a_few_writes_a_second(db: Database, settings: Settings) -> None:
    """Thousands of requests of a tenant at its limit ask PostgreSQL once in a tenth of a second."""
    async with tenant_with(db, rate=100, burst=100) as tenant_id, owner_of(db) as owner:
        clock = ManualClock()
        one = Allowances(db, settings, clock=clock)
        await let_in([one], tenant_id, 100, tries=2000)
        written = "SELECT xmin::text FROM milepost.tenant_bucket"
        before = await value(owner, written)
        assert await let_in([one], tenant_id, 100, tries=2000) == 0
        assert await value(owner, written) == before


async def test_a_quota_holds_for_all_processes_together(db: Database, settings: Settings) -> None:
    """After each has added up, all know what was sent; before, one is off by no more than the others' last second."""
    async with tenant_with(db, per_day=1000) as tenant_id, owner_of(db) as owner:
        first, second = Allowances(db, settings), Allowances(db, settings)
        assert await let_in([second], tenant_id, 10, tries=1) == 10
        assert await let_in([first], tenant_id, 100, tries=9) == 900
        await first.run_once()
        await second.run_once()
        assert await let_in([second], tenant_id, 10, tries=100) == 90
        await second.run_once()
        await first.run_once()
        with pytest.raises(LimitReached):
            await first.check(tenant_id)
        assert (await read_use(owner, [tenant_id]))[tenant_id] == Use(today=1000, this_month=1000)


async def test_use_is_counted_without_any_limit(db: Database, settings: Settings) -> None:
    """So that a quota that is set in mid-month knows what was sent before; what came to nothing is not counted."""
    async with tenant_with(db) as tenant_id, owner_of(db) as owner:
        one = Allowances(db, settings)
        await one.start()
        (await one.take(tenant_id, 70)).give_back(20)
        await one.stop()  # makes a last report
        assert (await read_use(owner, [tenant_id]))[tenant_id] == Use(today=50, this_month=50)


async def test_limits_go_on_while_postgresql_is_away(
    template_url: str, proxy: Proxy, settings: Settings, database_url: str
) -> None:
    """Who is known keeps the rate it had, filled by this process's clock; and nobody waits for the database each time."""
    url = proxy.url.replace(database_url.split("/")[-1].split("?")[0], template_url.split("/")[-1].split("?")[0])
    async with await Database.open(url, settings) as db, await Database.open(template_url, settings) as direct:
        async with tenant_with(direct, rate=100, burst=200) as tenant_id:
            clock = ManualClock()
            one = Allowances(db, settings, clock=clock)
            assert await let_in([one], tenant_id, 200, tries=1) == 200
            proxy.refusing = True
            proxy.sever()
            clock.now += 0.5
            assert await let_in([one], tenant_id, 10, tries=20) == 50
            clock.now += 0.5
            assert await let_in([one], tenant_id, 10, tries=20) == 50


async def test_turns_go_round_by_tenant() -> None:
    """Who comes new waits for one piece of each other tenant, however many those have; a tenant's own are done in order."""
    turns, done = Turns(), []

    async def piece(tenant_id: int, number: int) -> None:
        async with turns.of(tenant_id):
            done.append((tenant_id, number))

    flood = [asyncio.create_task(piece(1, number)) for number in range(5)]
    late = [asyncio.create_task(piece(tenant_id, 0)) for tenant_id in (2, 3)]
    await asyncio.gather(*flood, *late)
    assert done == [(1, 0), (1, 1), (2, 0), (3, 0), (1, 2), (1, 3), (1, 4)]


async def test_a_turn_that_is_given_up_goes_to_the_next() -> None:
    """Cancelled while it waits, or in the moment in which its turn comes: the others go on."""
    turns, begun, done = Turns(), asyncio.Event(), []

    async def piece(number: int) -> None:
        async with turns.of(1):
            begun.set()
            done.append(number)

    tasks = [asyncio.create_task(piece(number)) for number in range(4)]
    await begun.wait()
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert done == [0, 2, 3]
    await piece(4)
    assert done[-1] == 4


class Arrivals:
    """Requests of tenants that are under way until they are told to end."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.shares = Shares(clock=self.clock)
        self.under_way: dict[int, list[asyncio.Event]] = {}

    async def send(self, tenant_id: int, requests: int = 1) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(self._request(tenant_id)) for _ in range(requests)]
        await self._settle()
        return tasks

    async def end(self, tenant_id: int, requests: int = 1) -> None:
        for _ in range(requests):
            self.under_way[tenant_id].pop(0).set()
        await self._settle()

    def count(self, tenant_id: int) -> int:
        return len(self.under_way.get(tenant_id, []))

    async def _request(self, tenant_id: int) -> None:
        async with self.shares.of(tenant_id):
            ended = asyncio.Event()
            self.under_way.setdefault(tenant_id, []).append(ended)
            await ended.wait()

    async def _settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


async def test_a_flood_beside_another_tenant_has_one_request_under_way() -> None:
    """As soon as it is seen, its next one waits for the last one, however many it sends; the other tenant's never wait."""
    arrivals = Arrivals()
    await arrivals.send(1, 8)
    assert arrivals.count(1) == 8
    arrivals.clock.now += 0.2
    await arrivals.send(2)
    assert (arrivals.count(2), arrivals.shares.flooding) == (1, None)  # it was alone until now
    arrivals.clock.now += 0.2
    await arrivals.end(2)
    assert arrivals.shares.flooding == 1
    assert (arrivals.shares.rest_s(1, 0.002), arrivals.shares.rest_s(2, 0.002)) == (0.012, 0.0)
    await arrivals.send(1, 8)
    assert arrivals.count(1) == 8
    await arrivals.end(1, 7)
    assert arrivals.count(1) == 1
    for _ in range(20):  # those that wait keep it so
        arrivals.clock.now += 0.1
        await arrivals.send(2)
        await arrivals.end(2)
        await arrivals.end(1)
        await arrivals.send(1)
        assert (arrivals.shares.flooding, arrivals.count(1)) == (1, 1)


async def test_a_tenant_that_sends_alone_is_not_held_up() -> None:
    """Nor from two seconds after the other's last request on: then all that waited goes."""
    arrivals = Arrivals()
    await arrivals.send(1, 8)
    await arrivals.send(2)
    arrivals.clock.now += 0.1
    await arrivals.end(2)
    await arrivals.send(1, 8)
    await arrivals.end(1, 7)
    assert (arrivals.shares.flooding, arrivals.count(1)) == (1, 1)
    for _ in range(20):
        arrivals.clock.now += 0.1
        await arrivals.end(1)
        await arrivals.send(1)
    assert (arrivals.shares.flooding, arrivals.count(1)) == (None, 9)


async def test_equal_tenants_do_not_hold_each_other_up() -> None:
    """Two that send as much as each other, and one with few requests at a time beside one with none left: nobody waits."""
    arrivals = Arrivals()
    await arrivals.send(1, 4)
    await arrivals.send(2, 4)
    arrivals.clock.now += 0.2
    await arrivals.send(1, 4)
    await arrivals.send(2, 4)
    assert (arrivals.count(1), arrivals.count(2), arrivals.shares.flooding) == (8, 8, None)


async def test_a_request_that_is_given_up_leaves_its_place() -> None:
    """Cancelled while it waits, or in the moment in which it is let in: the next one goes."""
    arrivals = Arrivals()
    await arrivals.send(1, 3)
    await arrivals.send(2)
    arrivals.clock.now += 0.2
    first, second, third = await arrivals.send(1, 3)
    await arrivals.end(1, 2)
    assert (arrivals.shares.flooding, arrivals.count(1)) == (1, 1)
    first.cancel()
    arrivals.under_way[1].pop(0).set()
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    await arrivals.end(2)
    assert (arrivals.count(1), third.done()) == (1, False)


async def test_a_backlog_is_bounded_by_tenant(db: Database) -> None:
    """At the bound a tenant is told when to come again, others of its lane are not concerned; what is put in between two looks
    counts as well."""
    settings = Settings(tenant_backlog_rows=100)
    async with queue_on(db, settings) as queue, reader_of(db):
        waiting = Waiting(db, settings, clock=ManualClock())
        await put(queue, tenant_id=1, rows=60)
        await put(queue, tenant_id=2, rows=10)
        await waiting.run_once()
        waiting.check(1, 0)
        waiting.put(1, 0, 40)
        with pytest.raises(Overfull) as refused:
            waiting.check(1, 0)
        assert (refused.value.reason, 1 <= refused.value.retry_after_s <= 60) == ("backlog", True)
        waiting.check(2, 0)
        await waiting.run_once()  # they never came: only what is there counts
        waiting.check(1, 0)


async def test_a_lanes_backlog_is_shared_evenly(db: Database) -> None:
    """A full lane refuses those who have more than an even share of it, and nobody else."""
    settings = Settings(tenant_backlog_rows=None, lane_backlog_rows=100)
    async with queue_on(db, settings) as queue:
        waiting = Waiting(db, settings, clock=ManualClock())
        await put(queue, tenant_id=1, rows=90)
        await put(queue, tenant_id=2, rows=10)
        await waiting.run_once()
        waiting.check(2, 0)
        with pytest.raises(Overfull):
            waiting.check(1, 0)


@long_only
@pytest.mark.timeout(180)
async def test_a_flood_beside_a_quiet_tenant(web_url: str, tmp_path: Path) -> None:
    """A server with a flood from one tenant, beyond its rate, on eight connections: the other tenant is never refused and does not
    wait longer than it did alone but for a tenth of a second (`milepost bench pressure` measures the rest), the flood gets 429 and no
    more than its rate, and the server's memory does not grow with it."""
    rate, burst, seconds = 500, 1000, 6
    async with await Database.connect_owner(web_url) as owner:
        noisy, quiet = [await create_tenant(owner, name, 2) for name in ("noisy", "quiet")]
        await set_limits(owner, noisy.tenant_id, {"rate": rate, "burst": burst})
        keys = [await create_key(owner, one.tenant_id, ["write"], "") for one in (noisy, quiet)]

    def request(key: str, rows: int) -> bytes:
        return request_bytes("/v1/activities", key, json.dumps({"activities": [run_of()] * rows}).encode())

    calm = [request(keys[1], 10)] * (20 * seconds // 2)
    with serving(database_url=web_url, data_dir=str(tmp_path)) as (process, address):
        port = int(address.rpartition(":")[2])
        await send(port, [calm[:20]] * 2, per_second=20)
        alone = await send(port, [calm] * 2, per_second=20)
        before = resident_bytes(process.pid)
        flood = asyncio.create_task(send(port, [[request(keys[0], 100)] * 100_000] * 8))
        beside = await send(port, [calm] * 2, per_second=20)
        after = resident_bytes(process.pid)
        flood.cancel()
        await asyncio.wait({flood})
        assert set(alone.statuses) | set(beside.statuses) == {202}
        assert percentile(beside.latencies, 0.99) <= 2 * percentile(alone.latencies, 0.99) + 0.1
        assert before is not None
        assert after is not None
        assert after - before < 64 * 2**20
    async with await Database.connect_owner(web_url) as owner:  # the server has added up to the end
        sent = (await read_use(owner, [noisy.tenant_id]))[noisy.tenant_id].today
    assert burst <= sent <= burst + rate * (beside.seconds + 2)
