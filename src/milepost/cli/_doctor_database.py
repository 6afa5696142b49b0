"""Which database the doctor looks at: the DSN that was given, else milepost's own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from milepost.cli._database import opened
from milepost.doctor import Target
from milepost.settings import Settings

__all__ = ["on_target"]

Answer = TypeVar("Answer")


def on_target(
    settings: Settings, dsn: str | None, work: Callable[[Target], Awaitable[Answer]], *, system: str | None = None
) -> Answer:
    """What `work` answers on the database of `dsn`."""

    async def run(url: str) -> Answer:
        return await work(await Target.open(url))

    if dsn is not None:
        return asyncio.run(run(dsn))
    with opened(settings, system=system) as url:
        return asyncio.run(run(url))
