"""SIGKILL at named steps between a file's row and its object: what was acknowledged is there, and no object is left for ever.

`MILEPOST_TEST_LONG=1`: at each of them.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
import pytest_asyncio

from effort import LONG
from file_uploads import PNG
from milepost.access.tenants import create_tenant
from milepost.errors import Conflict, NotFound
from milepost.intake.accept import Acceptor
from milepost.intake.queue import Queue
from milepost.postgres import Database
from milepost.schema.models import apply_model, current_model
from milepost.settings import Settings
from milepost.storage.file import Asked
from milepost.storage.files import Files
from milepost.storage.files_unused import collect_files, sweep_uploads
from milepost.storage.objects import ObjectStore, object_store
from milepost.storage.tickets import Tickets

MODEL = """
name = "files"
[verbs.grade]
files.scan = { types = ["image/png"], max = "20 MiB" }
"""
LOADER = Path(__file__).parent / "load_until_done.py"
LARGE = PNG + bytes(3_000_000)

UPLOADER = """
import asyncio, os, signal, sys
from pathlib import Path
from milepost.postgres import Database
from milepost.settings import Settings
from milepost.schema.models import current_model
from milepost.storage.file import Asked
from milepost.storage.files import Files
from milepost.storage.files_unused import collect_files
from milepost.storage.objects import object_store
from milepost.storage.tickets import Tickets

url, folder, tenant, what, data = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4], Path(sys.argv[5]).read_bytes()

async def pieces():
    for first in range(0, len(data), 500_000):
        yield data[first:first + 500_000]
        if what == "in the middle" and first > 1_500_000:
            os.kill(os.getpid(), signal.SIGKILL)

async def main():
    settings = Settings(data_dir=folder, write_pool_min=0, point_pool_min=0, analytics_pool_min=0, lanes=1)
    async with await Database.open(url, settings) as db:
        if what == "collect":
            async with await db.owner() as owner:
                await collect_files(owner, object_store(settings))
            return
        async with db.transaction("point") as conn:
            model = (await current_model(conn)).model
        files = Files(object_store(settings), Tickets(b"secret"), settings)
        file, _ = await files.ask(db, tenant, model, Asked(verb="grade", name="scan", media_type="image/png", size=len(data)))
        await files.receive(await files.find(db, tenant, file), pieces())
        await files.complete(db, tenant, file)

