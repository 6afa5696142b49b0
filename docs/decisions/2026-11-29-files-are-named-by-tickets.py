"""Measures what 2026-11-29-files-are-named-by-tickets.md says: what naming a file costs when an activity is accepted."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from uuid import UUID, uuid4

import msgspec

from milepost.intake.accept import Acceptor
from milepost.model import parse_model
from milepost.postgres import Connection, Database, EmbeddedServer
from milepost.schema import migrate
from milepost.storage.tickets import Tickets

ROWS, TURNS = 1000, 41
MODEL = """
name = "graded"
[verbs.run]
measures.distance_m = "decimal(1)"
[verbs.grade]
measures.score = "integer"
"""
RULE = 'files.scan = { types = ["image/*"] }\n'
LOOKED_UP = "SELECT file_id FROM milepost.file WHERE tenant_id = 1 AND file_id = ANY (%s) AND verb = 'grade' AND name = 'scan'"
FILLED = """INSERT INTO milepost.file (tenant_id, file_id, verb, name, media_type, bytes, completed_at, keep_until)
SELECT 1, gen_random_uuid(), 'grade', 'scan', 'image/png', 1, now(), 'infinity' FROM generate_series(1, 100000)"""


def body(**files: Any) -> bytes:
    made = [
        {"key": f"k{n}", "occurred_at": "2026-11-01T10:00:00Z", "actor": f"a{n % 100}", "group": "g", "verb": "grade"} | files
        for n in range(ROWS)
    ]
    return msgspec.json.encode({"activities": made})


def cost_us(accept: Callable[[], object]) -> float:
    """CPU time of an activity."""
    found = []
    for _ in range(TURNS):
        began = time.process_time()
        accept()
        found.append((time.process_time() - began) / ROWS * 1e6)
    return median(found)


async def asked_ms(owner: Connection, ids: list[UUID]) -> float:
    """A question for the files of 100 activities."""
    found = []
    for turn in range(TURNS):
        began = time.perf_counter()
        await (await owner.execute(LOOKED_UP.encode(), (ids[turn * 100 : turn * 100 + 100],))).fetchall()
        found.append((time.perf_counter() - began) * 1000)
    return median(found)


async def main() -> None:
    tickets, now = Tickets(b"secret"), datetime.now(UTC)
    plain, ruled = (Acceptor(parse_model(text), 1, tickets) for text in (MODEL, MODEL + RULE))
    until = (now + timedelta(hours=1)).timestamp()
    named = body(files={"scan": [tickets.ticket(1, "grade", "scan", uuid4(), until)]})
    bare = body()
    for what, acceptor, sent in (
        ("no file, a model without any", plain, bare),
        ("no file, a verb that may", ruled, bare),
        ("one file", ruled, named),
    ):
        accepted = acceptor.accept(1, sent, now)
        assert accepted.rows == ROWS, accepted.rejected[:1]
        print(f"{what}: {cost_us(partial(acceptor.accept, 1, sent, now)):.2f} us an activity")
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer.start(Path(folder), durable=False) as server:
        async with await Database.connect_owner(server.ensure_database("files")) as owner:
            await migrate(owner, 1)
            await owner.execute(FILLED.encode())
            ids = [row[0] for row in await (await owner.execute(b"SELECT file_id FROM milepost.file")).fetchall()]
            await asked_ms(owner, ids)
            print(f"a question for the files of 100: {await asked_ms(owner, ids):.2f} ms")


if __name__ == "__main__":
    asyncio.run(main())
