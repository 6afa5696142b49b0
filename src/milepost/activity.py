"""An activity's identity: the id that is primary key, partition key, order and cursor at once.

An id is a UUIDv8 (RFC 9562): 48 bits of milliseconds since 0001-01-01T00:00:00Z, 12 bits of what is left of the millisecond
(microseconds, times four), 62 bits of hash. Ids therefore sort by `occurred_at`, the time can be read back from the id, and
history before 1970 fits. Where the client sent both key and time, the hash is of (tenant, source, key): a retry makes the same
id. Otherwise the hash is random.

Times are `datetime` with a zone at the edges, and integer microseconds since year 1 (UTC) inside.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from uuid import UUID

__all__ = [
    "AUDIENCES",
    "LARGEST_ID",
    "SMALLEST_ID",
    "activity_id",
    "audience_of",
    "id_from",
    "id_high",
    "id_low",
    "key_hash",
    "microseconds",
    "occurred_at_of",
    "random_hash",
]

YEAR_ONE = datetime(1, 1, 1, tzinfo=UTC)
HASH_MASK = (1 << 62) - 1
SMALLEST_ID = UUID(int=0)
LARGEST_ID = UUID(int=(1 << 128) - 1)

# Who may see an activity; the number is stored, and leads the feed indexes.
AUDIENCES = ("public", "group", "private")
audience_of = {name: number for number, name in enumerate(AUDIENCES)}

_VERSION, _VARIANT = 8 << 12, 2 << 62  # of RFC 9562, in the id's upper and lower half


def microseconds(moment: datetime) -> int:
    """Microseconds since year 1, exact (a float of seconds would not be)."""
    since = moment - YEAR_ONE
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def activity_id(occurred_at_us: int, hash62: int) -> int:
    """The id as a 128-bit integer: `UUID(int=…)` or `.to_bytes(16, "big")` makes it what is wanted."""
    return id_high(occurred_at_us) << 64 | id_low(hash62)


def id_high(occurred_at_us: int) -> int:
    """The id's upper 64 bits: all of its time."""
    milliseconds, rest = divmod(occurred_at_us, 1000)
    return milliseconds << 16 | _VERSION | rest << 2


def id_low(hashed: int) -> int:
    """The id's lower 64 bits: 62 bits of hash (further ones are left out)."""
    return _VARIANT | hashed & HASH_MASK


def id_from(moment: datetime) -> UUID:
    """The smallest id at or after `moment`: a bound for queries, never an activity's own id."""
    milliseconds, rest = divmod(microseconds(moment), 1000)
    if milliseconds >> 48:
        return LARGEST_ID  # 48 bits end in the year 8920
    return UUID(int=(milliseconds << 80) | (rest << 66) | (8 << 76))


def occurred_at_of(activity: UUID) -> datetime:
    """The time an id was made for, in UTC, to the microsecond."""
    value = activity.int
    return YEAR_ONE + timedelta(milliseconds=value >> 80, microseconds=(value >> 66) & 0x3FF)


def key_hash(tenant_id: int, source: str, key: str) -> bytes:
    """16 bytes of (tenant, source, key): the first 8 make the id's hash, all of them the ledger's key."""
    return blake2b(f"{tenant_id}\0{source}\0{key}".encode(), digest_size=16).digest()


def random_hash() -> int:
    return secrets.randbits(62)
