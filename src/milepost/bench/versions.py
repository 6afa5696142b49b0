"""Versions: the bytes of all versions of edited documents, beside full copies of them, and what one costs to write and to read.

The edits are those of a history (`--history`), or made up: an assessment of a hundred questions, one of which is reworded each time. Several
tenants make them, so many that all their copies are 64 MB: of a table of some hundred kilobytes, a tenth is maps of free space that never grow. Every
version goes through what a correction calls, in PostgreSQL, and every document's last and middle ones are read back and compared.

- `share`: what `activity_version` holds, with its index and its TOAST, of what the documents' JSON does, copied whole for each version.
- `share_stored`: of the stored bytes alone, without PostgreSQL's own.
"""

from __future__ import annotations

import gzip
import lzma
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import UUID, uuid5

import msgspec

from milepost.bench._report import Figure, Report, percentile
from milepost.errors import MilepostError, ObjectDamaged
from milepost.postgres import Database, EmbeddedServer, load_queries
from milepost.schema import migrate
from milepost.settings import Settings
from milepost.storage.versions import Made, read_version, record

__all__ = ["measure"]

_queries = load_queries(__package__, "versions.sql")

SHARE_MAX = 0.1
COPIED_BYTES = 64_000_000
EDITS, QUESTIONS = 200, 100
NAMES = UUID("6f6a0c1e-52a5-4b3c-9d6d-0a5f3c1b7e42")  # ids of documents are made from their names


async def measure(settings: Settings, folder: Path, history: Path | None = None) -> Report:
    report = Report(scenario="versions", settings={"history": "made up" if history is None else history.name})
    written, read = list[float](), list[float]()
    edits = list(_made_up() if history is None else _edits(history))
    often = Counter(name for name, _ in edits)
    edits = [(name, content) for name, content in edits if often[name] > 1]
    if not edits:
        raise MilepostError("No document of the history was ever edited.")
    copied = sum(len(msgspec.json.encode(content)) for _, content in edits)
    tenants = range(1, 1 + max(1, round(COPIED_BYTES / copied)))
    contents: dict[str, list[Any]] = {}
    with EmbeddedServer.start(folder / "data", bin_dir=settings.pg_bin) as server:
        async with await Database.connect_owner(server.ensure_database("bench")) as conn:
            await migrate(conn, 1)
            for name, content in edits:
                every = contents.setdefault(name, [])
                every.append(content)
                if len(every) == 1:
                    continue
                made = Made(version=len(every), at=datetime.now(UTC), by="bench", why=None)
                for tenant in tenants:
                    began = perf_counter()
                    await record(
                        conn,
                        tenant,
                        _id(tenant, name),
                        before={"content": every[-2]},
                        first_at=made.at,
                        after={"content": content},
                        made=made,
                    )
                    written.append(1000 * (perf_counter() - began))
            for name, every in contents.items():
                for number in (len(every), len(every) // 2 + 1):
                    for tenant in tenants:
                        began = perf_counter()
                        found = await read_version(conn, tenant, _id(tenant, name), number)
                        read.append(1000 * (perf_counter() - began))
                        if found.activity["content"] != every[number - 1]:
                            raise ObjectDamaged(f"Version {number} of {name} reads otherwise.", path=name)
            row = await (await conn.execute(_queries.sizes)).fetchone()
    assert row is not None
    report.settings |= {"documents": len(contents), "versions": len(edits), "tenants": len(tenants)}
    copied *= len(tenants)
    report.figures = [
        Figure(name="full_copies", value=copied, unit="bytes"),
        Figure(name="share", value=row[0] / copied, unit="share", at_most=SHARE_MAX),
        Figure(name="share_stored", value=row[1] / copied, unit="share", at_most=SHARE_MAX),
        Figure(name="write_p50_ms", value=percentile(written, 0.5), unit="ms"),
        Figure(name="write_p95_ms", value=percentile(written, 0.95), unit="ms"),
        Figure(name="read_p95_ms", value=percentile(read, 0.95), unit="ms"),
    ]
    return report


def _id(tenant: int, name: str) -> UUID:
    return uuid5(NAMES, f"{tenant} {name}")


def _edits(history: Path) -> Iterator[tuple[str, Any]]:
    """(document, content), in order; what was deleted is left out."""
    opened: Any = {".gz": gzip.open, ".xz": lzma.open}.get(history.suffix, open)
    with opened(history, "rb") as lines:
        for line in lines:
            edit = msgspec.json.decode(line)
            if "content" in edit:
                yield edit["document"], edit["content"]


def _made_up() -> Iterator[tuple[str, Any]]:
    draw = random.Random(5)
    words = ["".join(draw.choices("abcdefghijklmnoprstu", k=draw.randint(2, 10))) for _ in range(2_000)]
    questions = [{"id": n, "text": " ".join(draw.choices(words, k=30)), "points": draw.randint(1, 9)} for n in range(QUESTIONS)]
    for _ in range(EDITS):
        questions = [dict(one) for one in questions]
        questions[draw.randrange(QUESTIONS)]["text"] = " ".join(draw.choices(words, k=30))
        yield "assessment", {"title": "Mechanics", "questions": questions}
