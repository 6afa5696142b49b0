"""Files: asked for, uploaded by a signed URL, looked at, read; and what is not what was said of it is refused and gone."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from datetime import datetime
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import httpx
import pytest
import pytest_asyncio

from buckets import bucket_url, s3_url
from file_uploads import PNG, SCAN, asked, collected, completed, objects, put, read, uploaded
from milepost.storage import files as storage_files
from milepost.storage.objects import ObjectStore
from proxy import TcpProxy
from web_client import Api, tenant_on

pytest_plugins = ["fix_web", "fix_objects"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

_numbers = count(1)


@pytest_asyncio.fixture(loop_scope="module")
async def outside() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=20) as client:
        yield client


def taken(request: pytest.FixtureRequest, api: Api, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """A bucket, which the server takes, and whose URLs lead past it."""
    port = request.getfixturevalue(request.param)
    found = ObjectStore(bucket_url(request.param, port, f"files-{next(_numbers)}"), timeout_s=5)
    monkeypatch.setattr(api.services.files, "store", found)
    return found


@pytest.fixture(params=["folder", "s3", "azure", "gcs"])
def store(request: pytest.FixtureRequest, api: Api, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """The server's store: its own folder, or a bucket."""
    return api.services.files.store if request.param == "folder" else taken(request, api, monkeypatch)


@pytest.fixture(params=["s3", "azure", "gcs"])
def bucket(request: pytest.FixtureRequest, api: Api, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    return taken(request, api, monkeypatch)


async def test_a_file_goes_past_the_server_and_is_read_as_it_was(
    api: Api, outside: httpx.AsyncClient, store: ObjectStore
) -> None:
    """Uploaded and read by whoever holds the URLs; its type and name come with it; only the final object is left."""
    digest = hashlib.sha256(PNG).hexdigest()
    shown = await uploaded(api, outside, sha256=digest)
    assert {name: shown[name] for name in ("type", "bytes", "complete", "filename")} == {
        "type": "image/png", "bytes": len(PNG), "complete": True, "filename": "Übung 1.png",
    }  # fmt: skip
    got = await read(api, outside, shown["link"])
    assert (got.status_code, got.content, got.headers["content-type"]) == (200, PNG, "image/png")
    assert got.headers["content-disposition"] == "inline; filename*=UTF-8''%C3%9Cbung%201.png"
    assert len(await objects(store, api.tenant_id)) == 1
    again = (await completed(api, shown["id"])).json()
    assert {**again, "ticket": "", "link": ""} == {**shown, "ticket": "", "link": ""}
    data = await api("GET", f"/v1/files/{shown['id']}/data")
    assert data.status_code == (302 if store.signs else 200)
    if not store.signs:
        assert data.content == PNG and data.headers["x-content-type-options"] == "nosniff"
        assert "immutable" in data.headers["cache-control"] and "sandbox" in data.headers["content-security-policy"]
        part = await read(api, outside, shown["link"], range="bytes=8-9")
        assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"\0\1", f"bytes 8-9/{len(PNG)}")
        assert (await read(api, outside, shown["link"], **{"if-none-match": got.headers["etag"]})).status_code == 304
        assert (await read(api, outside, shown["link"], range="bytes=999999-")).status_code == 416


@pytest.mark.parametrize(
    ("fields", "status", "pointer"),
    [
        ({"type": "text/html"}, 422, "/type"),
        ({"type": "image/x-whatever"}, 422, "/type"),
        ({"type": "image"}, 400, "/type"),
        ({"bytes": 1024 * 1024 + 1}, 422, "/bytes"),
        ({"bytes": 0}, 400, "/bytes"),
        ({"name": "selfie"}, 422, "/name"),
        ({"verb": "excuse"}, 422, "/name"),
        ({"verb": "swim"}, 422, "/verb"),
        ({"sha256": "abc"}, 400, "/sha256"),
        ({"filename": "../../etc/passwd"}, 400, "/filename"),
        ({"size": 3}, 400, "/size"),
    ],
)
async def test_what_the_model_does_not_admit_is_refused_before_it_is_uploaded(
    api: Api, fields: dict[str, Any], status: int, pointer: str
) -> None:
    """With the field that is wrong."""
    answer = await api("POST", "/v1/files", json=SCAN | fields)
    assert (answer.status_code, [error["pointer"] for error in answer.json()["errors"]]) == (status, [pointer]), answer.text
    assert "activity" not in answer.text


