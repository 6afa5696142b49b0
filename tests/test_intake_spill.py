"""The spill alone: what it acknowledged comes out in order, each until it is dropped, whatever dies and whatever is full."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from effort import examples
from milepost.errors import QueueFull
from milepost.intake._batches import Idempotency, NewBatch
from milepost.intake.spill import Spill, SpillGroup

BYTES_MAX = 10**6


def batch_of(number: int, size: int = 10, *, lane: int = 0) -> NewBatch:
    payload = number.to_bytes(4, "big") + random.Random(number).randbytes(max(0, size - 4))
    return NewBatch(lane=lane, tenant_id=number % 3 + 1, kind=0, model=1, rows=number + 1, payload=payload)


def numbers(group: SpillGroup) -> list[int]:
    return [int.from_bytes(one.batch.payload[:4], "big") for one in group.batches]


async def opened(folder: Path, bytes_max: int = BYTES_MAX) -> Spill:
    spill = Spill(folder, bytes_max)
    await spill.start()
    return spill


def die(spill: Spill) -> None:
    """As SIGKILL does it: locks go, nothing is tidied up."""
    for held in spill._line:
        held.file.close()
        held.claim.release()


def files(folder: Path, ending: str = "*.db") -> list[Path]:
    return sorted(folder.glob(ending))


async def drained(spill: Spill, batches_max: int = 7) -> list[int]:
    found: list[int] = []
    while (group := await spill.first(batches_max, 10**6)) is not None:
        found += numbers(group)
        await spill.drop(group)
    return found


class History:
    """A spill beside a list."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.expected: list[int] = []
        self.next = 0
        self.spill: Spill | None = None

    async def run(self, steps: list[tuple[str, int]]) -> None:
        self.spill = await opened(self.folder)
        for step, amount in steps:
            await getattr(self, step)(amount)
            assert self.spill.batches == len(self.expected)
        assert await drained(self.spill) == self.expected
        assert self.spill.empty
        assert self.spill.bytes == 0
        await self.spill.stop()
        assert not files(self.folder)

    async def put(self, amount: int) -> None:
        """Several at once: they share a write, and keep the order in which they came."""
        assert self.spill is not None
        chosen = range(self.next, self.next + amount)
        self.next += amount
        claims = [Idempotency(key=f"k{n}", body_hash=b"h", answer={"n": n}) if n % 5 == 0 else None for n in chosen]
        await asyncio.gather(
            *(self.spill.put(batch_of(n, 10 + n * 37 % 900), claim) for n, claim in zip(chosen, claims, strict=True))
        )
        self.expected += chosen

    async def drop(self, amount: int) -> None:
        assert self.spill is not None
        group = await self.spill.first(amount, 2_000)
        assert (group is None) == (not self.expected)
        if group is not None:
            found = numbers(group)
            assert found == self.expected[: len(found)]
            for one, number in zip(group.batches, found, strict=True):
                assert one.batch == batch_of(number, 10 + number * 37 % 900)
                assert (one.claim is not None) == (number % 5 == 0)
            await self.spill.drop(group)
            self.expected = self.expected[len(found) :]

    async def look(self, amount: int) -> None:
        """What is not dropped is given again, as far as it lies in one file."""
        assert self.spill is not None
        group = await self.spill.first(amount, 10**6)
        assert (group is None) == (not self.expected)
        if group is not None:
            found = numbers(group)
            assert found == self.expected[: len(found)]
            assert len(found) == min(amount, group.held.batches)

    async def die(self, _: int) -> None:
        assert self.spill is not None
        die(self.spill)
        self.spill = await opened(self.folder)

    async def stop(self, _: int) -> None:
        assert self.spill is not None
        await self.spill.stop()
        self.spill = await opened(self.folder)


@given(st.lists(st.tuples(st.sampled_from(["put", "put", "drop", "look", "die", "stop"]), st.integers(1, 12)), max_size=14))
@hypothesis_settings(max_examples=examples(20, 60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_history_comes_out_as_it_went_in(tmp_path: Path, steps: list[tuple[str, int]]) -> None:
    """Whatever is put, dropped, killed and started again: what is left is there, once, in order, and nothing stays behind at the end."""
    folder = tmp_path / os.urandom(6).hex()
    asyncio.run(History(folder).run(steps))


async def test_beyond_its_bound_it_refuses(tmp_path: Path) -> None:
    """What does not fit is refused by name; what fits is kept, and there is room again when something is dropped."""
    spill = await opened(tmp_path, 2_000)
    await spill.put(batch_of(0, 1_000))
    with pytest.raises(QueueFull) as refused:
        await spill.put(batch_of(1, 1_000))
    assert refused.value.limit == 2_000
    assert await drained(spill) == [0]
    await spill.put(batch_of(2, 1_000))
    assert await drained(spill) == [2]
    await spill.stop()


async def test_a_full_disk_harms_nothing(tmp_path: Path) -> None:
    """`QueueFull`, and the file stays good: what was there comes out, and once there is room, more goes in."""
    spill = await opened(tmp_path)
    await spill.put(batch_of(0))
    own = spill._own
    assert own is not None
    connection = own.file.connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(QueueFull, match="disk"):
        await spill.put(batch_of(1, 100_000))
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.execute("PRAGMA max_page_count = 1000000")
    await spill.put(batch_of(2, 100_000))
    assert await drained(spill) == [0, 2]
    await spill.stop()


async def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    """What cannot be read is left under another name, and holds up nothing else."""
    first = await opened(tmp_path)
    await first.put(batch_of(0))
    await first.put(batch_of(1, 5_000))
    die(first)
    (path,) = files(tmp_path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE batch SET payload = zeroblob(5000) WHERE seq = 2")
    connection.close()
    second = await opened(tmp_path)
    await second.put(batch_of(2))
    assert await drained(second, 1) == [0, 2]
    assert second.empty
    await second.stop()
    assert len(files(tmp_path, "*.db.corrupt-*")) == 1
    assert not files(tmp_path)


async def test_no_file_at_all(tmp_path: Path) -> None:
    """A file that is no database is set aside at the start."""
    (tmp_path / "1-abc.lock").touch()
    (tmp_path / "1-abc.db").write_bytes(b"not a database" * 1_000)
    spill = await opened(tmp_path)
    assert spill.empty
    await spill.stop()
    assert [path.name.split(".corrupt-")[0] for path in files(tmp_path, "*.corrupt-*")] == ["1-abc.db"]


async def test_a_dead_process_file_is_adopted_by_one(tmp_path: Path) -> None:
    """Two that look at once: each batch is one's; a living process' file is nobody else's."""
    dead, living = await opened(tmp_path), await opened(tmp_path)
    for number in range(5):
        await dead.put(batch_of(number))
    await living.put(batch_of(100))
    die(dead)
    one, other = await opened(tmp_path), await opened(tmp_path)
    assert await living.adopt() == 0
    assert sorted([one.batches, other.batches]) == [0, 5]
    assert sorted(await drained(one) + await drained(other)) == [0, 1, 2, 3, 4]
    assert one.finished() + other.finished() != []
    assert await drained(living) == [100]
    for spill in (one, other, living):
        await spill.stop()
    assert not files(tmp_path)
