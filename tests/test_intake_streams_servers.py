"""Where a lane's stream lives: URLs of every kind, on real Sentinels, replicas and a real Cluster."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.crc import key_slot

from fix_queue import until
from milepost.errors import QueueUnavailable, SettingsError
from milepost.intake.streams.address import Address
from milepost.intake.streams.entry import LaneKeys
from milepost.intake.streams.servers import Servers, ask
from milepost.postgres import Database
from milepost.settings import Settings
from streams import a_batch, keys_of, primary_on, queued, relay_on

pytest_plugins = ["fix_redis"]

SLOTS = 16384


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Any]:
    """Makes servers on TCP, each in a folder of its own; they end with the test."""
    from fix_redis import RedisServer, Sentinel, free_port

    with ExitStack() as ends:

        def make(*, sentinel_of: RedisServer | None = None, **given: str) -> RedisServer:
            port = str(free_port())
            folder = tmp_path / port
            folder.mkdir()
            made = RedisServer(folder, port=port, **given) if sentinel_of is None else Sentinel(folder, sentinel_of)
            ends.callback(made.stop)
            return made.start()

        yield make


def test_urls_of_every_kind() -> None:
    """Hosts, logins, the service and the database are read off; ports have the defaults of what listens there."""
    assert Address.of("redis://host:1/2").kind == "single"
    assert Address.of("unix:///run/redis.sock").kind == "single"
    sentinel = Address.of("rediss+sentinel://me:p%40ss@one:1,two,[::1]:3/main/4?sentinel_password=x&ssl_ca_certs=/ca")
    assert sentinel.hosts == (("one", 1), ("two", 26379), ("::1", 3))
    assert sentinel.service == "main"
    assert sentinel.options == {"username": "me", "password": "p@ss", "ssl": True, "ssl_ca_certs": "/ca", "db": 4}
    assert sentinel.sentinel_options == {"password": "x", "ssl": True, "ssl_ca_certs": "/ca"}
    assert Address.of("redis+cluster://one,[::1]").hosts == (("one", 6379), ("::1", 6379))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://host", "begins with none of"),
        ("redis+sentinel://host:1", "names no service"),
        ("redis+sentinel://host:1/main/zero", "is no number"),
        ("redis+sentinel:///main", "names no host"),
        ("redis+cluster://host:port", "is no host:port"),
    ],
)
def test_a_url_that_says_nothing_is_refused(url: str, why: str) -> None:
    """With the setting's name and the reason, and without the URL, which may hold a password."""
    with pytest.raises(SettingsError, match=rf"redis_url.*{why}") as refused:
        Address.of(url)
    assert url not in str(refused.value)


def test_without_the_extra_it_says_what_to_install() -> None:
    """`pip install milepost[server]` has no driver for Redis."""
    code = "import sys; sys.modules['redis'] = None; import milepost.intake.streams"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert "pip install 'milepost[server,redis]'" in ended.stderr


async def test_a_batch_waits_for_the_replicas_it_is_to_have(db: Database, settings: Settings, servers: Any) -> None:
    """With the replica there it is acknowledged, without it is not; the promise names how many have it."""
    primary_server = servers()
    replica = servers(replicaof=f"127.0.0.1 {primary_server.port}")
    with_replica = replace(settings, redis_url=primary_server.url, redis_replicas=1)
    async with Redis.from_url(replica.url) as client:
        await until(lambda: synced(client))
    async with primary_on(db, with_replica) as primary:
        await primary.put(a_batch())
        assert "1 replicas have it as well" in primary.state()["lanes"]["0"]["promise"]
        replica.kill()
        with pytest.raises(QueueUnavailable, match="0 of 1 replicas"):
            await primary.put(a_batch())
    with_replica = replace(settings, redis_url=replica.url)
    await asyncio.to_thread(replica.start)
    async with primary_on(db, with_replica) as primary:
        with pytest.raises(QueueUnavailable, match="replica"):
            await primary.put(a_batch())


async def synced(client: Any) -> bool:
    return bool((await client.info("replication"))["master_link_status"] == "up")


