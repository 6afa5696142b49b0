"""The chain: what is lawful verifies, and whatever was done to it or to activities behind milepost's back is named."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import duckdb
import msgspec
import pytest
import pytest_asyncio

from fix_postgres import in_own_loop
from lifecycle_site import NOW, LifecycleSite, ran
from milepost import faults
from milepost.access.tenants import Tenant, create_tenant, find_tenant
from milepost.activity import id_from
from milepost.errors import Conflict, DatabaseError, InvalidInput, NotFound
from milepost.intake import history
from milepost.intake.queue import Queue
from milepost.jobs.job import Work
from milepost.jobs.leftovers import leftovers
from milepost.jobs.samples import verify_samples
from milepost.postgres import Database
from milepost.schema.models import apply_model, current_model
from milepost.settings import Settings
from milepost.storage._frames import pack
from milepost.storage.archive import run_once
from milepost.storage.chain_digests import earlier, way
from milepost.storage.chain_head import Head, chain_head, drop_chain
from milepost.storage.chain_proof import Proof, ProofFails, check_proof, prove
from milepost.storage.chain_verify import ChainVerification, verify_chain
from milepost.storage.cold_files import cold_files, digest_of
from milepost.storage.content import Contents, path_of
from milepost.storage.due import Due
from milepost.storage.moving import move_out
from milepost.storage.objects import object_store
from milepost.storage.restore import restore_part

if TYPE_CHECKING:
    from fix_cli import Command

pytest_plugins = ["fix_cli"]

FAR = datetime(2100, 1, 1, tzinfo=UTC)
PLAIN = """
name = "chained"
[groups.team]
attributes.goal_m = "integer"
[verbs.run]
measures.distance_m = { type = "decimal(1)" }
data.note = { type = "text", filter = true }
content = { offload_over = "1 KiB" }
[rollups.of_team]
of = "run"
by = ["group"]
per = ["day", "all"]
values = ["count", "sum(distance_m)", "max(distance_m)"]
[goals.team_goal]
value = "of_team.sum(distance_m)"
target = "group.goal_m"
milestones = [50]
[keep.default]
hot = "30 days"
then = "delete"
"""
CHAINED = "chain = true" + PLAIN


class ChainSite(LifecycleSite):
    model = CHAINED

    async def prepare(self) -> None:
        await apply_model(self.owner, self.model)
        for name in ("a", "b"):
            self.tenants[name] = (await create_tenant(self.owner, name, 1)).tenant_id
        assert await self.lane.open()
        await self.command({"do": "put_group", "id": "team-1", "kind": "team", "attributes": {"goal_m": 1000}})
        await self.lane.run_once()

    async def load(self, *activities: dict[str, Any], tenant: str = "a") -> None:
        await self.send(activities, tenant)
        await self.lane.run_once()

    async def verified(self, **more: Any) -> ChainVerification:
        return await verify_chain(self.db, "a", **more)

    async def clean(self) -> ChainVerification:
        found = await self.verified()
        assert found.items == []
        return found


@asynccontextmanager
async def chain_site(db: Database, settings: Settings, model: str = CHAINED) -> AsyncIterator[ChainSite]:
    owner = await db.owner()
    queue = Queue(db, settings)
    await queue.start()
    made = ChainSite(db, owner, settings, queue)
    made.model = model
    try:
        await made.prepare()
        yield made
    finally:
        await made.lane.close()
        await queue.stop()
        await owner.close()


@pytest_asyncio.fixture
async def site(db: Database, settings: Settings) -> AsyncIterator[ChainSite]:
    async with chain_site(db, settings) as made:
        yield made


async def archived(site: ChainSite, *, days: float) -> None:
    """What is older goes to the archive."""
    before = NOW - timedelta(days=days)
    due = Due(condition="s.verb <> 'milestone' AND s.id < %(before)s", parameters={"before": id_from(before)}, border=FAR)
    assert (await run_once(site.db, due=due, settle_s=5)).rows


async def id_of(site: ChainSite, key: str) -> UUID:
    ((found,),) = await site.rows("SELECT id FROM milepost.activity WHERE tenant_id = %s AND key = %s", site.tenants["a"], key)
    return UUID(str(found))


async def erased(site: ChainSite, actor: str) -> None:
    ((digest,),) = await site.rows("SELECT encode(milepost.subject_of(%s, %s), 'hex')", site.tenants["a"], actor)
    assert (await site.did(do="erase", subject=digest, by="me"))["status"] == 200


async def salts_of(site: ChainSite, *ids: UUID) -> list[tuple[UUID, str, bool]]:
    """Each entry of these: its id, kind, and whether it has a salt."""
    return await site.rows(
        "SELECT e.id, b.kind, e.salt IS NOT NULL FROM milepost.chain_block b CROSS JOIN unnest(b.ids, b.salts) AS e (id, salt)"
        " WHERE b.tenant_id = %s AND e.id = ANY (%s) ORDER BY b.link, e.id",
        site.tenants["a"],
        list(ids),
    )


async def test_what_is_lawful_verifies(site: ChainSite) -> None:
    """Loads, retries, corrections, moves in time and back, retractions, retention, archiving, restoring and erasure; and what
    goes takes the salts of all that it ever was with it."""
    await site.load(*[ran(n, days=n / 4, actor=f"user-{n % 5}") for n in range(200)])
    await site.load(ran(0, days=0, actor="user-0"), ran(300, groups=["team-1", "team-2"], group=None))
    found = await site.clean()
    assert (found.links, found.entries) == (2, {"made": 201})
    first = [await id_of(site, f"run-{n}") for n in range(4)]
    await site.did(do="correct", id=str(first[0]), patch={"measures": {"distance_m": 1}})
    await site.did(do="correct", id=str(first[1]), patch={"occurred_at": (NOW - timedelta(days=3)).isoformat()})
    second = await id_of(site, "run-1")
    assert second != first[1]
    await site.clean()
    back = await site.did(do="correct", id=str(first[1]), patch={"occurred_at": (NOW - timedelta(days=1 / 4)).isoformat()})
    assert back["status"] == 200
    await site.did(do="correct", id=str(first[1]), patch={"occurred_at": (NOW - timedelta(days=2.5)).isoformat()})
    assert (await site.did(do="retract", id=str(first[2])))["status"] == 204
    found = await site.clean()
    assert found.entries == {"made": 201, "corrected": 4, "moved": 3, "retracted": 1}
    assert await site.retain() > 20
    await archived(site, days=10)
    found = await site.clean()
    assert found.entries["removed"] > 20
    # One that is archived is corrected, the month of others is restored, an actor is erased wherever it is.
    ((cold, part),) = await site.rows("SELECT low, part FROM milepost.cold_file ORDER BY low LIMIT 1")
    assert (await site.did(do="correct", id=str(cold), patch={"status": "late"}))["status"] == 200
    await site.clean()
    third = await id_of(site, "run-1")
    await restore_part(site.db, site.tenants["a"], part, keep=timedelta(0))
    await site.clean()
    await erased(site, "user-1")
    found = await site.clean()
    assert found.entries["erased"] > 20
    assert {has for _, _, has in await salts_of(site, first[1], second, third, first[2])} == {False}
    assert {has for _, _, has in await salts_of(site, first[0])} == {True}
    assert not any("chain" in where for where in await leftovers(site.owner, site.settings, await tenant(site), "user-1"))
    await site.check()


async def tenant(site: ChainSite) -> Tenant:
    async with site.db.transaction("point") as conn:
        return await find_tenant(conn, "a")


async def head_of(site: ChainSite, name: str = "a") -> Head:
    async with site.db.transaction("point", tenant_id=site.tenants[name]) as conn:
        return Head(**await chain_head(conn, site.tenants[name], name))


TAMPERING = {
    "a measure": ("UPDATE milepost.activity SET m_distance_m = m_distance_m + 1 WHERE id = %(id)s", {"changed"}),
    "a field of data": ('UPDATE milepost.activity SET data = data || \'{"note": ""}\' WHERE id = %(id)s', {"changed"}),
    "the time": ("UPDATE milepost.activity SET occurred_at = occurred_at - interval '1 us' WHERE id = %(id)s", {"changed"}),
    "a content in the row": ("UPDATE milepost.activity SET content = '{\"a\": 2}' WHERE id = %(id)s", {"changed"}),
    "a file": (
        "INSERT INTO milepost.activity_file (tenant_id, id, file_id, name, place)"
        " VALUES (%(tenant)s, %(id)s, gen_random_uuid(), 'scan', 0)",
        {"changed"},
    ),
    "who it was": ("UPDATE milepost.actor SET external_id = 'somebody' WHERE external_id = 'user-1'", {"changed"}),
    "a deleted row": ("DELETE FROM milepost.activity WHERE id = %(id)s", {"gone"}),
    "a deleted row, buried": (
        "WITH gone AS (DELETE FROM milepost.activity WHERE id = %(id)s)"
        " INSERT INTO milepost.tombstone (tenant_id, id) VALUES (%(tenant)s, %(id)s)",
        {"gone"},
    ),
    "an inserted row": (
        "INSERT INTO milepost.activity (tenant_id, id, occurred_at, received_at, actor_id, audience, verb)"
        " SELECT tenant_id, milepost.id_from(occurred_at + interval '1 ms'), occurred_at, received_at, actor_id, 0, verb"
        " FROM milepost.activity WHERE id = %(id)s",
        {"inserted"},
    ),
    "a row that was retracted": (
        "INSERT INTO milepost.activity (tenant_id, id, occurred_at, received_at, actor_id, audience, verb)"
        " SELECT tenant_id, %(retracted)s, occurred_at, received_at, actor_id, 0, verb FROM milepost.activity WHERE id = %(id)s",
        {"inserted"},
    ),
    "a taken salt": ("UPDATE milepost.chain_block SET salts[1] = NULL WHERE link = 2 AND place = 1", {"salt gone"}),
    "another digest": (
        "UPDATE milepost.chain_block SET digests[1] = sha256('') WHERE link = 2 AND place = 1",
        {"block", "link", "changed"},
    ),
    "another id": (
        "UPDATE milepost.chain_block SET ids[1] = milepost.chain_window(ids[1]), low = milepost.chain_window(ids[1])"
        " WHERE link = 2 AND place = 1",
        {"block", "link", "gone", "inserted"},
    ),
    "a deleted block": ("DELETE FROM milepost.chain_block WHERE link = 2 AND place = 1", {"link", "inserted"}),
    "an entry out of its block": (
        "UPDATE milepost.chain_block SET ids = ids[1:1], salts = salts[1:1], digests = digests[1:1], high = low"
        " WHERE link = 1 AND cardinality(ids) > 1",
        {"block", "link", "inserted"},
    ),
    "a block that is not looked at": (
        "UPDATE milepost.chain_block SET low = '00000000-0000-0000-0000-000000000000' WHERE link = 2 AND place = 1",
        {"block"},
    ),
    "a deleted link": ("DELETE FROM milepost.chain_link WHERE number = 2", {"link"}),
    "an added block": (
        "INSERT INTO milepost.chain_block SELECT tenant_id, link, 999, 'erased', low, high, ids, NULL, NULL, digest"
        " FROM milepost.chain_block WHERE link = 2 AND place = 1",
        {"block", "link", "inserted"},
    ),
    "links in another order": (
        "UPDATE milepost.chain_link l SET made_at = o.made_at, why = o.why, digest = o.digest FROM milepost.chain_link o"
        " WHERE l.tenant_id = %(tenant)s AND o.tenant_id = l.tenant_id AND l.number IN (2, 3) AND o.number = 5 - l.number",
        {"link"},
    ),
    "another moment": ("UPDATE milepost.chain_link SET made_at = made_at + interval '1 us' WHERE number = 2", {"link"}),
    "another reason": ("UPDATE milepost.chain_link SET why = 'erasure 7' WHERE number = 2", {"link"}),
    "a link less at the end": ("DELETE FROM milepost.chain_link WHERE number = 5", {"head"}),
}


async def test_each_tampering_is_named(site: ChainSite) -> None:
    """Whatever is done by SQL, as the owner of the tables, verify says what kind of thing it was and, where it was one activity, which."""
    await site.load(*[ran(n, days=n / 1000, actor=f"user-{n % 3}", content={"a": 1}) for n in range(20)])
    for n in (50, 60, 70):
        await site.load(ran(n, days=1 + n), ran(n + 1, days=1 + n))
    await site.load(ran(80), tenant="b")
    assert (await site.did(do="retract", id=str(await id_of(site, "run-5"))))["status"] == 204
    head = await head_of(site)
    ids = {"id": await id_of(site, "run-1"), "tenant": site.tenants["a"]}
    ((ids["retracted"],),) = await site.rows("SELECT id FROM milepost.tombstone WHERE tenant_id = %s", site.tenants["a"])
    tables = ("activity", "activity_file", "actor", "tombstone", "chain_link", "chain_block")
    for table in tables:
        await site.owner.execute(f"CREATE TABLE public.kept_{table} AS SELECT * FROM milepost.{table}".encode())
    await site.clean()
    for what, (statement, kinds) in TAMPERING.items():
        assert (await site.owner.execute(statement.encode(), ids)).rowcount > 0, what
        found = await site.verified(head=head if "end" in what else None)
        assert {item["kind"] for item in found.items} == kinds, (what, found.items)
        if "%(id)s" in statement and kinds != {"inserted"}:
            assert [item["id"] for item in found.items] == [str(ids["id"])], what
        for table in tables:
            await site.owner.execute(f"DELETE FROM milepost.{table}".encode())
            await site.owner.execute(f"INSERT INTO milepost.{table} SELECT * FROM public.kept_{table}".encode())
    await site.clean()


async def test_a_changed_archive_is_named(site: ChainSite) -> None:
    """A file whose row was changed, and with it all that the list of files says of it: the activity. One that is merely damaged: the
    file, and the rest is compared."""
    await site.load(*[ran(n, days=2 + n / 1000) for n in range(9)], *[ran(20 + n, days=n / 1000) for n in range(3)])
    four = await id_of(site, "run-4")
    await archived(site, days=1)
    await site.clean()
    ((file_id, path, *_),) = await site.rows("SELECT file_id, path FROM milepost.cold_file WHERE state = 'cold'")
    files = cold_files(site.settings)
    data = await files.get(path)
    scratch, other = files.scratch("parquet"), files.scratch("parquet")
    scratch.write_bytes(data)
    duckdb.sql(
        f"COPY (SELECT * REPLACE (CASE WHEN key = 'run-4' THEN 1 ELSE m_distance_m END AS m_distance_m) FROM read_parquet('{scratch}'))"
        f" TO '{other}' (FORMAT parquet)"
    )
    forged = other.read_bytes()
    await files.put(path, forged)
    await site.owner.execute(b"UPDATE milepost.cold_file SET digest = %s WHERE file_id = %s", (digest_of(forged), file_id))
    found = await site.verified()
    assert [(item["kind"], item["id"]) for item in found.items] == [("changed", str(four))]
    await files.put(path, forged[:-1] + b"?")
    for kept in files.folder.iterdir():
        kept.unlink()
    await site.owner.execute(b"DELETE FROM milepost.activity WHERE key = 'run-21'")
    found = await site.verified()
    assert sorted(item["kind"] for item in found.items) == ["file", "gone"]


async def test_contents_may_move_and_not_change(site: ChainSite) -> None:
    """A content that left its row before the load or after, verifies; another object in its place, well made, is named, and so is another
    reference."""
    large = [{"n": n, "text": f"{n * 7919:x} " * 400, "b": 1.50, "a": {"z": None}} for n in range(1, 4)]
    await site.load(ran(1, content=large[0]), ran(2, content={"small": True}), ran(3))
    two = await id_of(site, "run-2")
    assert (await site.did(do="correct", id=str(two), patch={"content": large[1]}))["status"] == 200
    await site.clean()
    contents = Contents(object_store(site.settings))
    assert await move_out(site.owner, contents)
    found = await site.clean()
    assert found.contents == 2
    assert (await site.did(do="correct", id=str(two), patch={"status": "read"}))["status"] == 200
    await site.clean()
    forged = pack(json.dumps(large[2]).encode())
    one = await id_of(site, "run-1")
    ((digest,),) = await site.rows("SELECT digest FROM milepost.activity_content WHERE id = %s", one)
    await contents.store.put(path_of(site.tenants["a"], bytes(digest)), forged.data)
    for size in (forged.text_bytes, forged.text_bytes + 1):
        await site.owner.execute(
            b"UPDATE milepost.content SET text_bytes = %s, object_bytes = %s, index_bytes = %s, index_digest = %s WHERE digest = %s",
            (size, len(forged.data), forged.index_bytes, forged.index_digest, digest),
        )
        found = await site.verified()
        assert [(item["kind"], item["id"]) for item in found.items] == [("content", str(one))]
    await site.owner.execute(b"UPDATE milepost.activity_content SET digest = %s WHERE id = %s", (digest, two))
    found = await site.verified(contents=False)
    assert [(item["kind"], item["id"]) for item in found.items] == [("changed", str(two))]


async def test_history_is_taken_in_when_a_chain_begins(
    db: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there, hot and archived, gets links of its own, in chunks, between loads and corrections that are linked at once. Before
    it is complete, verify leaves out what is not taken in."""
    monkeypatch.setattr(history, "CHUNK_ROWS", 10)
    async with chain_site(db, settings, PLAIN) as site:
        await site.load(*[ran(n, days=n / 10) for n in range(45)])
        await archived(site, days=2)
        await site.load(ran(100))
        with pytest.raises(NotFound):
            await site.verified()
        await apply_model(site.owner, CHAINED)
        oldest = await id_of(site, "run-20")
        await site.send([ran(101, days=1.55), ran(102)])
        await site.command({"do": "correct", "id": str(oldest), "patch": {"status": "late"}})
        assert await site.lane.poll()
        while site.lane.waiting:
            await site.lane.step()
        found = await site.clean()
        assert found.filling and found.entries == {"made": 2, "corrected": 1}
        assert await site.lane.history.fill()
        found = await site.clean()
        assert found.filling and found.entries["found"] == 10
        await site.lane.run_once()
        found = await site.clean()
        assert not found.filling
        assert found.entries == {"found": 45, "made": 2, "corrected": 1}
        await site.owner.execute(b"DELETE FROM milepost.activity WHERE key = 'run-3'")
        assert [item["kind"] for item in (await site.verified()).items] == ["gone"]


