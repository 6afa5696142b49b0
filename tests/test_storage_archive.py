"""Archiving: what is due leaves PostgreSQL, and every reading path goes on as if it had not."""

from __future__ import annotations

import shutil
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from fix_queue import value
from milepost.background import Pace
from milepost.errors import NotFound, Timeout
from milepost.model import parse_model
from milepost.rollups.verify import verify
from milepost.search.indexer import Indexer
from milepost.storage import _export
from milepost.storage._cold_columns import columns_of_row
from milepost.storage.archive import ArchiveRun, run_once
from milepost.storage.check import check
from milepost.storage.cold_files import ColdFileDamaged, cold_files
from milepost.storage.due import Due, due_at
from milepost.storage.restore import restore_one, restore_part
from milepost.storage.rewrite import rewrite
from web_client import Api, run_of

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

EVERYTHING = Due(condition="s.verb <> 'milestone'", parameters={}, border=datetime(2026, 4, 1, tzinfo=UTC))


def minute_of(number: int, **fields: Any) -> dict[str, Any]:
    """An activity at its own minute of a day of January or March."""
    day = f"2026-{'01' if number < 60 else '03'}-{1 + number // 60:02}"
    groups = ["team-1", "team-2"] if number % 3 == 0 else ["team-1"]
    return run_of(**({"occurred_at": f"{day}T07:{number % 60:02}:00Z", "key": str(number), "groups": groups} | fields))


async def indexed(api: Api) -> None:
    """What the search index has not taken in is not archived."""
    query = """SELECT NOT EXISTS (SELECT FROM milepost.search_progress WHERE tenant_id = %(t)s) OR EXISTS (
        SELECT FROM milepost.search_progress p WHERE filled_to > '00000000-0000-0000-0000-000000000000'
        OR EXISTS (SELECT FROM milepost.journal j WHERE j.tenant_id = p.tenant_id AND j.position > p.position))"""
    async with await api.services.db.owner() as owner:
        while await value(owner, query, {"t": api.tenant_id}):
            with suppress(Timeout):  # the server's own is at it
                await Indexer(api.services.db).run_once()


async def archive(api: Api, due: Due = EVERYTHING) -> ArchiveRun:
    await indexed(api)
    due = due.unless("s.tenant_id <> %(only)s", only=api.tenant_id)
    done = await run_once(api.services.db, due=due, settle_s=5)
    assert done.waiting == []
    return done


async def hot(api: Api) -> int:
    async with await api.services.db.owner() as owner:
        return int(await value(owner, "SELECT count(*) FROM milepost.activity WHERE tenant_id = %s", (api.tenant_id,)))


async def differences(api: Api) -> list[Any]:
    async with await api.services.db.owner() as owner:
        name = await value(owner, "SELECT name FROM milepost.tenant WHERE tenant_id = %s", (api.tenant_id,))
    return (await verify(api.services.db, tenant=name)).items


async def dumped(api: Api) -> list[str]:
    """Every row of the tenant, and its stream rows, as text."""
    query = """SELECT a::text FROM milepost.activity a WHERE tenant_id = %(t)s
        UNION ALL SELECT a::text FROM milepost.activity_stream a WHERE tenant_id = %(t)s ORDER BY 1"""
    async with await api.services.db.owner() as owner:
        return [row[0] for row in await (await owner.execute(query.encode(), {"t": api.tenant_id})).fetchall()]


async def answers(api: Api) -> dict[str, Any]:
    """What reading paths answer, page by page."""
    found: dict[str, Any] = {}
    for path in ("/v1/activities", "/v1/groups/team-1/feed", "/v1/groups/team-2/feed", "/v1/actors/user-1/feed"):
        found[path] = await api.all_pages(path, limit=20)
    found["put together"] = await api.all_pages("/v1/groups/team-1/feed", aggregate="true", limit=20)
    found["run"] = await api.all_pages("/v1/activities", verb="run", limit=30)
    for item in found["/v1/activities"][:3] + found["/v1/activities"][-3:]:
        found[item["id"]] = await api.get(f"/v1/activities/{item['id']}")
    return found


