"""`AsyncMilepost`: the same client for an app of coroutines. `log` is a plain function; what waits is awaited."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from milepost.client.client import Milepost
from milepost.client.counters import Counters

__all__ = ["AsyncMilepost"]


class AsyncMilepost:
    """Takes what `Milepost` takes. Not bound to an event loop, so it can be made at import."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        self._client = Milepost(*arguments, **settings)
        self.log = self._client.log  # its own method: a call more would cost as much as all it does

    async def flush(self, timeout: float | None = None) -> bool:
        """As `Milepost.flush`; nothing is left behind when it is cancelled."""
        loop = asyncio.get_running_loop()
        passed = asyncio.Event()

        def tell() -> None:
            with suppress(RuntimeError):  # the loop has ended, and nobody waits any more
                loop.call_soon_threadsafe(passed.set)

        if not self._client._mark(tell):
            return self._client._is_empty()
        try:
            async with asyncio.timeout(timeout):
                await passed.wait()
        except TimeoutError:
            return False
        return True

    async def upload(self, file: str | Path, verb: str, name: str, *, media_type: str | None = None) -> str:
        """As `Milepost.upload`, in a thread."""
        return await asyncio.to_thread(self._client.upload, file, verb, name, media_type=media_type)

    async def close(self, timeout: float | None = 5.0) -> bool:
        """As `Milepost.close`. Not to be cancelled in the middle: it goes on in its thread."""
        return await asyncio.to_thread(self._client.close, timeout)

    def counters(self) -> Counters:
        return self._client.counters()

    async def __aenter__(self) -> AsyncMilepost:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"Async{self._client!r}"
