"""Large contents: they leave their rows, are read whole, by part and by range, and are never served damaged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import httpx
import pytest

from buckets import s3_url
from milepost.errors import StoreUnavailable
from milepost.intake._contents_out import ContentsOut
from milepost.postgres import Connection, Database
from milepost.settings import Settings
from milepost.storage import moving
from milepost.storage.content import Contents, path_of
from milepost.storage.moving import Collector, move_out
from milepost.storage.objects import ObjectStore, object_store
from web_client import Api

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

LARGE = {"title": "Mechanics", "questions": [{"id": n, "text": f"question {n} " + f"{n * 7919:x} " * 40} for n in range(9000)]}


async def moved(api: Api) -> None:
    async with await Database.connect_owner(api.served.url) as owner:
        while await move_out(owner, Contents(object_store(api.served.settings))):
            pass


async def collected(api: Api) -> int:
    async with await Database.connect_owner(api.served.url) as owner:
        return await Collector(Contents(object_store(api.served.settings))).step(owner, unused_hours=0)


async def rows(api: Api, query: bytes) -> list[Any]:
    async with await Database.connect_owner(api.served.url) as owner:
        return await (await owner.execute(query, (api.tenant_id,))).fetchall()


async def sent(api: Api, content: Any, verb: str = "submit") -> str:
    taken = await api.send(
        {"actor": "ana", "verb": verb, "content": content}, headers={"prefer": "wait=20, return=representation"}
    )
    return f"/v1/activities/{taken['ids'][0]}"


async def test_a_large_content_leaves_its_row_and_reads_the_same(api: Api) -> None:
    """Before and after it moved; equal ones lie there once; small ones stay."""
    first, second, small = await sent(api, LARGE), await sent(api, LARGE), await sent(api, {"a": 1})
    assert await api.get(f"{first}/content") == LARGE
    await moved(api)
    in_rows = await rows(api, b"SELECT count(content) FROM milepost.activity WHERE tenant_id = %s")
    stored = await rows(api, b"SELECT text_bytes, object_bytes FROM milepost.content WHERE tenant_id = %s")
    assert in_rows == [(1,)] and len(stored) == 1
    for path in (first, second):
        assert await api.get(f"{path}/content") == LARGE
    assert await api.get(f"{small}/content") == {"a": 1}
    assert "content" not in (await api.get("/v1/activities"))["items"][0]


async def test_a_large_content_never_comes_into_its_row(api: Api) -> None:
    """It lies in the store when the activity can be read, beside small ones and those of the same batch; what is sent again keeps the first."""
    long = {"text": "x" * 40_000}
    activities = [
        {"actor": "ana", "verb": "submit", "key": f"k-{n}", "occurred_at": "2026-11-01T10:00:00Z", "content": content}
        for n, content in enumerate([LARGE, {"a": 1}, long, None, {"b": long}])
    ]
    taken = await api.send(*activities, headers={"prefer": "wait=20, return=representation"})
    query = b"SELECT content IS NOT NULL FROM milepost.activity WHERE tenant_id = %s ORDER BY id"
    state = (
        b"SELECT (SELECT count(*) FROM milepost.content_waiting WHERE tenant_id = c.tenant_id), count(*), count(index_digest)"
        b" FROM milepost.content c WHERE tenant_id = %s GROUP BY tenant_id"
    )
    assert sum(row[0] for row in await rows(api, query)) == 1
    assert await rows(api, state) == [(0, 3, 3)]
    for id_, sent_ in zip(taken["ids"], activities, strict=True):
        if sent_["content"] is not None:
            assert await api.get(f"/v1/activities/{id_}/content") == sent_["content"]
    again = await api.send({**activities[2], "content": LARGE}, {**activities[0], "key": "k-9"}, headers={"prefer": "wait=20"})
    assert (again["loaded"], again["duplicates"]) == (1, 1)
    assert await api.get(f"/v1/activities/{taken['ids'][2]}/content") == long
    assert await rows(api, state) == [(0, 3, 3)]


async def test_a_part_of_2_mb_costs_less_than_a_twentieth(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is fetched of the object, counted, and what it answers."""
    path = await sent(api, LARGE)
    await moved(api)
    ((text_bytes, object_bytes),) = await rows(
        api, b"SELECT text_bytes, object_bytes FROM milepost.content WHERE tenant_id = %s"
    )
    assert text_bytes > 2_000_000
    fetched = 0
    read = api.services.contents.store.range

    async def counted(path: str, start: int, end: int) -> bytes:
        nonlocal fetched
        fetched += end - start
        return await read(path, start, end)

    monkeypatch.setattr(api.services.contents.store, "range", counted)
    assert await api.get(f"{path}/content", params={"part": "/questions/8765"}) == LARGE["questions"][8765]
    assert 0 < fetched < object_bytes / 20
    assert await api.get(f"{path}/content", params={"part": "/questions/3/id"}) == 3
    for missing in ("/questions/9000", "/nothing", "/questions/01", "/title/x", "/questions/3/text/a~1b", "/questions/3/no"):
        answer = await api("GET", f"{path}/content", params={"part": missing})
        assert (answer.status_code, answer.json()["detail"]) == (404, f"The content has no part {missing!r}.")