async def test_a_kept_head_shows_that_history_was_made_anew(site: ChainSite) -> None:
    """Whoever changes an activity and makes all links anew is not found by the chain, but by a head that was kept. So is a database
    that was put back to an earlier day, and a head that nobody gave."""
    await site.load(ran(1), ran(2))
    await site.load(ran(3))
    kept = await head_of(site)
    await site.load(ran(4))
    assert (await site.verified(head=kept)).items == []
    assert (await site.verified(head=msgspec.structs.replace(kept, made_at="2026-01-01T00:00:00Z"))).items[0]["kind"] == "head"
    await site.load(ran(5), tenant="b")
    assert (await site.verified(head=await head_of(site, "b"))).items[0]["kind"] == "head"
    await site.owner.execute(b"UPDATE milepost.activity SET m_distance_m = 7 WHERE key = 'run-1'")
    await drop_chain(site.owner, await tenant(site))
    assert [item["kind"] for item in (await site.verified(head=kept)).items] == ["head"]
    await site.lane.run_once()
    await site.load(ran(6))
    await site.load(ran(7))
    await site.clean()
    found = await site.verified(head=kept)
    assert [(item["kind"], item["link"]) for item in found.items] == [("head", kept.link)]


async def test_a_chain_that_ended(site: ChainSite) -> None:
    """A model without one ends it: its links are verified on, what is erased takes its salts with it, and it is not taken up again before
    it was dropped."""
    await site.load(*[ran(n, actor=f"user-{n}") for n in range(4)])
    one = await id_of(site, "run-1")
    await apply_model(site.owner, PLAIN)
    await site.load(ran(9))
    await erased(site, "user-1")
    assert await salts_of(site, one) == [(one, "made", False)]
    found = await site.clean()
    assert found.ended and found.links == 1
    with pytest.raises(Conflict, match="milepost chain drop --tenant a"):
        await apply_model(site.owner, CHAINED)
    assert await drop_chain(site.owner, await tenant(site)) == 1
    await apply_model(site.owner, CHAINED)
    await site.lane.run_once()
    assert (await site.clean()).entries == {"found": 3}


