"""Dead letters: what could not be loaded, with its error, as few rows as may be. They lie there until somebody replays or
discards them (`milepost.intake.replay`).

`set_aside` writes them in the transaction that marks their batch; `set_aside_raw` is for input that could not even be made into
activities, and is kept as it came. `milepost.intake.letters` shows them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum

from milepost.intake._batches import Batch
from milepost.intake.fault import Fault, storable
from milepost.postgres import Connection, load_queries
from milepost.telemetry import count

__all__ = ["KIND_NAMES", "LetterKind", "NewLetter", "set_aside", "set_aside_raw", "set_aside_raws"]

_queries = load_queries(__package__, "dead_letters.sql")


class LetterKind(IntEnum):
    """What a letter's payload holds. The number is stored; 0 and 1 are those of the queue (`Kind`)."""

    ACTIVITIES = 0
    COMMAND = 1
    RAW = 2  # JSON as it was sent, with `via`, the way it came in


KIND_NAMES = {LetterKind.ACTIVITIES: "activities", LetterKind.COMMAND: "command", LetterKind.RAW: "raw"}


@dataclass(frozen=True, kw_only=True)
class NewLetter:
    """Rows of a batch: from `first_row`, `rows` of them, alone in `payload`. tries: how many loads failed with them."""

    first_row: int
    rows: int
    payload: bytes
    fault: Fault
    tries: int
    first_failed_at: datetime
    failed_at: datetime


async def set_aside(conn: Connection, batch: Batch, letters: Sequence[NewLetter]) -> list[int]:
    """Write what is left of a batch; in the transaction that marks it. → their ids."""
    values = {
        "tenant_id": batch.tenant_id,
        "batch_id": batch.batch_id,
        "kind": int(batch.kind),
        "model": batch.model,
        "batch_rows": batch.rows,
        "received_at": batch.received_at,
        "via": None,
    }
    return await _insert(conn, values, letters)


async def set_aside_raw(
    conn: Connection, tenant_id: int, raw: bytes, fault: Fault, *, via: str, model: int, received_at: datetime
) -> int:
    """Keep input that could not be mapped: `raw` is its JSON, `via` the way it came in, such as `segment`. → its id.

    conn: in a transaction of the tenant. What `via` names can map it again when it is replayed.
    """
    return (await set_aside_raws(conn, tenant_id, [(raw, fault)], via=via, model=model, received_at=received_at))[0]


async def set_aside_raws(
    conn: Connection, tenant_id: int, raws: Sequence[tuple[bytes, Fault]], *, via: str, model: int, received_at: datetime
) -> list[int]:
    """The same for several that came together, each a letter of its own."""
    now = datetime.now(UTC)
    letters = [
        NewLetter(first_row=0, rows=1, payload=raw, fault=fault, tries=1, first_failed_at=now, failed_at=now)
        for raw, fault in raws
    ]
    values = {
        "tenant_id": tenant_id,
        "batch_id": None,
        "kind": int(LetterKind.RAW),
        "model": model,
        "batch_rows": 1,
        "received_at": received_at,
        "via": via,
    }
    return await _insert(conn, values, letters)


async def _insert(conn: Connection, values: Mapping[str, object], letters: Sequence[NewLetter]) -> list[int]:
    columns = {
        "first_rows": [one.first_row for one in letters],
        "rows": [one.rows for one in letters],
        "tries": [one.tries for one in letters],
        "first_failed_at": [one.first_failed_at for one in letters],
        "failed_at": [one.failed_at for one in letters],
        "error_classes": [one.fault.error_class for one in letters],
        "errors": [storable(one.fault.error) for one in letters],
        "facts": [json.dumps(one.fault.facts) for one in letters],
        "payloads": [one.payload for one in letters],
    }
    rows = await (await conn.execute(_queries.insert, {**values, **columns})).fetchall()
    for one in letters:
        count("dead_letters", one.rows, error_class=one.fault.error_class)
    return [row[0] for row in rows]