async def test_tags_ranges_and_what_never_changes(api: Api) -> None:
    """An ETag that answers 304, bytes of it, and a URL that caches may keep."""
    path = await sent(api, LARGE)
    await moved(api)
    whole = await api("GET", f"{path}/content")
    tag = whole.headers["etag"]
    assert (await api("GET", f"{path}/content", headers={"if-none-match": tag})).status_code == 304
    some = await api("GET", f"{path}/content", headers={"range": "bytes=100000-100099"})
    assert (some.status_code, some.content) == (206, whole.content[100000:100100])
    assert some.headers["content-range"] == f"bytes 100000-100099/{len(whole.content)}"
    last = await api("GET", f"{path}/content", headers={"range": "bytes=-10"})
    assert last.content == whole.content[-10:]
    behind = await api("GET", f"{path}/content", headers={"range": "bytes=99999999-"})
    assert (behind.status_code, behind.headers["content-type"]) == (416, "application/problem+json")
    assert (behind.json()["type"], behind.headers["content-range"]) == (
        "/problems/no-such-range",
        f"bytes */{len(whole.content)}",
    )
    named = await api("GET", f"{path}/content", params={"digest": tag.strip('"')})
    assert "immutable" in named.headers["cache-control"] and named.json() == LARGE
    assert (await api("GET", f"{path}/content", params={"digest": "00"})).status_code == 404


async def test_a_correction_replaces_it_and_what_nobody_has_is_collected(api: Api) -> None:
    """Merged with what lies in the store; unchanged contents stay where they are; the old object goes."""
    path = await sent(api, LARGE)
    await moved(api)
    answer = await api("PATCH", path, json={"status": "late"})
    assert answer.status_code == 200, answer.text
    assert await collected(api) == 0
    assert (await rows(api, b"SELECT count(content) FROM milepost.activity WHERE tenant_id = %s")) == [(0,)]
    assert await api.get(f"{path}/content") == LARGE
    answer = await api("PATCH", path, json={"content": {"title": "Optics"}})
    assert answer.status_code == 200, answer.text
    await moved(api)
    assert await api.get(f"{path}/content") == LARGE | {"title": "Optics"}
    assert await collected(api) == 1
    assert (await api("DELETE", path)).status_code == 204
    assert await collected(api) == 1
    assert await rows(api, b"SELECT digest FROM milepost.content WHERE tenant_id = %s") == []


async def test_a_damaged_object_is_named_and_never_served(api: Api) -> None:
    """One byte is wrong: neither the whole nor a part of it is answered, only the object's name. Other activities are."""
    path = await sent(api, LARGE)
    await moved(api)
    folder = object_store(api.served.settings).folder
    assert folder is not None
    ((digest,),) = await rows(api, b"SELECT digest FROM milepost.content WHERE tenant_id = %s")
    name = bytes(digest).hex()
    file = folder / path_of(api.tenant_id, bytes(digest))
    data = bytearray(file.read_bytes())
    data[-20] ^= 1
    file.write_bytes(data)
    answer = await api("GET", f"{path}/content", params={"part": "/title"})
    assert answer.status_code == 500 and name in answer.json()["object"]
    file.unlink()
    api.services.contents._indexes.clear()
    answer = await api("GET", f"{path}/content")
    assert answer.status_code == 500 and name in answer.json()["object"]
    assert (await api("GET", path)).status_code == 200


async def test_while_the_store_is_away_contents_alone_are_missing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """New ones come in and are read from their rows; those in the store answer 503; all else goes on."""
    there = await sent(api, LARGE)
    await moved(api)
    api.services.contents._indexes.clear()
    store = api.services.contents.store
    away = object_store(Settings(object_store_url=s3_url(1), object_store_timeout_s=0.3))
    for name, value in {"_opened": away._store, "folder": None, "_timeout_s": 0.3}.items():
        monkeypatch.setattr(store, name, value)
    new = await sent(api, {**LARGE, "new": True})
    async with await Database.connect_owner(api.served.url) as owner:
        with pytest.raises(StoreUnavailable):
            await move_out(owner, Contents(store))
    assert await api.get(f"{new}/content") == {**LARGE, "new": True}
    answer = await api("GET", f"{there}/content")
    assert answer.status_code == 503 and answer.json()["type"].endswith("store-unavailable")
    assert (await api("GET", there)).status_code == 200
    monkeypatch.undo()
    await moved(api)
    assert await api.get(f"{new}/content") == {**LARGE, "new": True}