@pytest.mark.parametrize(
    ("data", "fields", "pointer"),
    [
        (PNG + b"more", {}, "/bytes"),
        (b"#!/bin/sh\nrm -rf /\n" + b"x" * (len(PNG) - 19), {}, "/type"),
        (PNG, {"sha256": "0" * 64}, "/sha256"),
        (b"<html>" + b"x" * (len(PNG) - 6), {"type": "application/pdf"}, "/type"),
    ],
)
async def test_what_was_uploaded_and_is_not_what_was_said_is_refused_and_gone(
    api: Api, outside: httpx.AsyncClient, store: ObjectStore, data: bytes, fields: dict[str, Any], pointer: str
) -> None:
    """Too long, a script that is called .png, another digest: nothing of it stays, and the right one may still come."""
    found = await asked(api, **fields)
    sent = await put(api, outside, found, data)
    if sent.is_success:
        sent = await completed(api, found["id"])
    assert sent.status_code == 422 and [error["pointer"] for error in sent.json()["errors"]] == [pointer], sent.text
    assert await objects(store, api.tenant_id) == []
    assert (await completed(api, found["id"])).status_code == 409
    if not fields:
        assert (await put(api, outside, found, PNG)).is_success
        assert (await completed(api, found["id"])).status_code == 200


async def test_a_bucket_serves_a_file_as_nothing_else(api: Api, outside: httpx.AsyncClient, bucket: ObjectStore) -> None:
    """Uploaded under another type, or as something to be unpacked or shown, it is refused: the bucket would answer with that."""
    for headers in ({"Content-Type": "text/html"}, {"Content-Encoding": "gzip"}, {"Content-Disposition": "inline"}):
        found = await asked(api)
        assert (await put(api, outside, found, PNG, **bucket.upload_headers(headers))).is_success
        answer = await completed(api, found["id"])
        assert answer.status_code == 422 and answer.json()["errors"][0]["pointer"] == "/type", answer.text
    assert await objects(bucket, api.tenant_id) == []


