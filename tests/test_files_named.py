"""Files of activities: named by tickets, shown, corrected, kept with what is archived, and gone with what is removed."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
import pytest_asyncio

from file_uploads import PNG, collected, objects, read, uploaded
from milepost.access.tenants import Tenant
from milepost.errors import Timeout
from milepost.jobs.growth import record_growth
from milepost.jobs.job import Work
from milepost.jobs.leftovers import leftovers
from milepost.jobs.retention import run_retention
from milepost.postgres import Database
from milepost.storage.archive import run_once
from milepost.storage.due import Due
from milepost.storage.restore import restore_part
from milepost.storage.tickets import Tickets
from test_storage_archive import indexed
from web_client import Api, tenant_on

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def outside() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=20) as client:
        yield client


def grade(*tickets: str, actor: str = "ana", **fields: Any) -> dict[str, Any]:
    return {"actor": actor, "verb": "grade", "group": "team-1", "files": {"scan": list(tickets)}} | fields


async def sent(api: Api, *activities: dict[str, Any]) -> list[str]:
    taken = await api.send(*activities, headers={"prefer": "wait=20, return=representation"})
    return [f"/v1/activities/{one}" for one in taken["ids"]]


def ids(activity: dict[str, Any], name: str = "scan") -> list[str]:
    return [one["id"] for one in activity.get("files", {}).get(name, [])]


async def test_an_activity_shows_the_files_that_it_names(api: Api, outside: httpx.AsyncClient) -> None:
    """In their order, wherever activities are shown, and only where it has some; they are kept from then on."""
    first, second = await uploaded(api, outside), await uploaded(api, outside, filename=None)
    with_both, plain = await sent(api, grade(second["ticket"], first["ticket"]), {"actor": "ana", "verb": "grade"})
    shown = await api.get(with_both)
    assert ids(shown) == [second["id"], first["id"]]
    url = f"/v1/files/{first['id']}/data"
    assert shown["files"]["scan"][1] == {
        "id": first["id"], "type": "image/png", "bytes": len(PNG), "filename": "Übung 1.png", "url": url,
    }  # fmt: skip
    assert "files" not in await api.get(plain)
    listed = (await api.get("/v1/activities"))["items"]
    assert shown in listed and [one["files"] for one in listed if "files" in one] == [shown["files"]]
    assert (await api("GET", url)).content == PNG
    assert await collected(api, after="60 hours") in (0, 2)  # swept, and not collected
    assert (await api("GET", url)).content == PNG


async def test_a_viewer_reads_the_files_of_what_it_sees(api: Api, outside: httpx.AsyncClient) -> None:
    """A private activity's file is its actor's; one that nobody names is nobody's."""
    mine, loose, shared = [await uploaded(api, outside) for _ in range(3)]
    await sent(
        api,
        grade(mine["ticket"], visibility="private"),
        grade(shared["ticket"], visibility="private"),
        grade(shared["ticket"], actor="cleo", visibility="public"),
        {"actor": "ben", "verb": "grade"},
    )
    for viewer, file, status in (("ana", mine, 200), ("ben", mine, 404), ("ana", loose, 404), ("ben", shared, 200)):
        for path in ("", "/data"):
            answer = await api("GET", f"/v1/files/{file['id']}{path}", headers={"milepost-viewer": viewer})
            assert answer.status_code == status, (viewer, path, answer.text)