async def test_a_month_is_archived_and_read_as_before(api: Api) -> None:
    """What was archived is in every list at its place, with one cursor across the border, and by its id."""
    await api.send(
        *(
            minute_of(n, groups=["team-1", "team-2"] if n % 3 == 0 else ["team-1"], data={"note": f'no {n}, "so"\n'})
            for n in range(100)
        )
    )
    before, rows = await answers(api), await dumped(api)
    january = Due(condition="true", parameters={}, border=datetime(2026, 2, 1, tzinfo=UTC))
    done = await archive(api, january)
    assert done.rows == 60
    assert await hot(api) == 40
    assert await answers(api) == before
    back = await restore_part(api.services.db, api.tenant_id, "activity_2026_01", keep=timedelta(days=30))
    assert back.rows == 60
    assert await dumped(api) == rows
    assert await answers(api) == before
    assert (await archive(api, january)).rows == 0


async def test_a_team_is_first_here_and_second_there(api: Api) -> None:
    """What is a group's own and what is addressed to it as well come as one list, whole and in order, however short the pages are and
    whatever else is asked."""
    both: tuple[list[str], ...] = (["team-1", "team-2"], ["team-2", "team-1"], ["team-2"], ["team-1"], [])
    await api.send(*(minute_of(n, groups=both[n % 5], actor=f"user-{n % 2}") for n in range(50)))
    asked: list[tuple[str, dict[str, Any]]] = [
        ("/v1/groups/team-2/feed", {}),
        ("/v1/activities", {"group": "team-2", "actor": "user-1"}),
    ]
    before = [await api.all_pages(path, limit=7, **params) for path, params in asked]
    assert [len(items) for items in before] == [30, 15]
    await archive(api)
    assert await hot(api) == 0
    assert [await api.all_pages(path, limit=7, **params) for path, params in asked] == before