asyncio.run(main())
"""


class Site:
    def __init__(self, db: Database, settings: Settings, url: str, tenant_id: int, data: Path) -> None:
        self.db, self.url, self.tenant_id, self.data = db, url, tenant_id, data
        self.settings = settings
        self.files = Files(object_store(settings), Tickets(b"secret"), settings)

    @property
    def store(self) -> ObjectStore:
        return self.files.store

    async def killed(self, *words: str, fault: str = "") -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, env={**os.environ, "MILEPOST_TEST_FAULT": fault}, stderr=asyncio.subprocess.PIPE
        )
        _, said = await process.communicate()
        assert process.returncode == -signal.SIGKILL, (fault, said)

    async def uploader(self, what: str, fault: str = "") -> None:
        words = [self.url, str(self.settings.data_dir), str(self.tenant_id), what, str(self.data)]
        await self.killed("-c", UPLOADER, *words, fault=fault)

    async def rows(self, query: str) -> list[Any]:
        async with await self.db.owner() as owner:
            return await (await owner.execute(query.encode())).fetchall()

    async def collect(self) -> None:
        """When all that can be over is over."""
        await self.rows("UPDATE milepost.file SET keep_until = '2020-01-01', upload_until = '2020-01-01' RETURNING 1")
        async with await self.db.owner() as owner:
            await sweep_uploads(owner, self.store)
            while await collect_files(owner, self.store):
                pass

    def on_disk(self) -> list[str]:
        assert self.store.folder is not None
        return [path.name for path in self.store.folder.rglob("*") if path.is_file()]


@pytest_asyncio.fixture
async def site(db: Database, settings: Settings, template_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    async with await db.owner() as owner:
        tenant = await create_tenant(owner, "a", 1)
        await apply_model(owner, MODEL)
    data = tmp_path / "scan.png"
    data.write_bytes(LARGE)
    yield Site(db, settings, template_url, tenant.tenant_id, data)


@pytest.mark.parametrize(
    "point", ["in the middle", "file.copied", "file.completed", *(["file.asked", "file.received"] if LONG else ())]
)
async def test_who_uploads_is_killed(site: Site, point: str) -> None:
    """Whoever goes on finds the file as far as it was, whole or not there; and when its time is over, nothing of it lies anywhere."""
    await site.uploader(point, fault=point if point.startswith("file.") else "")
    ((file_id, complete),) = await site.rows("SELECT file_id, completed_at IS NOT NULL FROM milepost.file")
    assert complete == (point == "file.completed")
    if point in ("file.asked", "in the middle"):
        with pytest.raises(Conflict, match="not been uploaded"):
            await site.files.complete(site.db, site.tenant_id, file_id)
    else:
        file, _ = await site.files.complete(site.db, site.tenant_id, file_id)
        assert b"".join([piece async for piece in site.files.pieces(file, 0, file.size)]) == LARGE
    await site.collect()
    assert site.on_disk() == [] and await site.rows("SELECT FROM milepost.file") == []
    with pytest.raises(NotFound):
        await site.files.complete(site.db, site.tenant_id, file_id)


async def test_who_collects_is_killed(site: Site) -> None:
    """Objects are gone and their rows are there: the next one ends it."""
    await site.uploader("", fault="file.completed")
    await site.rows("UPDATE milepost.file SET keep_until = '2020-01-01' RETURNING 1")
    await site.uploader("collect", fault="file.deleted")
    assert site.on_disk() == [] and len(await site.rows("SELECT FROM milepost.file")) == 1
    await site.collect()
    assert await site.rows("SELECT FROM milepost.file") == []


@pytest.mark.parametrize(
    "point", ["load.before_commit", *(["load.inserted", "load.folded", "load.after_commit"] if LONG else ())]
)
async def test_the_loader_is_killed(site: Site, point: str) -> None:
    """The next one names the file once, and it is kept."""
    async with site.db.transaction("point") as conn:
        current = await current_model(conn)
    asked = Asked(verb="grade", name="scan", media_type="image/png", size=len(PNG))
    file_id, _ = await site.files.ask(site.db, site.tenant_id, current.model, asked)

    async def pieces() -> AsyncIterator[bytes]:
        yield PNG

    await site.files.receive(await site.files.find(site.db, site.tenant_id, file_id), pieces())
    _, ticket = await site.files.complete(site.db, site.tenant_id, file_id)
    queue = Queue(site.db, site.settings)
    await queue.start()
    activity = {"actor": "ana", "verb": "grade", "files": {"scan": [ticket]}}
    acceptor = Acceptor(current.model, current.version, Tickets(b"secret"))
    accepted = acceptor.accept(site.tenant_id, msgspec.json.encode({"activities": [activity]}), datetime.now(UTC))
    await queue.enqueue(
        tenant_id=site.tenant_id, lane=0, kind=0, model=current.version, rows=accepted.rows, payload=accepted.payload
    )
    await queue.stop()
    await site.killed(str(LOADER), site.url, str(site.settings.data_dir), fault=point)
    process = await asyncio.create_subprocess_exec(sys.executable, str(LOADER), site.url, str(site.settings.data_dir))
    assert await process.wait() == 0
    assert await site.rows("SELECT id, file_id, name, place FROM milepost.activity_file") == [
        (UUID(int=accepted.ids[0]), file_id, "scan", 0)
    ]
    await site.collect()
    assert len(site.on_disk()) == 1
