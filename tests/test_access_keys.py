"""Tenants and keys: made, found, verified, revoked."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import milepost.access.keys as keys_module
from fix_postgres import Proxy
from milepost.access.keys import Keys, Principal, create_key, list_keys, revoke_key
from milepost.access.tenants import create_tenant, find_tenant, list_tenants
from milepost.errors import Conflict, DatabaseUnavailable, InvalidInput, NotFound, SchemaMismatch, Unauthorized
from milepost.postgres import Database
from milepost.settings import Settings


class Clock:
    """Time that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_tenants_spread_over_lanes(db: Database) -> None:
    """Each new tenant is put on the lane with the fewest, and keeps its lane; never on a lane that nobody has made (two are here)."""
    async with db.transaction("write") as conn:
        made = [await create_tenant(conn, f"tenant-{number}", lanes=2) for number in range(5)]
        with pytest.raises(SchemaMismatch, match="`milepost db migrate --lanes 3`"):
            await create_tenant(conn, "seventh", lanes=3)
        assert [tenant.lane for tenant in made] == [0, 1, 0, 1, 0]
        assert (await create_tenant(conn, "sixth", lanes=1)).lane == 0
        assert await find_tenant(conn, "tenant-4") == made[4]
        assert await list_tenants(conn, after=made[1].tenant_id, limit=2) == made[2:4]


@pytest.mark.parametrize("name", ["", "Acme", "a b", "-a", "a" * 64, "ä", "a\0", "a\n"])
async def test_tenants_have_names(db: Database, name: str) -> None:
    """A name that is none is refused, and nobody is found by it."""
    async with db.transaction("write") as conn:
        with pytest.raises(InvalidInput) as error:
            await create_tenant(conn, name, lanes=1)
        assert error.value.errors[0].pointer == "/name"
        with pytest.raises(NotFound):
            await find_tenant(conn, name)


async def test_tenants_have_one_name_each(db: Database) -> None:
    """A taken name is a conflict, and the transaction goes on."""
    async with db.transaction("write") as conn:
        await create_tenant(conn, "acme", lanes=1)
        with pytest.raises(Conflict, match="'acme' already"):
            await create_tenant(conn, "acme", lanes=1)
        assert len(await list_tenants(conn)) == 1


async def test_a_key(db: Database) -> None:
    """A key says whose it is and what it may do; it is stored as a hash alone."""
    async with db.transaction("write") as conn:
        tenant = await create_tenant(conn, "acme", lanes=1)
        key = await create_key(conn, tenant.tenant_id, ["write", "read", "read"], "importer")
        stored = await (await conn.execute(b"SELECT api_key::text FROM milepost.api_key")).fetchone()
        [listed] = await list_keys(conn, tenant.tenant_id)
    assert re.fullmatch(rf"mp_{tenant.tenant_id}_[a-z2-7]{{32}}", key)
    assert stored is not None
    assert key not in stored[0]
    assert (listed.key_id, listed.name, listed.scopes, listed.revoked_at) == (key[:-24], "importer", ("read", "write"), None)
    assert await Keys(db).verify(key) == Principal(
        tenant_id=tenant.tenant_id, tenant="acme", lane=0, scopes=frozenset({"read", "write"}), key_id=listed.key_id
    )


@pytest.mark.parametrize("scopes", [[], ["reed"], ["read", "root"]])
async def test_scopes(db: Database, scopes: list[str]) -> None:
    """A key has at least one scope, and none that does not exist."""
    async with db.transaction("write") as conn:
        tenant = await create_tenant(conn, "acme", lanes=1)
        with pytest.raises(InvalidInput) as error:
            await create_key(conn, tenant.tenant_id, scopes)
        assert {fault.pointer for fault in error.value.errors} == {"/scopes"}
        with pytest.raises(NotFound):
            await create_key(conn, tenant.tenant_id + 1, ["read"])


async def test_wrong_keys(db: Database) -> None:
    """A key that is not one, of another tenant or of none is refused alike."""
    async with db.transaction("write") as conn:
        tenant = await create_tenant(conn, "acme", lanes=1)
        other = await create_tenant(conn, "other", lanes=1)
        key = await create_key(conn, tenant.tenant_id, ["read"])
    keys = Keys(db)
    secret = key.rpartition("_")[2]
    for wrong in (
        "",
        "mp_",
        key + "a",
        key.upper(),
        f"mp_{other.tenant_id}_{secret}",
        f"mp_9999999999_{secret}",
        f"mp_٣_{secret}",
        f"mp_{tenant.tenant_id}_{'a' * 32}",
        key.replace(secret, secret[:-1] + "\0"),
    ):
        with pytest.raises(Unauthorized, match="missing, wrong or revoked"):
            await keys.verify(wrong)


