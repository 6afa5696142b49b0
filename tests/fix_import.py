"""For tests of imports: a sink that records, in memory or in a file that outlives the process, and where the data sets are."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from milepost.importing import Map, Outcome, Refused, Sent, Summary, parse_map, run_import

__all__ = ["RecordingSink", "data_set", "imported", "made_of"]


class RecordingSink:
    """Takes everything, knows what it has by key, and can refuse by verb, fail at a send, or answer late."""

    identity = "recording"

    def __init__(self, *, refuse_verb: str = "", fail_at_send: int = 0) -> None:
        self.activities: list[dict[str, Any]] = []
        self.commands: list[dict[str, Any]] = []
        self.keys: set[tuple[str, str]] = set()
        self.refuse_verb = refuse_verb
        self.fail_at_send = fail_at_send
        self.sends = 0
        self.pending: dict[int, Outcome] = {}
        self.pending_max = 0

    async def send(self, activities: Sequence[bytes]) -> Sent:
        self.sends += 1
        if self.sends == self.fail_at_send:
            raise ConnectionError("the database is gone")
        decoded = [msgspec.json.decode(one) for one in activities]
        refused = tuple(
            Refused(index=index, pointer="/verb", detail=f"{self.refuse_verb!r} is refused")
            for index, one in enumerate(decoded)
            if one["verb"] == self.refuse_verb
        )
        accepted = [one for one in decoded if one["verb"] != self.refuse_verb]
        fresh = [one for one in accepted if (one.get("source", ""), one["key"]) not in self.keys]
        self.keys |= {(one.get("source", ""), one["key"]) for one in accepted}
        self.activities += fresh
        outcome = Outcome(loaded=len(fresh), duplicates=len(accepted) - len(fresh))
        return Sent(receipt=self._receipt(outcome), accepted=len(accepted), refused=refused)

    async def command(self, commands: Sequence[bytes]) -> int:
        decoded = [msgspec.json.decode(one) for one in commands]
        refused = tuple(
            Refused(index=index, pointer="/role", detail="is refused")
            for index, one in enumerate(decoded)
            if one.get("role") == "refused"
        )
        self.commands += decoded
        return self._receipt(Outcome(loaded=len(decoded), refused=refused))

    async def wait(self, receipt: int) -> Outcome:
        await asyncio.sleep(0)
        return self.pending.pop(receipt)

    def _receipt(self, outcome: Outcome) -> int:
        receipt = self.sends * 1_000_000 + len(self.commands)
        self.pending[receipt] = outcome
        self.pending_max = max(self.pending_max, len(self.pending))
        return receipt


def data_set(name: str) -> Path:
    """The folder of a data set; skips the test where there is none."""
    named = os.environ.get("MILEPOST_DATA_SETS")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if not (folder / name).is_dir():
        pytest.skip(f"there is no data set {name} in {folder} (MILEPOST_DATA_SETS names another folder)")
    return folder / name


async def imported(target: Path, whole: Map, sink: RecordingSink, folder: Path, **options: Any) -> Summary:
    """Import into the sink; progress and rejects lie in `folder`."""
    return await run_import(
        target,
        whole,
        sink,
        tenant="test",
        progress_folder=folder / "imports",
        rejects_path=folder / "rejects.jsonl",
        **options,
    )


async def made_of(folder: Path, text: str, map_text: str, *, name: str = "rows.csv", **options: Any) -> RecordingSink:
    """What becomes of one file's text by a map."""
    sink = RecordingSink()
    await imported(_written(folder / name, text), parse_map(map_text), sink, folder, **options)
    return sink


def _written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
