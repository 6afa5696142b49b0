"""Redis before the queue, and it or PostgreSQL or both go away under load: what was acknowledged is there, once, in its order.

Real servers and processes, as in `test_spill_outage`, whose senders and checks these are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from client_site import Check, until
from effort import some
from outage_site import OutageSite, run_of
from test_spill_outage import OUTAGE_BATCHES, STALL_S, acknowledged_more, settled, started
from test_spill_outage import site as site  # the fixture

if TYPE_CHECKING:
    from fix_redis import RedisServer

pytestmark = pytest.mark.timeout(600)
pytest_plugins = ["fix_client", "fix_redis"]


def test_redis_is_killed_and_started_under_load(site: OutageSite, redis: RedisServer, checked: Check) -> None:
    """Three times: batches go to the server's disk meanwhile, and into Redis behind what it had, in each tenant's order."""
    server = site.server(redis_url=redis.url)
    server.start()
    senders = started(site, server)
    for _ in range(3):
        acknowledged_more(senders, 20)
        redis.kill()
        acknowledged_more(senders, 20)
        assert server.state() == "spilling"
        redis.start()
        until(lambda: server.state() == "direct", "the way into Redis is direct again", 120)
    acknowledged_more(senders, 20)
    settled(site, senders, checked, "Redis killed and started, 3 times")
    assert all(sender.statuses.keys() == {202} for sender in senders)
    assert max(sender.longest_s for sender in senders) < STALL_S
    assert site.spilled() == 0


@pytest.mark.parametrize("first_back", some(["Redis", "PostgreSQL"], 1))
def test_redis_and_postgresql_are_away_together(site: OutageSite, redis: RedisServer, checked: Check, first_back: str) -> None:
    """Whichever is back first, requests with an Idempotency-Key among them: spilled, then in Redis, then in the queue."""
    server = site.server(redis_url=redis.url)
    server.start()
    senders = started(site, server)
    acknowledged_more(senders, 20)
    site.stop_postgres()
    acknowledged_more(senders, 20)
    assert server.state() == "direct"  # Redis takes them
    redis.kill()
    acknowledged_more(senders, OUTAGE_BATCHES // 2)
    tenant_id, key = site.tenants[0]
    keyed = [{name: value for name, value in run_of(10**6).items() if name != "key"}]
    assert server.post(key, keyed, idempotency_key="away")[0] == 202
    acknowledged_more(senders, OUTAGE_BATCHES // 2)
    assert server.state() == "spilling"
    if first_back == "Redis":
        redis.start()
        until(lambda: server.state() == "direct", "the spill is in Redis, while PostgreSQL is away", 120)
        acknowledged_more(senders, 20)
        site.start_postgres()
    else:
        site.start_postgres()
        acknowledged_more(senders, 20)
        redis.start()
        until(lambda: server.state() == "direct", "the way into Redis is direct again", 120)
    acknowledged_more(senders, 20)
    senders[0].acknowledged.add((str(tenant_id), str(10**6)))
    site.wait_for({(str(tenant_id), str(10**6))})
    assert server.post(key, keyed, idempotency_key="away")[0] == 202
    for sender in senders:
        sender.finish()
    numbers = site.queued(tenant_id)
    assert numbers.index(10**6) > numbers.index(20)  # where it came
    settled(site, senders, checked, f"Redis and PostgreSQL away, {first_back} back first", apart={10**6})
    assert all(sender.statuses.keys() == {202} for sender in senders)
    assert max(sender.longest_s for sender in senders) < STALL_S


def test_a_key_that_comes_while_postgresql_is_away(site: OutageSite, redis: RedisServer) -> None:
    """It goes into Redis with its batch, and holds from when PostgreSQL is back; Redis goes on taking whatever else comes."""
    server = site.server(redis_url=redis.url)
    server.start()
    tenant_id, key = site.tenants[0]
    bare = [{name: value for name, value in run_of(number).items() if name != "key"} for number in range(4)]
    assert server.post(key, [bare[0]])[0] == 202
    assert server.post(key, [bare[1]], idempotency_key="before")[0] == 202
    site.stop_postgres()
    for number, name in ((1, "before"), (2, "during"), (2, "during")):
        assert server.post(key, [bare[number]], idempotency_key=name)[0] == 202
        assert server.post(key, [run_of(100 + number)])[0] == 202
        assert server.state() == "direct"
    assert site.spilled() == 0
    site.start_postgres()
    expected = {(str(tenant_id), str(number)) for number in (0, 1, 2, 101, 102)}
    assert site.wait_for(expected) == dict.fromkeys(expected, 1)
    until(lambda: server.post(key, [bare[2]], idempotency_key="during")[1].get("receipt"), "it is answered as it was")
    status, problem, _ = server.post(key, [bare[3]], idempotency_key="during")
    assert (status, problem["errors"][0]["pointer"]) == (400, "/Idempotency-Key")
    assert site.wait_for(expected) == dict.fromkeys(expected, 1)