async def test_revoked(db: Database) -> None:
    """A revoked key works for at most a second more; revoking twice keeps the first moment."""
    async with db.transaction("write") as conn:
        tenant = await create_tenant(conn, "acme", lanes=1)
        key = await create_key(conn, tenant.tenant_id, ["read"])
    clock = Clock()
    keys = Keys(db, clock=clock)
    await keys.verify(key)
    async with db.transaction("write") as conn:
        await revoke_key(conn, tenant.tenant_id, key[:-24])
    async with db.transaction("write") as conn:
        [revoked] = await list_keys(conn, tenant.tenant_id)
        await revoke_key(conn, tenant.tenant_id, key[:-24])
        assert await list_keys(conn, tenant.tenant_id) == [revoked]
        with pytest.raises(NotFound):
            await revoke_key(conn, tenant.tenant_id + 1, key[:-24])
    clock.now = 0.99
    await keys.verify(key)
    clock.now = 1.0
    with pytest.raises(Unauthorized):
        await keys.verify(key)


async def test_one_look_up_for_many(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests with the same key at the same moment share one look-up, and the next second has one of its own."""
    async with db.transaction("write") as conn:
        tenant = await create_tenant(conn, "acme", lanes=1)
        key = await create_key(conn, tenant.tenant_id, ["read"])
    clock = Clock()
    keys = Keys(db, clock=clock)
    asked = 0
    ask = keys._ask

    async def counted(tenant_id: int, key_hash: bytes) -> Principal | None:
        nonlocal asked
        asked += 1
        return await ask(tenant_id, key_hash)

    monkeypatch.setattr(keys, "_ask", counted)
    given_up = asyncio.ensure_future(keys.verify(key))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.gather(*(keys.verify(key) for _ in range(50)))
    assert asked == 1
    clock.now = 1.5
    await asyncio.gather(*(keys.verify(key) for _ in range(50)))
    assert asked == 2


async def test_memory_is_bounded(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many keys there are, only so many are remembered, and wrong ones not at all."""
    monkeypatch.setattr("milepost.access.keys.REMEMBERED_MAX", 2)
    async with db.transaction("write") as conn:
        tenant = await create_tenant(conn, "acme", lanes=1)
        made = [await create_key(conn, tenant.tenant_id, ["read"]) for _ in range(4)]
    keys = Keys(db)
    for key in made:
        await keys.verify(key)
    with pytest.raises(Unauthorized):
        await keys.verify(f"mp_{tenant.tenant_id}_{'a' * 32}")
    assert len(keys._known) == 2


async def test_postgresql_is_away(template_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that was verified within the hour goes on working; one that nobody knows is not called wrong. When PostgreSQL is back,
    what was revoked meanwhile is."""
    monkeypatch.setattr(keys_module, "ASK_S", 0.3)
    clock = Clock()
    settings = Settings(data_dir=tmp_path, write_pool_min=0, point_pool_min=0, analytics_pool_min=0)
    with TemporaryDirectory(prefix="milepost-proxy-") as folder:
        proxy = Proxy(Path(folder), template_url)
        await proxy.start()
        async with await Database.open(proxy.url, settings) as db, await Database.connect_owner(template_url) as owner:
            tenant = await create_tenant(owner, "acme", 1)
            known = await create_key(owner, tenant.tenant_id, ["write"])
            unknown = await create_key(owner, tenant.tenant_id, ["write"])
            keys = Keys(db, clock=clock)
            principal = await keys.verify(known)
            proxy.refusing = True
            proxy.sever()
            clock.now += 3599
            assert await keys.verify(known) == principal
            with pytest.raises(DatabaseUnavailable):
                await keys.verify(unknown)
            clock.now += 1
            with pytest.raises(DatabaseUnavailable):
                await keys.verify(known)
            clock.now -= 1
            assert await keys.verify(known) == principal
            await revoke_key(owner, tenant.tenant_id, principal.key_id)
            proxy.refusing = False
            with pytest.raises(Unauthorized):
                while await keys.verify(known) == principal:
                    clock.now += 0.01
                    await asyncio.sleep(0)
            assert (await keys.verify(unknown)).scopes == {"write"}
        await proxy.stop()
