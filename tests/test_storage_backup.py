"""Backup and restore of the whole: a base backup of the database and a copy of the archive's files, begun after it, fit together."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from file_uploads import PNG, uploaded
from fix_postgres import chosen_bin
from milepost.postgres import EmbeddedServer
from milepost.rollups.verify import verify
from milepost.storage.check import check
from milepost.storage.due import Due
from milepost.storage.moving import Collector
from milepost.web.application import build_app
from milepost.web.services import Services
from test_storage_archive import archive, minute_of
from web_client import Api, run_of

pytest_plugins = ["fix_web"]
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

JANUARY = Due(condition="true", parameters={}, border=datetime(2026, 2, 1, tzinfo=UTC))


def base_backup(url: str, target: Path) -> None:
    program = chosen_bin() / "pg_basebackup"
    words = [str(program), "-D", str(target), "-X", "stream", "-c", "fast", "-d", url]
    subprocess.run(words, check=True, capture_output=True, text=True)


async def test_database_and_files_come_back_to_one_moment(api: Api, tmp_path: Path) -> None:
    """Restored are the database's moment and every file that it names, whatever was archived, sent and corrected while it was copied."""
    await api.send(*(minute_of(n) for n in range(100)))
    await archive(api, JANUARY)
    await api.send(minute_of(3, key="late"))
    large = {"text": "x" * 20_000}
    essay = run_of(verb="submit", key="essay", occurred_at="2026-03-05T07:00:00Z", content=large)
    (essay_id,) = (await api.send(essay, headers={"prefer": "wait=20, return=representation"}))["ids"]
    scans = [await uploaded(api, api.client) for _ in range(2)]
    await api.send({"actor": "ana", "verb": "grade", "files": {"scan": [scan["ticket"] for scan in scans]}})
    before = await api.all_pages("/v1/activities")
    reader = api.keys["read"]
    objects = api.served.settings.data_dir / "objects"
    for name in ("content", "files"):
        await asyncio.to_thread(shutil.copytree, objects / name, tmp_path / "objects" / name)
    await asyncio.to_thread(base_backup, api.served.url, tmp_path / "postgres" / "data")
    # From here on nothing is in the backup: what is archived, rewritten and corrected leaves the files that it names where they are.
    await api.send(minute_of(4, key="later"))
    await archive(api)
    assert (await api("DELETE", f"/v1/activities/{before[5]['id']}")).status_code == 204
    await archive(api)
    assert (await api("DELETE", f"/v1/activities/{essay_id}")).status_code == 204
    assert (await api("POST", "/v1/admin/erase", json={"actor": "ana"})).json()["receipt"]["removed"]["file"] == 2
    async with await api.services.db.owner() as owner:
        assert await Collector(api.services.contents).step(owner, unused_hours=0) == 1  # the retracted one
    await asyncio.to_thread(shutil.copytree, objects, tmp_path / "objects", dirs_exist_ok=True)

    name = api.served.url.split("/")[-1].split("?")[0]
    with EmbeddedServer.start(tmp_path, durable=False, bin_dir=chosen_bin()) as restored:
        url = restored.ensure_database(name)
        settings = api.served.settings.__class__(
            data_dir=tmp_path, write_pool_min=0, point_pool_min=0, analytics_pool_min=0, lanes=2
        )
        services = await Services.start(settings, url)
        try:
            transport = httpx.ASGITransport(cast("Any", build_app(services)))
            async with httpx.AsyncClient(transport=transport, base_url="http://milepost", timeout=60) as client:
                there = Api(api.served, client, api.tenant_id, {"all": reader})
                assert await there.all_pages("/v1/activities") == before
                assert await there.get(f"/v1/activities/{essay_id}/content") == large
                for scan in scans:
                    assert (await there("GET", f"/v1/files/{scan['id']}/data")).content == PNG
            checked = await check(services.db, tenant_id=api.tenant_id)
            assert (checked.rows, checked.damaged) == (60, [])
            assert (await verify(services.db)).differences == 0
        finally:
            await services.stop()
