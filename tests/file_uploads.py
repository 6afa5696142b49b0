"""Uploading files to a server under test, as an app and its users do."""

from __future__ import annotations

from typing import Any

import httpx

from milepost.postgres import Database
from milepost.storage.files_unused import collect_files, sweep_uploads
from milepost.storage.objects import ObjectStore
from web_client import Api

__all__ = ["PNG", "SCAN", "asked", "collected", "completed", "objects", "put", "read", "uploaded"]

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
SCAN = {"verb": "grade", "name": "scan", "type": "image/png", "bytes": len(PNG), "filename": "Übung 1.png"}


async def asked(api: Api, **fields: Any) -> dict[str, Any]:
    answer = await api("POST", "/v1/files", json=SCAN | fields)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def put(api: Api, outside: httpx.AsyncClient, asked: dict[str, Any], data: bytes, **headers: str) -> httpx.Response:
    """As somebody without a key does."""
    upload = asked["upload"]
    client = api.client if upload["url"].startswith("/") else outside
    return await client.put(upload["url"], content=data, headers=upload["headers"] | headers)


async def completed(api: Api, file_id: str) -> httpx.Response:
    return await api("POST", f"/v1/files/{file_id}/complete")


async def uploaded(api: Api, outside: httpx.AsyncClient, data: bytes = PNG, **fields: Any) -> dict[str, Any]:
    """A complete file."""
    found = await asked(api, bytes=len(data), **fields)
    assert (await put(api, outside, found, data)).is_success
    answer = await completed(api, found["id"])
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def objects(store: ObjectStore, tenant_id: int) -> list[str]:
    found = []
    for folder in ("uploads", "files"):
        found += [one.path async for one in store.list(f"{folder}/{tenant_id}")]
    return sorted(path.removesuffix(".1") for path in found)


async def read(api: Api, outside: httpx.AsyncClient, link: str, **headers: str) -> httpx.Response:
    return await (api.client if link.startswith("/") else outside).get(link, headers=headers)


async def collected(api: Api, *, after: str = "0 hours") -> int:
    """Upkeep, when that much time has passed. → of how many files."""
    files = api.services.files
    async with await Database.connect_owner(api.served.url) as owner:
        late = b"UPDATE milepost.file SET keep_until = keep_until - %s::interval, upload_until = upload_until - %s::interval"
        await owner.execute(late + b" WHERE tenant_id = %s", (after, after, api.tenant_id))
        swept = await sweep_uploads(owner, files.store)
        return swept + await collect_files(owner, files.store, tenant_id=api.tenant_id)