async def test_the_service_can_only_add(site: ChainSite) -> None:
    """Its role may forget salts, and neither change nor remove anything else of a chain."""
    await site.load(ran(1))
    for statement in (
        "DELETE FROM milepost.chain_block",
        "DELETE FROM milepost.chain_link",
        "UPDATE milepost.chain_block SET digests = NULL",
        "UPDATE milepost.chain_link SET why = ''",
    ):
        with pytest.raises(DatabaseError, match="permission denied"):
            async with site.db.transaction("write", tenant_id=site.tenants["a"]) as conn:
                await conn.execute(statement.encode())


async def test_a_load_that_ends_leaves_no_half_link(site: ChainSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between its link and its commit: neither is there, and the next try makes both, once."""

    class Ended(BaseException):
        pass

    def end(point: str) -> None:
        if point == "load.before_commit":
            raise Ended

    await site.load(ran(1))
    await site.send([ran(2), ran(3)])
    with monkeypatch.context() as patched, pytest.raises(Ended):
        patched.setattr(faults, "reach", end)
        await site.lane.run_once()
    assert (await site.clean()).links == 1
    await site.lane.run_once()
    found = await site.clean()
    assert (found.links, found.entries) == (2, {"made": 3})


async def test_the_daily_sample_sees_it(site: ChainSite) -> None:
    """The job `verify` has the newest links and activities compared, and keeps what differs."""
    await site.load(*[ran(n) for n in range(5)])
    work = Work(db=site.db, settings=site.settings, owner=site.owner, now=NOW)
    assert (await verify_samples(work))["chain"] == []
    await site.owner.execute(b"UPDATE milepost.activity SET status = 'forged' WHERE key = 'run-3'")
    assert [(item["tenant"], item["kind"]) for item in (await verify_samples(work))["chain"]] == [("a", "changed")]


def test_on_the_command_line(command: Command, template_url: str, tmp_path: Path) -> None:
    """A head is kept, all is verified against it, and what does not agree is said, with exit code 1; what is no head is wrong use."""

    async def prepare() -> None:
        settings = Settings(data_dir=tmp_path, write_pool_min=0, point_pool_min=0, analytics_pool_min=0, lanes=1)
        async with await Database.open(template_url, settings) as db, chain_site(db, settings) as made:
            await made.load(ran(1), ran(2))
            found_id.append(await id_of(made, "run-1"))

    found_id: list[UUID] = []
    in_own_loop(prepare)
    kept = tmp_path / "head.json"
    kept.write_text(command("chain", "head", "--tenant", "a", "--json").out)
    assert "link 1" in command("chain", "head", "--tenant", "a").out
    assert command("chain", "head", "--tenant", "b").code != 0
    done = command("chain", "verify", "--tenant", "a", "--head", kept)
    assert (done.code, done.out.strip()) == (0, "1 links up to 1 (2 made), 0 differences")
    kept.write_text(kept.read_text().replace('"link":1', '"link":2').replace('"link": 1', '"link": 2'))
    found = command("chain", "verify", "--tenant", "a", "--newest", "--head", kept, "--json")
    assert (found.code, {item["kind"] for item in found.json["items"]}) == (1, {"head"})
    kept.write_text("{}")
    assert command("chain", "verify", "--tenant", "a", "--head", kept).code == 2
    kept.write_text(command("chain", "head", "--tenant", "a", "--json").out)
    proof = tmp_path / "proof.json"
    proof.write_text(command("chain", "proof", str(found_id[0]), "--tenant", "a").out)
    checked = command("chain", "check", proof, "--head", kept)
    assert checked.code == 0 and checked.out.startswith("made in link 1 (loaded), ") and "run-1" in checked.out
    proof.write_text(proof.read_text().replace("run-1", "run-7"))
    assert command("chain", "check", proof, "--head", kept).code == 1
    assert command("chain", "check", kept, "--head", kept).code == 2
    assert command("chain", "drop", "--tenant", "a", "--json").json == {"links": 1}


async def proof_of(site: ChainSite, id: UUID, until: int | None = None) -> Proof:
    async with site.db.transaction("analytics", tenant_id=site.tenants["a"], snapshot=True) as conn:
        compiled = (await current_model(conn)).compiled
        return await prove(conn, await tenant(site), compiled, site.settings, id, until=until)


async def test_one_activity_is_proved_to_who_kept_a_head(site: ChainSite) -> None:
    """Hot, archived, corrected, with its content in the store, and gone; of a head of then or of now. A proof that was changed anywhere
    fails, and so does one that is held against another head; what is not as the chain has it is not proved."""
    await site.load(ran(1, days=5), ran(2, days=5))
    first = {n: await id_of(site, f"run-{n}") for n in (1, 2)}
    for n in range(3, 9):
        await site.load(ran(n, content={"n": n}))
    then = await head_of(site)
    one, three = first[1], await id_of(site, "run-3")
    await archived(site, days=1)
    for id_ in (one, three):
        check_proof(await proof_of(site, id_, then.link), then)
    long = {"text": "a b " * 400}
    assert (await site.did(do="correct", id=str(three), patch={"content": long}))["status"] == 200
    assert await move_out(site.owner, Contents(object_store(site.settings)))
    assert (await site.did(do="retract", id=str(first[2])))["status"] == 204
    now = await head_of(site)
    with pytest.raises(InvalidInput):
        await proof_of(site, three, then.link)
    found = await proof_of(site, three)
    check_proof(found, now)
    assert found.kind == "corrected" and found.said is not None and "team-1" in found.said.form
    gone = await proof_of(site, first[2])
    check_proof(gone, now)
    assert (gone.kind, gone.said, gone.links[-1].why) == ("retracted", None, "corrected")
    changed = msgspec.structs.replace
    for other in (
        changed(found, said=changed(found.said, form=found.said.form.replace("team-1", "team-2"))),
        changed(found, said=None),
        changed(found, id=one),
        changed(found, kind="made"),
        changed(found, block=[changed(found.block[0], digest="00" * 32)]),
        changed(found, blocks=[*found.blocks, "00" * 32]),
        changed(found, links=found.links[1:]),
        changed(found, links=[changed(found.links[0], why="loaded"), *found.links[1:]]),
    ):
        with pytest.raises(ProofFails):
            check_proof(other, now)
    with pytest.raises(ProofFails):
        check_proof(found, then)
    with pytest.raises(NotFound):
        await proof_of(site, UUID(int=7))
    await site.owner.execute(b"UPDATE milepost.activity SET status = 'forged' WHERE id = %s", (three,))
    with pytest.raises(Conflict):
        await proof_of(site, three)


def test_links_lead_to_all_before_them() -> None:
    """By ways that are short, each link on it naming the next."""
    for newest, number in ((1, 1), (7, 1), (1_000_000, 1), (1_048_575, 524_289), (999_999, 3)):
        links = list(way(newest, number))
        assert (links[0], links[-1]) == (newest, number) and len(links) < 250
        assert all(after in (one - 1, earlier(one)) for one, after in pairwise(links))
