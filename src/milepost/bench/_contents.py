"""Contents of three sizes: what they take in the store, and how long it takes to write one, to read it whole, and to read one part."""

from __future__ import annotations

import random
from pathlib import Path
from time import perf_counter

import msgspec

from milepost.bench._report import Figure, percentile
from milepost.postgres import Connection, load_queries
from milepost.storage.content import Contents, Kept
from milepost.storage.objects import ObjectStore

__all__ = ["measure_contents"]

_queries = load_queries(__package__, "lifecycle.sql")

SIZES = {"10kb": 10_000, "200kb": 200_000, "2mb": 2_000_000}  # bytes of JSON
EACH = 30  # documents of each size
PART_MAX = 0.05  # of a 2-MB document's bytes, to read one of its questions


class _Counting(ObjectStore):
    """Knows how many bytes were fetched."""

    fetched = 0

    async def range(self, path: str, start: int, end: int) -> bytes:
        data = await super().range(path, start, end)
        self.fetched += len(data)
        return data


async def measure_contents(owner: Connection, tenant_id: int, folder: Path) -> list[Figure]:
    """folder: of the store. Each reading begins with nothing known of the object."""
    store = _Counting(folder.as_uri())
    draw = random.Random(6)
    words = ["".join(draw.choices("abcdefghijklmnoprstu", k=draw.randint(2, 10))) for _ in range(5_000)]
    figures = []
    for name, size in SIZES.items():
        times: dict[str, list[float]] = {"write": [], "read": [], "part": []}
        text_bytes, object_bytes, shares = 0, 0, list[float]()
        for _ in range(EACH):
            text = _assessment(draw, words, size)
            began = perf_counter()
            digest = await Contents(store).keep(owner, tenant_id, text)
            times["write"].append(1000 * (perf_counter() - began))
            kept = await _kept(owner, tenant_id, digest)
            text_bytes, object_bytes = text_bytes + kept.text_bytes, object_bytes + kept.object_bytes
            began = perf_counter()
            whole = await Contents(store).whole(kept)
            times["read"].append(1000 * (perf_counter() - began))
            questions = msgspec.json.decode(whole)["questions"]
            number = draw.randrange(len(questions))
            before, began = store.fetched, perf_counter()
            part = await Contents(store).part(kept, f"/questions/{number}")
            times["part"].append(1000 * (perf_counter() - began))
            shares.append((store.fetched - before) / kept.text_bytes)
            assert msgspec.json.decode(part) == questions[number]
        figures += [
            Figure(name=f"content_{name}_{what}_p95_ms", value=percentile(taken, 0.95), unit="ms")
            for what, taken in times.items()
        ]
        most = PART_MAX if name == "2mb" else None
        figures += [
            Figure(name=f"content_{name}_share", value=object_bytes / text_bytes, unit="of its JSON"),
            Figure(name=f"content_{name}_part_share", value=max(shares), unit="of its JSON", at_most=most),
        ]
    return figures


def _assessment(draw: random.Random, words: list[str], size: int) -> bytes:
    """A document of about that many bytes: questions with their choices, as a course has them."""
    questions: list[dict[str, object]] = []
    written = 0
    while written < size:
        question = {
            "id": len(questions),
            "text": " ".join(draw.choices(words, k=60)),
            "choices": [{"text": " ".join(draw.choices(words, k=12)), "right": n == 0} for n in range(4)],
            "points": draw.randint(1, 9),
        }
        questions.append(question)
        written += len(msgspec.json.encode(question))
    return msgspec.json.encode({"title": "Mechanics", "questions": questions})


async def _kept(owner: Connection, tenant_id: int, digest: bytes) -> Kept:
    row = await (await owner.execute(_queries.kept, {"tenant_id": tenant_id, "digest": digest})).fetchone()
    assert row is not None
    return Kept.of(tenant_id, row)
