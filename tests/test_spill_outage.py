"""PostgreSQL goes away under load, and comes back: what was acknowledged is there, once, in its order, and no request failed for it.

Real processes throughout: a PostgreSQL that is stopped, killed and hung, servers that are killed at named points, senders of several
tenants. At the end of the module a table tells what each fault did.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import pytest

from client_site import Check, until
from clocks import move_clock
from effort import long_only, some
from outage_site import OutageSite, Sender, Server, run_of
from proxy import TcpProxy

pytestmark = pytest.mark.timeout(600)
pytest_plugins = ["fix_client"]


OUTAGE_BATCHES = 60  # acknowledged by each sender while PostgreSQL is away
OUTAGE_S = float(os.environ.get("MILEPOST_TEST_OUTAGE_S", "3"))  # where it is by the clock
STALL_S = 6.0  # what a request may take: the look-up of its key, the queue's patience, and a busy machine


@pytest.fixture
def site(tmp_path: Path) -> Iterator[OutageSite]:
    made = OutageSite(tmp_path)
    yield made
    made.end()


def started(site: OutageSite, server: Server, **options: object) -> list[Sender]:
    senders = [Sender(server, tenant, **options) for tenant in site.tenants]  # type: ignore[arg-type]
    for sender in senders:
        sender.start()
    return senders


def acknowledged_more(senders: list[Sender], batches: int) -> None:
    """Until each sender has so many more receipts."""
    wanted = [sender.statuses[202] + batches for sender in senders]
    until(
        lambda: all(sender.statuses[202] >= number or sender.error for sender, number in zip(senders, wanted, strict=True)),
        f"{batches} more receipts each",
        120,
    )


def settled(site: OutageSite, senders: list[Sender], checked: Check, fault: str, *, apart: Collection[int] = ()) -> None:
    """All that was acknowledged is loaded, once and in its order. apart: numbers that others have sent."""
    expected = set().union(*(sender.finish() for sender in senders))
    loaded = site.wait_for(expected)
    checked(fault, expected, loaded, max(sender.longest_s for sender in senders))
    assert loaded.keys() == expected or all(count == 1 for count in loaded.values())
    for sender in senders:
        numbers = [number for number in site.queued(sender.tenant[0]) if number not in apart]
        assert numbers == sorted(numbers), "the queue has the batches of a tenant in another order"
    site.verified()


@pytest.mark.parametrize("fault", some(["killed", "hung", "stopped"], 2))
def test_postgresql_goes_away_under_load(site: OutageSite, checked: Check, fault: str) -> None:
    """Nobody is refused while PostgreSQL is stopped, killed or hung; when it is back, the queue has all of it in order."""
    go, come = {
        "stopped": (site.stop_postgres, site.start_postgres),
        "killed": (site.kill_postgres, site.start_postgres),
        "hung": (site.hang_postgres, site.go_on),
    }[fault]
    server = site.server()
    server.start()
    senders = started(site, server)
    acknowledged_more(senders, 20)
    go()
    acknowledged_more(senders, OUTAGE_BATCHES)
    told = server.ready()
    assert (told["ready"], told["taking"], told["queue"]["state"]) == (False, True, "spilling")
    assert told["queue"]["spilled_batches"] >= OUTAGE_BATCHES
    come()
    until(lambda: server.state() == "direct", "the way into the queue is direct again", 120)
    acknowledged_more(senders, 20)
    settled(site, senders, checked, f"PostgreSQL {fault}")
    assert all(sender.statuses.keys() == {202} for sender in senders)
    assert max(sender.longest_s for sender in senders) < STALL_S
    assert site.spilled() == 0


def test_postgresql_is_away_by_the_clock(site: OutageSite, checked: Check) -> None:
    """For as long as `MILEPOST_TEST_OUTAGE_S` says, of which every second brings receipts."""
    server = site.server()
    server.start()
    senders = started(site, server, pause_s=0.02)
    acknowledged_more(senders, 10)
    site.stop_postgres()
    began = monotonic()
    while monotonic() < began + OUTAGE_S:
        acknowledged_more(senders, 5)
    assert server.state() == "spilling"
    site.start_postgres()
    until(lambda: server.state() == "direct", "the way into the queue is direct again", 120)
    acknowledged_more(senders, 10)
    settled(site, senders, checked, f"PostgreSQL away for {OUTAGE_S:g} s")
    assert all(sender.statuses.keys() == {202} for sender in senders)
    assert max(sender.longest_s for sender in senders) < STALL_S


@long_only
def test_the_network_to_postgresql_swallows_all(site: OutageSite, checked: Check) -> None:
    """Connections stay open, and nothing comes through in either direction: as PostgreSQL that hangs, for whoever waits."""
    with TcpProxy(site.socket_path) as proxy:
        server = site.server(database_url=site.url_by(proxy))
        server.start()
        senders = started(site, server)
        acknowledged_more(senders, 20)
        proxy.silent = True
        acknowledged_more(senders, OUTAGE_BATCHES)
        assert server.state() == "spilling"
        proxy.silent = False
        proxy.sever()  # what was swallowed is missing on these
        until(lambda: server.state() == "direct", "the way into the queue is direct again", 120)
        acknowledged_more(senders, 20)
        settled(site, senders, checked, "network to PostgreSQL swallows packets")
        assert all(sender.statuses.keys() == {202} for sender in senders)
        assert max(sender.longest_s for sender in senders) < STALL_S
        server.stop()


def test_the_servers_clock_jumps(site: OutageSite, checked: Check, tmp_path: Path) -> None:
    """Back an hour under load, while batches go direct, while they are spilled, and before they are drained: nobody notices."""
    clock = tmp_path / "clock"
    move_clock(clock, 0)
    server = site.server()
    server.start(clock=clock)
    senders = started(site, server)
    acknowledged_more(senders, 10)
    for hours in (1, 2, 3):
        move_clock(clock, -3600 * hours)
        acknowledged_more(senders, 10)
        if hours == 1:
            site.kill_postgres()
            acknowledged_more(senders, 10)
    site.start_postgres()
    until(lambda: server.state() == "direct", "the way into the queue is direct again", 120)
    acknowledged_more(senders, 10)
    told = {key: server.get("/v1/receipts/x", key)[0] for _, key in site.tenants}
    assert set(told.values()) == {404}
    settled(site, senders, checked, "server's clock back an hour, three times")
    assert all(sender.statuses.keys() == {202} for sender in senders)
    hours_ago = [
        row[0] for row in site.asked("SELECT extract(epoch FROM now() - min(received_at)) / 3600 FROM milepost.activity")
    ]
    assert hours_ago[0] > 1.9, "the clock was moved"


def test_the_spill_is_full(site: OutageSite, checked: Check) -> None:
    """Beyond its bound the answer is 429 with Retry-After; what has its receipt by then is kept, and all goes on afterwards."""
    server = site.server(spill_bytes_max="60000")
    server.start()
    senders = started(site, server, pause_s=0.001)
    acknowledged_more(senders, 10)
    site.kill_postgres()
    for sender in senders:
        assert sender.refused.wait(60)
    told = server.ready()
    assert told["taking"] is True or told["queue"]["spilled_bytes"] > 50_000
    assert told["queue"]["spilled_bytes"] <= told["queue"]["spill_bytes_max"]
    status, problem, headers = server.post(site.tenants[0][1], [run_of(10**6, "x" * 60_000)])
    assert (status, problem["type"], headers["retry-after"]) == (429, "/problems/queue-full", "5")
    site.start_postgres()
    until(lambda: server.state() == "direct", "the way into the queue is direct again", 120)
    acknowledged_more(senders, 10)
    settled(site, senders, checked, "PostgreSQL away for longer than the spill holds")
    assert all(sender.statuses.keys() == {202, 429} for sender in senders)
    assert set().union(*(sender.retry_after for sender in senders)) == {"5"}


@pytest.mark.parametrize("point", some(["spill.moved:1", "spill.written:40", "spill.dropped:1"], 1))
def test_the_server_is_killed_with_a_spill(site: OutageSite, checked: Check, point: str) -> None:
    """What a killed server has spilled is drained by the next one: once, also where it was in the queue already."""
    server = site.server()
    server.start(point)
    senders = started(site, server)
    acknowledged_more(senders, 5)
    site.kill_postgres()
    if point.startswith("spill.written"):
        server.wait_killed()
        site.start_postgres()
    else:
        acknowledged_more(senders, 20)
        site.start_postgres()
        server.wait_killed()
    if not point.startswith("spill.dropped"):
        assert site.spilled() > 0
    server.start()
    until(lambda: server.state() == "direct", "the way into the queue is direct again", 120)
    acknowledged_more(senders, 10)
    settled(site, senders, checked, f"server killed at {point}, PostgreSQL before")
    assert site.spilled() == 0


def test_two_servers_share_the_folder(site: OutageSite, checked: Check) -> None:
    """Each has a file of its own; that of the one that was killed is drained by the other, which goes on meanwhile."""
    first, second = site.server(), site.server()
    first.start()
    second.start()
    senders = [*started(site, first), *(Sender(second, tenant, first=10**6) for tenant in site.tenants)]
    for sender in senders[len(site.tenants) :]:
        sender.start()
    acknowledged_more(senders, 5)
    site.stop_postgres()
    acknowledged_more(senders, 20)
    assert len(site.spill_files()) == 2
    first.kill()
    acknowledged_more(senders[len(site.tenants) :], 10)
    expected = set().union(*(sender.finish() for sender in senders[: len(site.tenants)]))
    site.start_postgres()
    expected |= set().union(*(sender.finish() for sender in senders[len(site.tenants) :]))
    loaded = site.wait_for(expected)
    checked("one of two servers killed, PostgreSQL before", expected, loaded, max(sender.longest_s for sender in senders))
    until(lambda: len(site.spill_files()) == 1, "the dead server's file is gone")
    for tenant_id, _ in site.tenants:
        numbers = site.queued(tenant_id)
        for own in ([n for n in numbers if n < 10**6], [n for n in numbers if n >= 10**6]):
            assert own == sorted(own)
    assert site.asked("SELECT source FROM milepost.relay WHERE position = ''") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to mount a small disk")
def test_the_disk_is_full(site: OutageSite, checked: Check) -> None:
    """A disk that takes no more is answered with 429, never with 500, and what was acknowledged before stays good."""
    folder = site.data / "spill"
    folder.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "milepost", folder], capture_output=True).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        server = site.server()
        server.start()
        senders = started(site, server, note="x" * 500)
        acknowledged_more(senders, 5)
        site.kill_postgres()
        for sender in senders:
            assert sender.refused.wait(120)
        status, problem, headers = server.post(site.tenants[0][1], [run_of(10**6, os.urandom(60_000).hex())])
        assert (status, problem["type"], headers["retry-after"]) == (429, "/problems/queue-full", "5")
        site.start_postgres()
        until(lambda: server.state() == "direct", "the way into the queue is direct again", 120)
        acknowledged_more(senders, 5)
        settled(site, senders, checked, "disk full at spill, PostgreSQL before")
        assert all(sender.statuses.keys() == {202, 429} for sender in senders)
        server.stop()
    finally:
        for one in site.servers:
            one.kill()
        subprocess.run(["umount", folder], check=True)


def test_what_is_answered_meanwhile(site: OutageSite) -> None:
    """A receipt says `waiting` until the batch is loaded, a key that came twice counts once, and what cannot wait is refused."""
    server = site.server()
    server.start()
    tenant_id, key = site.tenants[0]
    assert server.post(key, [run_of(1)])[0] == 202
    assert server.post(key, [run_of(2)], idempotency_key="before")[0] == 202
    site.stop_postgres()
    status, spilled, _ = server.post(key, [run_of(3)])
    assert status == 202
    for number, name in ((4, "during"), (4, "during"), (2, "before")):
        rows = [run_of(number)]
        del rows[0]["key"]  # without one, a second copy would be another activity
        assert server.post(key, rows, idempotency_key=name)[0] == 202
    assert server.get("/v1/receipts/" + spilled["receipt"], key)[0] == 503
    status, problem, headers = server.request("PUT", "/v1/groups/team", key, {"kind": "team"})
    assert (status, problem["type"], headers["retry-after"]) == (503, "/problems/unavailable", "1")
    status, problem, _ = server.post("mp_1_" + "a" * 32, [run_of(5)])
    assert (status, problem["type"]) == (503, "/problems/unavailable")
    site.start_postgres()
    until(lambda: server.state() == "direct", "the way into the queue is direct again", 120)
    until(lambda: server.get("/v1/receipts/" + spilled["receipt"], key)[1].get("state") == "loaded", "the receipt says loaded")
    assert server.post("mp_1_" + "a" * 32, [run_of(5)])[0] == 401
    status, replayed, _ = server.post(key, [{k: v for k, v in run_of(4).items() if k != "key"}], idempotency_key="during")
    assert status == 202
    assert server.get("/v1/receipts/" + replayed["receipt"], key)[1]["state"] == "loaded"
    # The body that came with `before` was another one: it was acknowledged, and is there.
    expected = {(str(tenant_id), str(number)): 1 for number in (1, 3, 4)} | {(str(tenant_id), "2"): 2}
    assert site.wait_for(set(expected)) == expected


def test_who_waits_is_answered_when_it_is_back(site: OutageSite) -> None:
    """`Prefer: wait` waits through the end of an outage."""
    server = site.server()
    server.start()
    _, key = site.tenants[0]
    assert server.post(key, [run_of(1)])[0] == 202
    site.stop_postgres()
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(server.post, key, [run_of(2)], prefer="wait=30")
        until(lambda: server.ready()["queue"].get("spilled_batches"), "the batch is spilled")
        site.start_postgres()
        status, answer, _ = waiting.result()
    assert (status, answer["loaded"], answer["duplicates"]) == (200, 1, 0)


def test_a_server_starts_while_postgresql_is_away(site: OutageSite, checked: Check) -> None:
    """It says so, takes nothing yet, and serves when PostgreSQL is there: then it drains what the one before it had spilled."""
    server = site.server()
    server.start()
    senders = started(site, server)
    acknowledged_more(senders, 5)
    site.stop_postgres()
    acknowledged_more(senders, 10)
    server.kill()
    server.start()
    told = server.ready()
    assert (told["ready"], told["taking"], told["queue"]["state"]) == (False, False, "starting")
    assert [one["check"] for one in told["missing"]] == ["database"]
    assert server.get("/healthz", "")[0] == 200
    status, problem, headers = server.post(site.tenants[0][1], [run_of(10**6)])
    assert (status, problem["type"], headers["retry-after"]) == (503, "/problems/unavailable", "1")
    site.start_postgres()
    until(lambda: server.ready()["queue"]["state"] == "direct", "it serves, and has drained what was spilled", 120)
    acknowledged_more(senders, 5)
    settled(site, senders, checked, "server killed and started, PostgreSQL before")
    assert site.spilled() == 0
    site.stop_postgres()
    server.kill()
    server.start()
    server.stop()  # while it waits
    assert all(sender.statuses.keys() <= {202, 503} for sender in senders)
