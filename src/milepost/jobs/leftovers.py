"""What is left of a name: a look through all that is kept of a tenant.

By the name as a whole word, in the text of each row of each table, in every version, every payload of the queue, the dead letters and this
machine's spill, decompressed, in the files of the archive and in the contents of the object store. So it also finds what others said of the
actor, in the data of their own activities, which no erasure takes; and batches that were loaded and lie in a table of the queue until it is
emptied. Files that nobody names any more, and objects of the tenant that no row knows of, are what an erasure has left to delete. Snapshots of
boards and the archive have numbers for actors: there it looks for the number that the name has, or had before it was erased. A scan of
everything: for once in a while, not for a page.
"""

from __future__ import annotations

import re
from asyncio import to_thread
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from backports import zstd

from milepost.access.tenants import Tenant
from milepost.activity import LARGEST_ID, SMALLEST_ID
from milepost.model import Model
from milepost.postgres import Connection, load_queries, translated
from milepost.schema.compile import CompiledModel
from milepost.schema.models import current_model
from milepost.settings import Settings
from milepost.storage._cold_columns import columns_of_row
from milepost.storage._parquet import read
from milepost.storage.cold_files import ColdFiles, cold_files
from milepost.storage.content import Contents, Kept
from milepost.storage.manifest import files_between
from milepost.storage.objects import ObjectStore, object_store
from milepost.storage.versions import Made, texts_of

__all__ = ["leftovers"]

queries = load_queries(__package__, "erasing.sql")

PAYLOADS = 50  # in one fetch
FILES = 1000  # in one question
PLAIN_MAX = 1 << 28


async def leftovers(owner: Connection, settings: Settings, tenant: Tenant, name: str) -> dict[str, int]:
    """→ by table or file, how many rows (of a file: 1) have the name. conn: the owner's."""
    found: dict[str, int] = {}
    pattern = f"(^|[^A-Za-z0-9_.@-]){re.escape(name)}($|[^A-Za-z0-9_.@-])"
    word = re.compile(rb"(?<![A-Za-z0-9_.@-])" + re.escape(name.encode()) + rb"(?![A-Za-z0-9_.@-])")
    with translated(owner):
        for (table,) in await (await owner.execute(queries.tables, {"tenant_id": tenant.tenant_id})).fetchall():
            # The table's name comes from the catalogue.
            values = {"tenant_id": tenant.tenant_id, "pattern": pattern}
            row = await (await owner.execute(queries.rows_with.replace("{table}", table), values)).fetchone()
            if row and row[0]:
                found[table] = row[0]
        current = await current_model(owner)
        whose = {"tenant_id": tenant.tenant_id, "name": name}
        numbers = [row[0] for row in await (await owner.execute(queries.numbers, whose)).fetchall()]
        counted = {
            "snapshot_place": await _kept_places(owner, current.model, tenant.tenant_id, numbers),
            "activity_version": await _versions(owner, tenant.tenant_id, word),
            "cold": await _archived(owner, cold_files(settings), current.compiled, tenant.tenant_id, numbers, pattern),
            "content": await _contents(owner, Contents(object_store(settings)), tenant.tenant_id, word),
        }
        found |= {what: n for what, n in counted.items() if n}
        if n := await _files(owner, object_store(settings), tenant.tenant_id):
            found["file"] = found.get("file", 0) + n
        places = [(table, "") for (table,) in await (await owner.execute(queries.queues)).fetchall()]
        for table, _ in [*places, ("dead_letter", "")]:
            if n := await _payloads(owner, table, tenant.tenant_id, word):
                found[table] = found.get(table, 0) + n
    for file in sorted((settings.data_dir / "spill").glob("**/*")):
        if file.is_file() and word.search(_plain_pieces(file)):
            found[f"spill/{file.name}"] = 1
    return found


async def _kept_places(owner: Connection, model: Model, tenant_id: int, numbers: Sequence[int]) -> int:
    boards = [board.name for board in model.boards.values() if board.rank == "actor"]
    asked = {"tenant_id": tenant_id, "boards": boards, "numbers": numbers}
    row = await (await owner.execute(queries.places_of, asked)).fetchone()
    return row[0] if row else 0