async def test_what_an_activity_may_not_name_is_refused_with_its_place(
    api: Api, outside: httpx.AsyncClient, served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An id, a ticket of another name, verb or tenant, one that has ended, one twice, too many: and the others of the batch go on."""
    one, other = await uploaded(api, outside), await uploaded(api, outside, name="other")
    tenant_id, keys = await tenant_on(served)
    theirs = await uploaded(Api(served, api.client, tenant_id, keys), outside)
    more = [(await uploaded(api, outside))["ticket"] for _ in range(3)]
    ended = api.services.files.tickets.ticket(api.tenant_id, "grade", "scan", UUID(one["id"]), time.time() - 1)
    wrong = [
        (grade(one["id"]), "/files/scan/0"),
        (grade(one["ticket"], other["ticket"]), "/files/scan/1"),
        (grade(theirs["ticket"]), "/files/scan/0"),
        (grade(ended), "/files/scan/0"),
        (grade(one["ticket"], one["ticket"]), "/files/scan/1"),
        (grade(one["ticket"], *more), "/files/scan"),
        (grade("x" * 48), "/files/scan/0"),
        (grade(files={"selfie": [one["ticket"]]}), "/files/selfie"),
        (grade(one["ticket"], verb="assign"), "/files/scan"),
        (grade(one["ticket"], verb="excuse"), "/files"),
    ]
    body = {"activities": [grade(one["ticket"]), *(activity for activity, _ in wrong), {"actor": "ana", "verb": "grade"}]}
    answer = await api("POST", "/v1/activities", json=body, headers={"prefer": "wait=20"})
    taken = answer.json()
    assert (taken["accepted"], taken["loaded"]) == (2, 2), answer.text
    assert [(item["index"], item["pointer"]) for item in taken["rejected"]] == [
        (index, pointer) for index, (_, pointer) in enumerate(wrong, 1)
    ]


async def test_intake_asks_nobody(api: Api, outside: httpx.AsyncClient) -> None:
    """What is signed is right, whoever is away: the acceptor has no connection to anything."""
    one = await uploaded(api, outside)
    acceptor = api.services.models.current.acceptor
    now = datetime.now(UTC)
    accepted = acceptor.accept(api.tenant_id, msgspec.json.encode({"activities": [grade(one["ticket"])]}), now)
    assert (accepted.rows, accepted.rejected) == (1, ())
    forged = Tickets(b"another secret").ticket(api.tenant_id, "grade", "scan", UUID(one["id"]), time.time() + 60)
    refused = acceptor.accept(api.tenant_id, msgspec.json.encode({"activities": [grade(forged)]}), now)
    assert refused.rows == 0 and refused.rejected[0].pointer == "/files/scan/0"


async def test_what_comes_again_keeps_its_files_and_what_comes_too_late_is_gone(api: Api, outside: httpx.AsyncClient) -> None:
    """A retry with other files changes nothing; an activity whose file was collected meanwhile counts, and says so."""
    one, other, late = [await uploaded(api, outside) for _ in range(3)]
    same = {"key": "k", "occurred_at": "2026-11-01T10:00:00Z"}
    (path,) = await sent(api, grade(one["ticket"], **same))
    again = await api.send(grade(other["ticket"], **same))
    assert again["duplicates"] == 1 and ids(await api.get(path)) == [one["id"]]
    await collected(api, after="60 hours")
    (path,) = await sent(api, grade(late["ticket"]))
    assert (await api.get(path))["files"] == {"scan": [{"id": late["id"], "gone": True}]}
    assert (await api("GET", f"/v1/files/{late['id']}")).status_code == 404
    assert (await api("PATCH", path, json={"status": "late"})).status_code == 200
    assert (await api.get(path))["files"]["scan"][0]["gone"]


async def test_a_correction_names_other_files(api: Api, outside: httpx.AsyncClient) -> None:
    """By ids that it has and tickets that are new; at another time, too; what it drops goes in a day, what it keeps stays."""
    one, two, other = await uploaded(api, outside), await uploaded(api, outside), await uploaded(api, outside, name="other")
    (path,) = await sent(api, grade(one["ticket"], files={"scan": [one["ticket"]], "other": [other["ticket"]]}))
    moved = await api(
        "PATCH", path, json={"occurred_at": "2026-02-01T10:00:00Z", "files": {"scan": [two["ticket"], one["id"]]}}
    )
    assert moved.status_code == 200, moved.text
    assert ids(moved.json()) == [two["id"], one["id"]] and ids(moved.json(), "other") == [other["id"]]
    strange = await uploaded(api, outside, name="other")
    for name, value in (("scan", [strange["ticket"]]), ("scan", ["x"]), ("selfie", [one["ticket"]])):
        answer = await api("PATCH", path, json={"files": {name: value}})
        assert answer.status_code == 422 and answer.json()["errors"][0]["pointer"].startswith(f"/files/{name}"), answer.text
    assert (await api("PATCH", path, json={"files": {"scan": [two["id"]], "other": None}})).status_code == 200
    shown = await api.get(path)
    assert shown["files"] == {"scan": [moved.json()["files"]["scan"][0]]}
    assert len(await objects(api.services.files.store, api.tenant_id)) == 4
    await collected(api, after="60 hours")
    assert [one for one in await objects(api.services.files.store, api.tenant_id) if two["id"] in one] != []
    assert len(await objects(api.services.files.store, api.tenant_id)) == 1
    assert (await api("DELETE", path)).status_code == 204
    await collected(api, after="60 hours")
    assert await objects(api.services.files.store, api.tenant_id) == []


async def test_versions_keep_the_files_that_they_name(api: Api, outside: httpx.AsyncClient) -> None:
    """One that was dropped is there for the version that had it, and comes back with it."""
    sheet = {"verb": "assign", "name": "sheet", "type": "text/csv", "filename": None}
    one, two = await uploaded(api, outside, b"a,b\n1,2\n", **sheet), await uploaded(api, outside, b"c,d\n3,4\n", **sheet)
    (path,) = await sent(api, {"actor": "ana", "verb": "assign", "files": {"sheet": [one["ticket"]]}})
    assert (await api("PATCH", path, json={"files": {"sheet": [two["ticket"]]}})).status_code == 200
    assert ids(await api.get(path), "sheet") == [two["id"]]
    assert (await api.get(f"{path}/versions/1"))["activity"]["files"] == {"sheet": [one["id"]]}
    await collected(api, after="60 hours")
    assert (await api("POST", f"{path}/versions/1/restore")).status_code == 200
    assert ids(await api.get(path), "sheet") == [one["id"]]
    data = await api("GET", f"/v1/files/{one['id']}/data")
    assert data.content == b"a,b\n1,2\n" and data.headers["content-disposition"] == "attachment"


async def test_erasing_an_actor_takes_its_files(api: Api, outside: httpx.AsyncClient) -> None:
    """Their objects, before the receipt says so; what others name as well is theirs."""
    mine, shared = await uploaded(api, outside), await uploaded(api, outside)
    await sent(api, grade(mine["ticket"]), grade(shared["ticket"]), grade(shared["ticket"], actor="ben"))
    answer = await api("POST", "/v1/admin/erase", json={"actor": "ana"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["receipt"]["removed"]["file"] == 2
    (left,) = await objects(api.services.files.store, api.tenant_id)
    assert shared["id"] in left
    assert (await api("GET", f"/v1/files/{mine['id']}")).status_code == 404
    async with await Database.connect_owner(api.served.url) as owner:
        tenant = Tenant(tenant_id=api.tenant_id, name="t", lane=0, created_at=datetime.now(UTC))
        assert "file" not in await leftovers(owner, api.served.settings, tenant, "ana")
        await api.services.files.store.put(f"files/{api.tenant_id}/00/{mine['id']}.1", b"left")
        assert (await leftovers(owner, api.served.settings, tenant, "ana"))["file"] == 1


async def test_retention_takes_files(api: Api, outside: httpx.AsyncClient) -> None:
    """With the activities that it removes, at the next upkeep; those of others stay."""
    old, young = await uploaded(api, outside), await uploaded(api, outside)
    (gone, _) = await sent(api, grade(old["ticket"], occurred_at="2020-01-05T10:00:00Z"), grade(young["ticket"]))
    async with await api.services.db.owner() as owner:
        row = await (await owner.execute(b"SELECT name FROM milepost.tenant WHERE tenant_id = %s", (api.tenant_id,))).fetchone()
        assert row is not None
    await run_retention(api.services.db, api.served.settings, tenant=row[0])
    assert (await api("GET", gone)).status_code == 404
    await collected(api)
    (left,) = await objects(api.services.files.store, api.tenant_id)
    assert young["id"] in left


async def test_what_is_archived_keeps_its_files(api: Api, outside: httpx.AsyncClient) -> None:
    """In the archive and back from it; retraction takes them; storage counts them."""
    one = await uploaded(api, outside)
    (path,) = await sent(api, grade(one["ticket"], occurred_at="2026-01-05T10:00:00Z"))
    before = await api.get(path)
    with suppress(Timeout):
        await indexed(api)
    due = Due(condition="s.verb <> 'milestone'", parameters={}, border=datetime(2026, 2, 1, tzinfo=UTC))
    await run_once(api.services.db, due=due.unless("s.tenant_id <> %(only)s", only=api.tenant_id), settle_s=5)
    await collected(api, after="60 hours")
    assert await api.get(path) == before
    assert (await api("GET", f"/v1/files/{one['id']}/data")).content == PNG
    assert (await read(api, outside, (await api.get(f"/v1/files/{one['id']}"))["link"])).content == PNG
    async with await api.services.db.owner() as owner:
        work = Work(db=api.services.db, settings=api.served.settings, owner=owner, now=datetime.now(UTC))
        recorded = await record_growth(work)
        assert any(
            (item["tier"], item["kind"]) == ("content", "file") and item["bytes"] >= len(PNG) for item in recorded["items"]
        )
        rows = await (
            await owner.execute(b"SELECT part FROM milepost.cold_file WHERE tenant_id = %s", (api.tenant_id,))
        ).fetchall()
    for (part,) in rows:
        await restore_part(api.services.db, api.tenant_id, part, keep=timedelta(days=1))
    assert await api.get(path) == before
