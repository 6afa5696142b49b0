"""Work that nobody waits for takes what others leave of the processors, and rests.

A low priority is not enough: two processors are often two threads of one core, and each takes a third of the other's speed whoever comes first;
and a statement in PostgreSQL has the priority of all others. So such work is done in slices of some milliseconds, with rests in between (`Pace`).
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import suppress
from threading import get_native_id

__all__ = ["ONE_PROCESSOR", "Pace", "give_way"]

NICE = 19
ONE_PROCESSOR = {"max_parallel_workers_per_gather": "0"}  # a session's, whose statements take one processor at most
SLICE_S = 0.004
FREE_S = 0.2  # of work that owes no rest: what is soon done disturbs nobody for long
REST_MAX_S = 0.5  # after a slice that could not be cut, or that waited for somebody


def give_way() -> None:
    """This thread, and those that it starts, come after all others. Elsewhere than on Linux, where only processes have priorities, nothing."""
    if sys.platform == "linux":
        with suppress(PermissionError):  # in a sandbox
            os.setpriority(os.PRIO_PROCESS, get_native_id(), NICE)


class Pace:
    """How much of the time such work goes on. One for a run, which asks between pieces of its work whether a rest is `due`, and takes it: in a
    thread by `rest`, in a loop by `pause`.
    """

    def __init__(self, share: float = 1.0) -> None:
        """share: of the time, above 0; 1 never rests."""
        self._per_worked = 1 / share - 1
        self._free = FREE_S
        self._began = time.monotonic()

    @property
    def rests(self) -> bool:
        """Whether it ever does."""
        return self._per_worked > 0

    @property
    def due(self) -> bool:
        return self.rests and time.monotonic() - self._began >= SLICE_S

    def rest(self) -> None:
        if self.due:
            time.sleep(self._owed())
            self._began = time.monotonic()

    async def pause(self) -> None:
        if self.due:
            await asyncio.sleep(self._owed())
            self._began = time.monotonic()

    def hurry(self) -> None:
        """What is under way is to end as soon as it can: no rest any more."""
        self._per_worked = 0.0

    def _owed(self) -> float:
        worked = time.monotonic() - self._began
        free = min(self._free, worked)
        self._free -= free
        return min((worked - free) * self._per_worked, REST_MAX_S)