async def test_a_page_opens_the_files_that_it_needs(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that begins within a file, of which it has next to nothing, does not open many more for what then seems to be missing."""
    monkeypatch.setattr(_export, "FILE_ROWS_MAX", 10)
    await api.send(*(minute_of(n) for n in range(60)))
    await archive(api)
    first = await api.get("/v1/groups/team-2/feed", params={"limit": 2})
    folder = cold_files(api.services.settings).folder
    shutil.rmtree(folder)
    page = await api.get("/v1/groups/team-2/feed", params={"limit": 4, "cursor": first["next"]})
    assert [item["key"] for item in page["items"]] == ["51", "48", "45", "42"]
    assert len(list(folder.glob("*.parquet"))) == 3


async def test_what_changes_between_slices(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run reads a slice at a time and keeps nothing open in between; what comes, changes or goes meanwhile, on either side of where it is,
    is neither lost nor there twice."""
    monkeypatch.setattr(_export, "SLICE_ROWS", 10)
    await api.send(*(minute_of(n) for n in range(60)))
    items = await api.all_pages("/v1/activities")
    ids = {int(item["key"]): f"/v1/activities/{item['id']}" for item in items}
    expected: list[dict[str, Any]] = []
    held: list[str] = []
    exporters: list[_export.Exporter] = []
    pauses, take = 0, _export.Exporter._take

    async def noted(self: _export.Exporter, *given: Any) -> Any:
        exporters[:] = [self]
        return await take(self, *given)

    async def pause(_: Pace) -> None:
        nonlocal pauses
        pauses += 1
        held.extend(one.reading.info.transaction_status.name for one in exporters)
        if pauses == 3:  # the first thirty are read
            for number, change in {
                5: {"status": "failed"},
                45: {"status": "failed"},
                6: {"occurred_at": "2026-01-01T07:46:30Z"},
                46: {"occurred_at": "2026-01-01T07:06:30Z"},
            }.items():
                assert (await api("PATCH", ids[number], json=change)).status_code == 200
            for number in (7, 47):
                assert (await api("DELETE", ids[number])).status_code == 204
            await api.send(minute_of(8, key="late, read"), minute_of(48, key="late, to be read"))
            expected.extend(await api.all_pages("/v1/activities"))

    await indexed(api)
    async with await api.services.db.owner() as owner:
        name = await value(owner, "SELECT name FROM milepost.tenant WHERE tenant_id = %s", (api.tenant_id,))
    monkeypatch.setattr(Pace, "pause", pause)
    monkeypatch.setattr(_export.Exporter, "_take", noted)
    assert (await run_once(api.services.db, due=EVERYTHING, tenant=name, settle_s=5)).rows >= 56
    monkeypatch.undo()
    assert pauses >= 6 and set(held) == {"IDLE"}
    assert len(expected) == 60
    assert await api.all_pages("/v1/activities") == expected
    assert 4 <= await hot(api) <= 8
    assert await differences(api) == []
    await archive(api)
    assert await hot(api) == 0
    assert await api.all_pages("/v1/activities") == expected
    checked = await check(api.services.db, tenant_id=api.tenant_id)
    assert (checked.rows, checked.damaged) == (60, [])


@pytest.mark.parametrize(
    ("rests", "expected"), [(True, 3), (False, 2)]
)  # ten, forty and the last ten; twenty and the last forty
async def test_what_stays_is_walked_in_strides(
    api: Api, monkeypatch: pytest.MonkeyPatch, *, rests: bool, expected: int
) -> None:
    """Where nothing is due, a look has more and more rows: a partition that stays costs each run little. One that never rests takes more
    at once."""
    monkeypatch.setattr(_export, "SLICE_ROWS", 10)
    monkeypatch.setattr(_export, "SLICE_ROWS_HURRIED", 20)
    monkeypatch.setattr(Pace, "rests", property(lambda _: rests))
    await api.send(*(minute_of(n) for n in range(60)))
    await indexed(api)
    async with await api.services.db.owner() as owner:
        name = await value(owner, "SELECT name FROM milepost.tenant WHERE tenant_id = %s", (api.tenant_id,))
    looks = 0

    async def pause(_: Pace) -> None:
        nonlocal looks
        looks += 1

    monkeypatch.setattr(Pace, "pause", pause)
    done = await run_once(api.services.db, due=Due(condition="false", parameters={}, border=EVERYTHING.border), tenant=name)
    assert (done.rows, looks, await hot(api)) == (0, expected, 60)


async def test_every_column_is_archived(api: Api) -> None:
    """A column that the activity table gains is either archived, or said by others: forgotten, it would be lost with each month."""
    columns = columns_of_row(api.services.models.current.compiled.columns)
    async with await api.services.db.owner() as owner:
        query = """SELECT attname FROM pg_attribute WHERE attrelid = 'milepost.activity'::regclass AND attnum > 0 AND NOT attisdropped"""
        names = {row[0] for row in await (await owner.execute(query.encode())).fetchall()}
    assert names == {"tenant_id", *(column.target for column in columns)}


async def test_what_is_sent_again_counts_once(api: Api) -> None:
    """An archived activity that comes again is a duplicate; a late one of its month is new, is read among them, and goes with the next run."""
    sent = [minute_of(n) for n in range(10)]
    await api.send(*sent)
    await archive(api)
    assert await hot(api) == 0
    assert (await api.send(*sent[:5], minute_of(50)))["duplicates"] == 5
    assert await hot(api) == 1
    assert [int(item["key"]) for item in await api.all_pages("/v1/activities")] == [50, *range(9, -1, -1)]
    await archive(api)
    assert await hot(api) == 0
    assert [int(item["key"]) for item in await api.all_pages("/v1/activities")] == [50, *range(9, -1, -1)]
    assert await differences(api) == []


async def test_what_changes_comes_back_first(api: Api) -> None:
    """An archived activity is corrected and retracted like any other, and its file is written anew without it."""
    await api.send(*(minute_of(n) for n in range(10)))
    ids = [item["id"] for item in await api.all_pages("/v1/activities")]
    await archive(api)
    corrected = await api("PATCH", f"/v1/activities/{ids[0]}", json={"status": "failed"})
    assert (corrected.status_code, corrected.json()["status"]) == (200, "failed")
    moved = await api("PATCH", f"/v1/activities/{ids[1]}", json={"occurred_at": "2026-03-09T00:00:00Z"})
    assert moved.status_code == 200
    assert (await api("DELETE", f"/v1/activities/{ids[2]}")).status_code == 204
    assert (await api("GET", f"/v1/activities/{ids[2]}")).status_code == 404
    before = await answers(api)
    assert [item["id"] for item in before["/v1/activities"]] == [ids[1], ids[0], *ids[3:]]
    await archive(api)
    assert await hot(api) == 0
    assert await answers(api) == before
    assert (await api.get(f"/v1/activities/{ids[1]}"))["occurred_at"] == "2026-03-09T00:00:00Z"
    assert (await api.send(minute_of(7)))["duplicates"] == 1  # the retracted one stays so
    checked = await check(api.services.db, tenant_id=api.tenant_id)
    assert (checked.rows, checked.damaged) == (9, [])
    assert await differences(api) == []


async def test_one_activity_is_restored(api: Api) -> None:
    """One activity comes back by its id, and stays for the time that was asked for."""
    await api.send(*(minute_of(n) for n in range(10)))
    items = await api.all_pages("/v1/activities")
    await archive(api)
    back = await restore_one(api.services.db, api.tenant_id, UUID(items[4]["id"]), keep=timedelta(days=1))
    assert (back.rows, await hot(api)) == (1, 1)
    assert await api.all_pages("/v1/activities") == items
    await archive(api)
    assert await hot(api) == 1
    with pytest.raises(NotFound):
        await restore_one(api.services.db, api.tenant_id, UUID(int=5), keep=timedelta(days=1))


async def test_a_damaged_file_is_named_and_never_served(api: Api) -> None:
    """A file of which a byte changed, or that is gone, is found by check, and pages that need it answer 503; others go on."""
    await api.send(*(minute_of(n) for n in range(70)))
    january = Due(condition="true", parameters={}, border=datetime(2026, 2, 1, tzinfo=UTC))
    await archive(api, january)
    assert (await check(api.services.db, tenant_id=api.tenant_id)).damaged == []
    async with await api.services.db.owner() as owner:
        query = "SELECT path FROM milepost.cold_file WHERE tenant_id = %s AND state = 'cold'"
        path = await value(owner, query, (api.tenant_id,))
    files = cold_files(api.services.settings)
    whole = await files.get(path)
    for data in (whole[:100] + bytes([whole[100] ^ 1]) + whole[101:], None):
        if data is None:
            await files.delete(path)
        else:
            await files.put(path, data)
        found = await check(api.services.db, tenant_id=api.tenant_id)
        assert [one["path"] for one in found.damaged] == [path]
        shutil.rmtree(files.folder, ignore_errors=True)
        assert len((await api.get("/v1/activities", params={"limit": 5}))["items"]) == 5
        answer = await api("GET", "/v1/activities", params={"limit": 50})
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/archive-unavailable")
        assert path in answer.json()["detail"]
    await files.put(path, whole)
    assert len(await api.all_pages("/v1/activities")) == 70


async def test_a_late_batch_waits_for_the_archive(api: Api) -> None:
    """While the store does not answer, what is late waits and is no dead letter; what is not goes on with other tenants."""
    await api.send(*(minute_of(n) for n in range(5)))
    await archive(api)
    files = cold_files(api.services.settings)
    shutil.rmtree(files.folder, ignore_errors=True)
    aside = files.folder.with_name("elsewhere")
    objects = api.services.settings.data_dir / "objects"
    objects.rename(aside)
    try:
        answer = await api("POST", "/v1/activities", json={"activities": [minute_of(2)]}, headers={"prefer": "wait=1"})
        assert answer.status_code == 202
    finally:
        shutil.rmtree(objects, ignore_errors=True)
        aside.rename(objects)
    assert (await api.send(minute_of(3)))["duplicates"] == 1
    assert len(await api.all_pages("/v1/activities")) == 5
    letters = await api.get("/v1/admin/dead-letters")
    assert letters["items"] == []


async def test_without_some_of_it_a_file_is_written_anew(api: Api) -> None:
    """Files are rewritten without ids, and without all of an actor's; what is replaced is gone from the store."""
    await api.send(*(minute_of(n, actor=f"user-{n % 3}") for n in range(30)))
    items = await api.all_pages("/v1/activities")
    await archive(api)
    db = api.services.db
    async with await db.owner() as owner:
        query = "SELECT actor_id FROM milepost.actor WHERE tenant_id = %s AND external_id = 'user-1'"
        actor = await value(owner, query, (api.tenant_id,))
    first = next(item for item in items if item["actor"] == "user-0")
    done = await rewrite(db, api.tenant_id, ids=[UUID(first["id"])], actors=[actor], at_once=True)
    assert done.rows == 11
    left = [item for item in items if item["actor"] != "user-1" and item["id"] != first["id"]]
    assert await api.all_pages("/v1/activities") == left
    with pytest.raises(ColdFileDamaged):
        await cold_files(api.services.settings).get(done.paths[0])
    assert (await rewrite(db, api.tenant_id, actors=[actor])).rows == 0
    assert (await rewrite(db, api.tenant_id, ids=[UUID(item["id"]) for item in left])).rows == 19
    assert await api.all_pages("/v1/activities") == []


async def test_the_model_says_what_is_due(api: Api) -> None:
    """Each verb goes by its policy, or by a narrower one before it; by its last change, what somebody still works on stays with all that
    is of its object."""
    model = parse_model(
        'name = "k"\n[verbs.run]\n[verbs.grade]\n[verbs.submit]\n[verbs.note]\n[keep.open]\nof = ["run"]\nstatus = ["open"]\nhot = "10 years"\narchive = "11 years"\n[keep.default]\nhot = "30 days"\narchive = "1 year"\n'
        '[keep.grades]\nof = ["grade"]\nage = "last change"\nhot = "30 days"\narchive = "1 year"\n[keep.notes]\nof = ["note"]\nhot = "1 day"\n'
    )
    verbs = {"run": "a", "grade": "b", "submit": "c"}
    old, new = "2026-01-05T00:00:00Z", "2026-03-05T00:00:00Z"
    for verb, key in verbs.items():
        await api.send(
            run_of(
                verb=verb, key=key, occurred_at=old, object={"kind": "workout" if verb == "run" else "assessment", "id": key}
            )
        )
    await api.send(run_of(key="o", occurred_at=old, status="open"))
    await api.send(run_of(verb="grade", key="d", occurred_at=old, object={"kind": "assessment", "id": "d"}))
    await api.send(run_of(verb="grade", key="e", occurred_at=new, object={"kind": "assessment", "id": "d"}))
    async with await api.services.db.owner() as owner:
        due = await due_at(owner, model, datetime(2026, 3, 10, tzinfo=UTC))
        assert due is not None
        # They were received today, which is a change; so it is asked as if they had not been.
        condition = due.condition.replace("s.received_at", "s.occurred_at")
        query = f"SELECT key FROM milepost.activity s WHERE tenant_id = %(t)s AND ({condition}) ORDER BY 1"
        found = await (await owner.execute(query.encode(), {**due.parameters, "t": api.tenant_id})).fetchall()
    assert [row[0] for row in found] == ["a", "b", "c"]
    assert due.border == datetime(2026, 2, 8, tzinfo=UTC)


async def test_who_may_see_what_is_archived(api: Api) -> None:
    """`check` answers of an archived activity as it did before, under its first id, too; of one that is gone, no."""
    await api("PUT", "/v1/groups/team-1", json={"kind": "team"}, headers={"prefer": "wait=10"})
    await api("PUT", "/v1/groups/team-1/members/ana", json={"role": "member"}, headers={"prefer": "wait=10"})
    sent = [minute_of(n, visibility=one) for n, one in enumerate(("public", "group", "private", "group"))]
    ids = (await api.send(*sent, headers={"prefer": "wait=20, return=representation"}))["ids"]
    moved = {"occurred_at": "2026-01-02T09:00:00Z"}
    assert (await api("PATCH", f"/v1/activities/{ids[3]}", json=moved, headers={"prefer": "wait=10"})).status_code == 200
    checks = [{"actor": actor, "action": "read", "activity": id} for actor in ("ana", "zoe") for id in ids]
    before = (await api("POST", "/v1/check", json={"checks": checks})).json()
    assert [one["allowed"] for one in before["checks"]] == [
        True,
        True,
        False,
        True,
        *[one["allowed"] for one in before["checks"][4:]],
    ]
    assert not all(one["allowed"] for one in before["checks"][4:])
    await archive(api)
    assert await hot(api) == 0
    assert (await api("POST", "/v1/check", json={"checks": checks})).json() == before
    assert (await api("DELETE", f"/v1/activities/{ids[0]}", headers={"prefer": "wait=10"})).status_code == 204
    after = (await api("POST", "/v1/check", json={"checks": checks})).json()
    assert [one["allowed"] for one in after["checks"]] == [
        False,
        *(one["allowed"] for one in before["checks"][1:4]),
        False,
        *(one["allowed"] for one in before["checks"][5:]),
    ]