async def test_a_failover_by_sentinel_loses_nothing_that_the_replica_had(
    db: Database, settings: Settings, servers: Any
) -> None:
    """The primary dies with batches that were not moved: they are moved from the replica, which takes the next ones as well."""
    first = servers()
    second = servers(replicaof=f"127.0.0.1 {first.port}")
    sentinel = servers(sentinel_of=first)
    here = replace(settings, redis_url=f"redis+sentinel://127.0.0.1:{sentinel.port}/milepost", redis_replicas=1)
    async with Redis.from_url(second.url) as client, Redis.from_url(sentinel.url) as watching:
        await until(lambda: synced(client))

        async def knows_the_replica() -> bool:
            return bool(await command(watching, "SENTINEL", "SLAVES", "milepost"))

        await until(knows_the_replica)
        async with primary_on(db, here) as primary:
            await primary.put(a_batch(b"before"))
            first.kill()

            async def raised() -> bool:
                seen = Servers(str(here.redis_url), name="test")
                try:
                    return bool(await ask(await seen.of(b""), "PING"))
                except QueueUnavailable:
                    return False
                finally:
                    await seen.close()

            await until(raised)
        # The one that is left has no replica itself.
        async with primary_on(db, replace(here, redis_replicas=0)) as primary, relay_on(db, here) as relay:
            await primary.put(a_batch(b"after"))
            await relay.run_once()
    assert await queued(db) == [b"before", b"after"]


async def test_a_cluster_keeps_each_lane_on_one_server(db: Database, settings: Settings, servers: Any) -> None:
    """Batches of two lanes go to their servers and are moved from there, also after a lane's slot went to another server."""
    three = [servers(**{"cluster-enabled": "yes", "cluster-node-timeout": "2000"}) for _ in range(3)]
    async with ExitStackOf(three) as clients:
        for number, client in enumerate(clients):
            own = range(number * SLOTS // 3, (number + 1) * SLOTS // 3)
            await command(client, "CLUSTER", "ADDSLOTS", *own)
            await command(client, "CLUSTER", "MEET", "127.0.0.1", three[0].port)

        async def formed() -> bool:
            states = [await command(client, "CLUSTER", "INFO") for client in clients]
            return all("cluster_state:ok" in text(state) and "cluster_known_nodes:3" in text(state) for state in states)

        await until(formed)
        here = replace(settings, redis_url=f"redis+cluster://127.0.0.1:{three[1].port}", redis_replicas=0)
        keys = [await keys_of(db, lane) for lane in (0, 1)]
        async with primary_on(db, here) as primary:
            for number in range(6):
                await primary.put(a_batch(b"%d" % number, lane=number % 2))
            assert {await holder(clients, one) for one in keys} == {key_slot(one.batches) * 3 // SLOTS for one in keys}
            async with relay_on(db, here, 0) as zero, relay_on(db, here, 1) as one:
                assert await zero.run_once() == await one.run_once() == 3
                before = await holder(clients, keys[0])
                await primary.put(a_batch(b"6"))
                await hand_over(three, clients, keys[0], before, (before + 1) % 3)
                await primary.put(a_batch(b"7"))
            async with relay_on(db, here, 0) as relay:
                assert await relay.run_once() == 2
    assert sorted(await queued(db)) == [b"%d" % number for number in range(8)]


class ExitStackOf:
    """Clients of all servers for a block."""

    def __init__(self, servers: list[Any]) -> None:
        self.clients = [Redis.from_url(one.url) for one in servers]

    async def __aenter__(self) -> list[Any]:
        return self.clients

    async def __aexit__(self, *_: object) -> None:
        for client in self.clients:
            await client.aclose()


async def command(client: Any, *words: Any) -> Any:
    return await client.execute_command(*words)


def text(answer: Any) -> str:
    """The driver makes a dict of CLUSTER INFO."""
    if isinstance(answer, dict):
        return " ".join(f"{name}:{value}" for name, value in answer.items())
    return answer.decode() if isinstance(answer, bytes) else str(answer)


async def holder(clients: list[Any], keys: LaneKeys) -> int:
    """Which server has the lane's stream: the others point elsewhere."""
    slot = key_slot(keys.batches)
    (number,) = [number for number, client in enumerate(clients) if await counts(client, slot)]
    return number


async def counts(client: Any, slot: int) -> int:
    return int(await command(client, "CLUSTER", "COUNTKEYSINSLOT", slot))


async def hand_over(servers: list[Any], clients: list[Any], keys: LaneKeys, source: int, target: int) -> None:
    """As `redis-cli --cluster reshard` moves a slot."""
    slot = key_slot(keys.batches)
    names = [text(await command(client, "CLUSTER", "MYID")) for client in clients]
    await command(clients[target], "CLUSTER", "SETSLOT", slot, "IMPORTING", names[source])
    await command(clients[source], "CLUSTER", "SETSLOT", slot, "MIGRATING", names[target])
    held = await command(clients[source], "CLUSTER", "GETKEYSINSLOT", slot, 100)
    await command(clients[source], "MIGRATE", "127.0.0.1", servers[target].port, "", 0, 5000, "KEYS", *held)
    for number in (target, source, 3 - source - target):
        await command(clients[number], "CLUSTER", "SETSLOT", slot, "NODE", names[target])
