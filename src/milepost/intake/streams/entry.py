"""Entry: a batch as it lies in its lane's stream, and the keys that a lane has in Redis.

All keys of a lane share a hash tag, so that a Cluster keeps them on one server and a script may use several. The deployment's name is
in them: two deployments that are given the same Redis do not move each other's batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import TypeAlias

import msgspec

from milepost.intake._batches import Idempotency, NewBatch
from milepost.intake.relay import Relayed
from milepost.postgres import Connection, load_queries, translated

__all__ = ["Field", "LaneKeys", "deployment", "fields_of", "id_parts", "relayed_of"]

_queries = load_queries(__package__, "entry.sql")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

Field: TypeAlias = bytes | str | int


@dataclass(frozen=True, slots=True)
class LaneKeys:
    """The names of what one lane of one deployment has in Redis."""

    name: str
    lane: int

    def _key(self, what: str) -> bytes:
        return f"milepost:{{{self.name}-lane-{self.lane}}}:{what}".encode()

    @property
    def batches(self) -> bytes:
        """The stream."""
        return self._key("batches")

    @property
    def identity(self) -> bytes:
        """Born with the stream: where it is another one, positions in the last stream mean nothing."""
        return self._key("identity")

    @property
    def unreadable(self) -> bytes:
        """A stream of entries that are no batch. Nothing of ours makes one; nothing is thrown away either."""
        return self._key("unreadable")

    def taken_from(self, source: str) -> bytes:
        """How much of a spill has been put into this stream."""
        return self._key(f"taken-from:{source}")


async def deployment(connection: Connection) -> tuple[str, tuple[int, ...]]:
    """The name that keys carry, and the lanes. The name tells nothing of the secret it is made of."""
    with translated(connection):
        row = await (await connection.execute(_queries.deployment)).fetchone()
    assert row is not None, "a migrated database has a deployment row"
    secret, lanes = row
    return blake2b(bytes(secret), digest_size=8, person=b"redis keys").hexdigest(), tuple(lanes)


def fields_of(batch: NewBatch, receipt_id: int, received_at: datetime, claim: Idempotency | None) -> list[Field]:
    """Names and values in turn, as XADD takes them. The payload is last, so that the others can be read without it."""
    return [
        *("tenant", batch.tenant_id, "kind", int(batch.kind), "model", batch.model, "rows", batch.rows),
        *("received_at", (received_at - EPOCH) // MICROSECOND, "receipt_id", receipt_id),
        *("claim", b"" if claim is None else msgspec.json.encode(claim), "payload", batch.payload),
    ]


FIELDS = 16  # names and values of one entry


def relayed_of(lane: int, entry_id: bytes, fields: Sequence[bytes]) -> Relayed | None:
    """The batch of an entry; None: it is no batch of ours."""
    found = dict(zip(fields[::2], fields[1::2], strict=True))
    try:
        batch = NewBatch(
            lane=lane,
            tenant_id=int(found[b"tenant"]),
            kind=int(found[b"kind"]),
            model=int(found[b"model"]),
            rows=int(found[b"rows"]),
            payload=found[b"payload"],
        )
        received_at = EPOCH + int(found[b"received_at"]) * MICROSECOND
        receipt_id = int(found[b"receipt_id"])
        said = found.get(b"claim")  # an older server writes none
        claim = msgspec.json.decode(said, type=Idempotency) if said else None
    except (KeyError, ValueError, OverflowError, AssertionError, msgspec.MsgspecError):
        return None
    return Relayed(position=entry_id.decode(), receipt_id=receipt_id, received_at=received_at, batch=batch, claim=claim)


def id_parts(entry_id: str) -> tuple[int, int]:
    """An entry's id as it sorts: milliseconds and a number within them; (0, 0) for none."""
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds or 0), int(number or 0)
