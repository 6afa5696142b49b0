"""What is left of a name: a look through every table, and every payload of the queue, the dead letters and this machine's spill.

By the name as a whole word, in the text of each row, with payloads decompressed. So it also finds what others said of the actor, in the
data of their own activities, which no erasure takes; and batches that were loaded and lie in a table of the queue until it is emptied. A
scan of everything a tenant has: for once in a while, not for a page.
"""

from __future__ import annotations

import re
from pathlib import Path

from backports import zstd

from milepost.access.tenants import Tenant
from milepost.postgres import Connection, load_queries, translated
from milepost.settings import Settings

__all__ = ["leftovers"]

queries = load_queries(__package__, "erasing.sql")

PAYLOADS = 50  # in one fetch
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
        places = [(table, "") for (table,) in await (await owner.execute(queries.queues)).fetchall()]
        for table, _ in [*places, ("dead_letter", "")]:
            if n := await _payloads(owner, table, tenant.tenant_id, word):
                found[table] = found.get(table, 0) + n
    for file in sorted((settings.data_dir / "spill").glob("**/*")):
        if file.is_file() and word.search(_plain_pieces(file)):
            found[f"spill/{file.name}"] = 1
    return found


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
