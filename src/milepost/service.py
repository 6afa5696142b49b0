"""A background service: one task of a process, begun and ended the same way whatever it does.

    class Indexer(Service):
        name = "indexer"

        async def _run(self) -> None:
            while not self.stopping:
                await self.run_once()
                await self.pause(LOOK_S)

What it does, and what becomes of an error, `_run` says: one that leaves it is raised by `stop`.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import ClassVar

__all__ = ["Service"]


class Service(ABC):
    """`start` begins it; `stop` is complete when it returns: the step under way is finished, and no other begun."""

    name: ClassVar[str]  # of its task

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    async def start(self) -> None:
        """Safe twice; after `stop` it begins anew."""
        if self._task is None:
            self._stopping.clear()
            self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self) -> None:
        """Safe twice, and unstarted."""
        task, self._task = self._task, None
        if task is not None:
            self._stopping.set()
            await task

    async def pause(self, seconds: float) -> None:
        """Between two steps; cut short by `stop`."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    @abstractmethod
    async def _run(self) -> None:
        """Until `stopping`."""