async def test_what_was_looked_at_is_what_is_read(api: Api, outside: httpx.AsyncClient, store: ObjectStore) -> None:
    """A URL that is still good writes nothing that anybody reads, and what came that way is deleted in time."""
    found = await asked(api)
    assert (await put(api, outside, found, PNG)).is_success
    shown = (await completed(api, found["id"])).json()
    late = await put(api, outside, found, b"\x89PNG" + b"evil" * ((len(PNG) - 4) // 4))
    assert late.is_success if store.signs else late.status_code == 409
    assert (await read(api, outside, shown["link"])).content == PNG
    assert await collected(api) == 0
    assert await collected(api, after="26 hours") == 1
    assert (await read(api, outside, shown["link"])).content == PNG
    assert [path.split("/")[0] for path in await objects(store, api.tenant_id)] == ["files"]


async def test_two_who_complete_it_at_once_leave_one_that_was_looked_at(
    api: Api, outside: httpx.AsyncClient, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slow one finds that it is late, and answers what the other one has made of it."""
    found = await asked(api)
    assert (await put(api, outside, found, PNG)).is_success
    differences, slow, go = storage_files.Files._differences, asyncio.Event(), asyncio.Event()

    async def waiting(self: Any, file: Any, path: str) -> Any:
        if not slow.is_set():
            slow.set()
            await go.wait()
        return await differences(self, file, path)

    monkeypatch.setattr(storage_files.Files, "_differences", waiting)
    first = asyncio.create_task(completed(api, found["id"]))
    await slow.wait()
    second = await completed(api, found["id"])
    go.set()
    late = await first
    assert second.status_code == 200
    assert late.status_code == 200, late.text
    assert (await read(api, outside, late.json()["link"])).content == PNG


async def test_a_url_ends_and_is_of_one_file(api: Api, outside: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Expired, of another file, or made up: nobody writes or reads with it. Another one can be asked for until the file is complete."""
    found, other = await asked(api), await asked(api)
    url = found["upload"]["url"]
    moved = url.replace(found["id"], other["id"])
    for wrong in (moved, url[:-3] + "AAA", url.split("grant=")[0], url.split("grant=")[0] + "grant=x"):
        assert (await api.client.put(wrong, content=PNG)).status_code == 403, wrong
    with monkeypatch.context() as patch:
        patch.setattr("milepost.web.request.time", lambda: time.time() + 3700)
        assert (await put(api, outside, found, PNG)).status_code == 403
    again = (await api("POST", f"/v1/files/{found['id']}/upload")).json()
    assert (await put(api, outside, again, PNG)).is_success
    shown = (await completed(api, found["id"])).json()
    assert (await api("POST", f"/v1/files/{found['id']}/upload")).status_code == 409
    assert (await api.client.get(url)).status_code == 403
    assert (await api.client.put(shown["link"], content=PNG)).status_code == 403


async def test_a_bucket_refuses_an_expired_url(outside: httpx.AsyncClient, bucket: ObjectStore) -> None:
    """Its signature has a time, after which it is none. (moto does not look at it.)"""
    signed = parse_qs(urlsplit(await bucket.presign("PUT", "uploads/x", valid_s=60)).query)
    if "se" in signed:
        begun, over = (datetime.fromisoformat(signed[name][0]) for name in ("st", "se"))
        assert (over - begun).total_seconds() == 60
    else:
        assert [signed[name] for name in signed if name.endswith("-Expires")] == [["60"]]
    if "X-Amz-Signature" in signed:
        return
    late = await bucket.presign("PUT", "uploads/x", valid_s=0)
    refused = await outside.put(late, content=PNG, headers=bucket.upload_headers({}))
    assert refused.status_code == (400 if "X-Goog-Signature" in signed else 403)


async def test_another_tenants_file_is_not_there(api: Api, outside: httpx.AsyncClient, served: Any) -> None:
    """Neither to read nor to complete."""
    shown = await uploaded(api, outside)
    tenant_id, keys = await tenant_on(served)
    other = Api(served, api.client, tenant_id, keys)
    for method, path in (("GET", ""), ("GET", "/data"), ("POST", "/complete"), ("POST", "/upload")):
        assert (await other(method, f"/v1/files/{shown['id']}{path}")).status_code == 404
    assert (await api("GET", f"/v1/files/{UUID(int=1)}")).status_code == 404
    assert (await api("GET", f"/v1/files/{shown['id']}", key="write")).status_code == 403
    assert (await api("POST", "/v1/files", key="read", json=SCAN)).status_code == 403


async def test_while_the_store_is_away_files_alone_are_missing(
    api: Api, outside: httpx.AsyncClient, s3: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503; what was uploaded is completed when it is back."""
    with TcpProxy(s3) as wire:
        monkeypatch.setattr(api.services.files, "store", ObjectStore(s3_url(wire.port, folder="away"), timeout_s=0.5))
        found = await asked(api)
        assert (await put(api, outside, found, PNG)).is_success
        wire.refusing = True
        wire.sever()
        answer = await completed(api, found["id"])
        assert answer.status_code == 503 and answer.json()["type"].endswith("store-unavailable")
        assert (await api("GET", f"/v1/files/{found['id']}")).status_code == 200
        assert (await api("GET", "/v1/activities")).status_code == 200
        wire.refusing = False
        assert (await completed(api, found["id"])).status_code == 200


async def test_what_is_never_named_is_collected(api: Api, outside: httpx.AsyncClient, store: ObjectStore) -> None:
    """One that was asked for and one that is complete, with all that lies of them, once their time is over and not before."""
    await asked(api)
    half = await asked(api)
    assert (await put(api, outside, half, PNG)).is_success
    shown = await uploaded(api, outside)
    assert await collected(api, after="20 hours") == 0
    assert len(await objects(store, api.tenant_id)) == 2
    await collected(api, after="40 hours")
    assert await objects(store, api.tenant_id) == []
    for file_id in (half["id"], shown["id"]):
        assert (await completed(api, file_id)).status_code == 404
