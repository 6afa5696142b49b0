"""The apps of a soak: some processes that log, each killed and started again with the same folder, and what became of them all.

An app that runs again is another incarnation: it has a source of its own, so that each one's activities can be counted.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from milepost.bench._soak_app import Told
from milepost.errors import MilepostError

__all__ = ["SPOOL", "App", "Became", "Incarnation", "became"]

SPOOL = "spool"  # the folder that all apps share
END_S = 180.0


@dataclass(kw_only=True)
class Incarnation:
    source: str
    file: Path
    killed: bool = False

    def told(self) -> Told:
        return Told.read(self.file)


class App:
    """`start`, then `kill` or `stop`, as often as you like."""

    def __init__(self, name: str, folder: Path, url: str, key: str) -> None:
        self.name = name
        self.incarnations: list[Incarnation] = []
        self._folder = folder
        kept = {variable: value for variable, value in os.environ.items() if not variable.startswith("MILEPOST_")}
        self._environ = kept | {"MILEPOST_URL": url, "MILEPOST_KEY": key, "MILEPOST_SPOOL_DIR": str(folder / SPOOL)}
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def start(self, per_second: float) -> None:
        """Returns when it logs. per_second 0: as fast as activities are sent."""
        source = f"{self.name}.{len(self.incarnations)}"
        made = Incarnation(source=source, file=self._folder / f"{source}.told")
        with (self._folder / f"{self.name}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "milepost.bench._soak_app", source, str(made.file), str(per_second)),
                env=self._environ, stdout=asyncio.subprocess.PIPE, stderr=log,
            )  # fmt: skip
        self._process = process
        assert process.stdout is not None
        if not await process.stdout.readline():
            raise MilepostError(f"An app did not start; see {self._folder / f'{self.name}.log'}.")
        self.incarnations.append(made)

    async def kill(self) -> None:
        """SIGKILL, if it runs."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            self.incarnations[-1].killed = True
            process.kill()
            await process.wait()

    async def stop(self) -> None:
        """It sends what it has, and ends."""
        if self._process is None:
            return
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), END_S)
            except TimeoutError:
                await self.kill()
                return
        if self._process.returncode != 0:
            raise MilepostError(f"{self.name} ended with {self._process.returncode}; see {self._folder / f'{self.name}.log'}.")
        self._process = None


@dataclass(frozen=True, kw_only=True)
class Became:
    """Of all incarnations. lost: what the client had sent, or on disk, and is not there. with_app: what it had in memory when it was
    killed, which goes with it. failed: calls that raised, and activities that were given up.
    """

    called: int
    loaded: int
    lost: int
    duplicated: int
    with_app: int
    failed: int
    longest_s: float
    slow: int


def became(ended: Sequence[Incarnation], counted: Mapping[str, tuple[int, int]]) -> Became:
    """ended: all of them, none runs any more. counted: by source, the rows that are loaded, and the different activities in them."""
    every = [one.told() for one in ended]
    lost = with_app = loaded = duplicated = 0
    for one, told in zip(ended, every, strict=True):
        rows, different = counted.get(one.source, (0, 0))
        loaded += different
        duplicated += rows - different
        # A killed one may have logged more than it had time to tell: then less than nothing is missing.
        missing = max(0, told.called - told.given_up - different)
        allowed = max(0, told.called - told.given_up - told.kept) if one.killed else 0
        lost += max(0, missing - allowed)
        with_app += min(missing, allowed)
    return Became(
        called=sum(told.called for told in every),
        loaded=loaded,
        lost=lost,
        duplicated=duplicated,
        with_app=with_app,
        failed=sum(told.raised + told.given_up for told in every),
        longest_s=max((told.longest_ns for told in every), default=0) / 1e9,
        slow=sum(told.slow for told in every),
    )