async def test_another_tenant_reads_nothing_of_it(api: Api, served: Any) -> None:
    """Not by the activity's id, and equal contents of two tenants are two objects."""
    path = await sent(api, LARGE)
    await moved(api)
    from web_client import tenant_on

    tenant_id, keys = await tenant_on(served)
    transport = httpx.ASGITransport(served.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://milepost", timeout=60) as client:
        other = Api(served, client, tenant_id, keys)
        assert (await other("GET", f"{path}/content")).status_code == 404
        mine = await sent(other, LARGE)
        await moved(other)
        assert json.loads((await other("GET", f"{mine}/content")).content) == LARGE


async def test_erasing_an_actor_takes_its_contents_and_versions(api: Api) -> None:
    """The object's bytes too; others' equal contents stay. What a correction had replaced is collected like all that is unused."""
    path = await sent(api, LARGE, verb="assign")
    await moved(api)
    assert (await api("PATCH", path, json={"content": {"title": "Optics"}})).status_code == 200
    await moved(api)
    taken = await api.send({"actor": "ben", "verb": "submit", "content": LARGE}, headers={"prefer": "wait=20"})
    assert taken["loaded"] == 1
    await moved(api)
    answer = await api("POST", "/v1/admin/erase", json={"actor": "ana"})
    assert answer.status_code in (200, 202), answer.text
    while await rows(api, b"SELECT FROM milepost.activity_content WHERE tenant_id = %s OFFSET 1"):
        pass
    assert await rows(api, b"SELECT FROM milepost.activity_version WHERE tenant_id = %s") == []
    assert len(await rows(api, b"SELECT FROM milepost.content WHERE tenant_id = %s")) == 1
    assert await collected(api) == 0


async def test_collecting_goes_round(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """In windows of a few, past those that are used; each step goes on where the last one ended."""
    monkeypatch.setattr(moving, "LOOKED_AT_MAX", 2)
    monkeypatch.setattr(moving, "WINDOWS_MAX", 1)
    paths = [await sent(api, {"n": number, **LARGE}) for number in range(7)]
    await moved(api)
    for path in paths[::2]:
        assert (await api("DELETE", path, headers={"prefer": "wait=20"})).status_code == 204
    collector = Collector(Contents(object_store(api.served.settings)))
    async with await Database.connect_owner(api.served.url) as owner:
        found = [await collector.step(owner, unused_hours=0) for _ in range(40)]
    assert sum(found) >= 4 and max(found) <= 2 and found[20:] == [0] * 20
    for path in paths[1::2]:
        assert (await api.get(f"{path}/content"))["n"] in range(7)


async def test_while_the_store_is_away_contents_stay_in_their_rows(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A load waits for it a second at most, and then not at all for a while; upkeep moves what stayed."""

    async def slow(*_: object, **__: object) -> bool:
        await asyncio.sleep(30)
        raise AssertionError

    with monkeypatch.context() as patch:
        patch.setattr(ObjectStore, "put_if_absent", slow)
        began = perf_counter()
        first, second = await sent(api, {"n": 1, **LARGE}), await sent(api, {"n": 2, **LARGE})
        assert perf_counter() - began < 5
    query = b"SELECT count(*) FROM milepost.content_waiting WHERE tenant_id = %s"
    assert await rows(api, query) == [(2,)]
    assert await api.get(f"{first}/content") == {"n": 1, **LARGE}
    await moved(api)
    assert await rows(api, query) == [(0,)]
    assert await api.get(f"{second}/content") == {"n": 2, **LARGE}


async def test_a_load_that_took_an_hour_writes_its_contents_anew(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was collected between its writing and the load's commit fails the load, and is there after the next try."""
    taken = ContentsOut.take

    async def slow(self: ContentsOut, conn: Connection, tenant_id: int, payloads: Sequence[bytes]) -> Any:
        monkeypatch.setattr(ContentsOut, "take", taken)
        opened = await taken(self, conn, tenant_id, payloads)
        assert await collected(api) == 1
        return opened

    monkeypatch.setattr(ContentsOut, "take", slow)
    content = {**LARGE, "title": "collected"}
    path = await sent(api, content)
    assert await api.get(f"{path}/content") == content
    assert await collected(api) == 0
