"""The primary: where a batch is durable first, when all is well. PostgreSQL's queue tables, or a Redis in front of them.

`milepost.intake.queue` is what requests use; behind it stands one primary, and a spill file for when that is away. A primary only
stores: it has no breaker and no patience of its own beyond what ends a call that would hang for ever. Loaders read PostgreSQL's
queue in either case; a primary that is not PostgreSQL sees to it that its batches are moved there (`milepost.intake.relay`).

How it fails: `QueueUnavailable`, or `DatabaseUnavailable`. Whether a batch whose `put` failed is there is then unknown; its
activities' ids make a second copy harmless. `put_again` has no such doubt: it may be repeated until it succeeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from milepost.intake._batches import Idempotency, NewBatch
from milepost.intake._postgres_primary import PostgresPrimary
from milepost.intake.relay import Relayed
from milepost.postgres import Database
from milepost.settings import Settings

__all__ = ["Primary", "primary_for"]


class Primary(Protocol):
    """One a process. Calls come from one event loop, many at once."""

    @property
    def name(self) -> str:
        """`postgres` or `redis`, as /readyz and metrics call it."""
        ...

    async def start(self) -> None:
        """Connects. Raises where it is away or unfit; safe twice."""
        ...

    async def stop(self) -> None:
        """Takes nothing more; complete when all that was put is answered. Safe twice, and unstarted."""
        ...

    @property
    def takes_claims(self) -> bool:
        """Whether batches bring their claims along (`put`, `put_again`), to be claimed when they are moved into PostgreSQL."""
        ...

    async def put(self, batch: NewBatch, claim: Idempotency | None = None) -> int:
        """Durable when it returns. → the number that its receipt carries: the batch's, or a `relay.receipt_id()`.

        claim: only where it `takes_claims`.
        Whoever calls may lose patience and cancel it: it ends at once then.
        """
        ...

    async def put_again(self, source: str, batches: Sequence[Relayed]) -> None:
        """Batches that a spill acknowledged: in their order, durable when it returns, each once however often it is called.

        Positions sort as text, and grow. The primary compares them with the last one that it took from `source`, and sets that in
        the step that stores the batches: up to and with it, batches are there already and passed over. Receipts keep their
        numbers. The caller bounds a call (`DRAINED_BATCHES_MAX`, `DRAINED_BYTES_MAX` in `milepost.intake._detour`), and makes one at a
        time for a source. Without batches it is only asked whether it answers.
        """
        ...

    async def forget(self, source: str) -> None:
        """The source is drained and gone for good: its position need not be kept. Safe twice."""
        ...

    def state(self) -> dict[str, Any]:
        """What it knows of itself, for /readyz; nothing is asked."""
        ...


def primary_for(db: Database, settings: Settings, moved: Callable[[int], None]) -> Primary:
    """The one that the settings name. moved: to be called with a lane into whose queue batches were moved."""
    del moved  # Redis' batches are moved by whoever loads the lane (`milepost.intake.streams.Relays`), who tells it then
    if settings.redis_url is not None:
        from milepost.intake.streams import RedisPrimary  # its driver is an extra

        return RedisPrimary(db, settings)
    return PostgresPrimary(db, settings)