async def _versions(owner: Connection, tenant_id: int, word: re.Pattern[bytes]) -> int:
    """What cannot be read is counted: nobody knows what is in it."""
    n = 0
    async with owner.transaction(), owner.cursor(name="versions") as cursor:
        await cursor.execute(queries.versions, {"tenant_id": tenant_id})
        rows: list[Any] = []
        while some := await cursor.fetchmany(PAYLOADS):
            for row in some:
                if row[4] is None:  # a whole one: those before it are not needed any more
                    n += await to_thread(_having, rows, word)
                    rows = []
                rows.append(row)
        n += await to_thread(_having, rows, word)
    return n


def _having(rows: Sequence[Any], word: re.Pattern[bytes]) -> int:
    def has(made: Made, text: bytes | None) -> bool:
        return text is None or word.search(f"{made.by} {made.why} ".encode() + text) is not None

    return sum(has(made, text) for made, text in texts_of(rows))


async def _archived(
    owner: Connection, files: ColdFiles, compiled: CompiledModel, tenant_id: int, numbers: Sequence[int], pattern: str
) -> int:
    """Rows of the archive's files, those too that something in PostgreSQL shadows."""
    n = 0
    columns = columns_of_row(compiled.columns)
    texts = ", ".join(f"c.{column.name}" for column in columns if column.duck == "VARCHAR")
    where = f"c.actor_id IN (SELECT unnest($numbers::BIGINT[])) OR regexp_matches(concat_ws(chr(31), {texts}), $pattern)"
    asked = {"numbers": list(numbers), "pattern": pattern}
    for file in await files_between(owner, tenant_id, SMALLEST_ID, LARGEST_ID):
        rows = await read([await files.fetch(file)], columns, picked=["count(*)"], where=where, parameters=asked, order="1")
        n += rows[0][0]
    return n


async def _contents(owner: Connection, contents: Contents, tenant_id: int, word: re.Pattern[bytes]) -> int:
    n = 0
    rows = await (await owner.execute(queries.contents, {"tenant_id": tenant_id})).fetchall()
    for row in rows:
        n += 1 if word.search(await contents.whole(Kept.of(tenant_id, row))) else 0
    return n


async def _files(owner: Connection, store: ObjectStore, tenant_id: int) -> int:
    """What is to be deleted and is there. Of the objects, those whose file has no row; one that is being written has one before."""
    row = await (await owner.execute(queries.unnamed_files, {"tenant_id": tenant_id})).fetchone()
    n = row[0] if row else 0
    names = [one.path.rpartition("/")[2].partition(".")[0] async for one in store.list(f"files/{tenant_id}")]
    for first in range(0, len(names), FILES):
        asked = {"tenant_id": tenant_id, "ids": [UUID(name) for name in names[first : first + FILES]]}
        row = await (await owner.execute(queries.unknown_files, asked)).fetchone()
        n += row[0] if row else 0
    return n


async def _payloads(owner: Connection, table: str, tenant_id: int, word: re.Pattern[bytes]) -> int:
    n = 0
    async with owner.transaction(), owner.cursor(name="payloads") as cursor:
        await cursor.execute(queries.payloads.replace("{table}", table), {"tenant_id": tenant_id})
        while rows := await cursor.fetchmany(PAYLOADS):
            n += sum(1 for (payload,) in rows if word.search(_plain(bytes(payload))))
    return n


def _plain(payload: bytes) -> bytes:
    try:
        return zstd.ZstdDecompressor().decompress(payload, PLAIN_MAX)
    except zstd.ZstdError:
        return payload


def _plain_pieces(file: Path) -> bytes:
    """All that a file of the spill says: its frames decompressed, wherever they begin."""
    raw, pieces, at = file.read_bytes(), [], 0
    while (at := raw.find(b"\x28\xb5\x2f\xfd", at)) >= 0:
        pieces.append(_plain(raw[at:]))
        at += 4
    return b"\n".join([raw, *pieces])
