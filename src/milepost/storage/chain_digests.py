"""The formulas of a chain, for whoever checks one: SHA-256 throughout, of bytes put one after the other.

    activity    of salt (16 bytes), the activity's form (`milepost.schema.compile.chain_form`), a line feed, and the content's line
    block       of kind, a zero byte, and for each activity its id (16 bytes) and digest (32; nothing where it is gone)
    link        of the digest of link n - 1, that of link n & (n - 1), n (8 bytes), microseconds since 1970 (8 bytes), why, a zero byte,
                and the SHA-256 of the digests of its blocks
    before all  of `milepost chain NAME`, in the place of link 0

A link names two before it, so that from any link to any other there is a way of two hundred at most (`way`), and not only of all
between them. `milepost.storage.chain` makes the same in PostgreSQL; here is what its links are compared with.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

from milepost.activity import microseconds

__all__ = ["activity_digest", "before_all", "block_digest", "earlier", "link_digest", "moment_of", "since_1970_us", "way"]

_1970_US = 62_135_596_800_000_000


def activity_digest(salt: UUID, form: str, content: str) -> bytes:
    return sha256(salt.bytes + f"{form}\n{content}".encode()).digest()


def block_digest(kind: str, entries: bytes) -> bytes:
    return sha256(kind.encode() + b"\0" + entries).digest()


def link_digest(previous: bytes, before: bytes, number: int, made_at_us: int, why: str, root: bytes) -> bytes:
    """previous: of the link before it. before: of the one that `earlier` names. root: SHA-256 of its blocks' digests."""
    head = previous + before + number.to_bytes(8, "big") + made_at_us.to_bytes(8, "big", signed=True)
    return sha256(head + why.encode() + b"\0" + root).digest()


def before_all(tenant: str) -> bytes:
    return sha256(f"milepost chain {tenant}".encode()).digest()


def earlier(number: int) -> int:
    """The number without its lowest bit; 0 is before all."""
    return number & (number - 1)


def way(newest: int, number: int) -> Iterable[int]:
    """The links from one to an earlier one, both included, each of which names the next."""
    at = newest
    while at > number:
        yield at
        at = earlier(at) if earlier(at) >= number else at - 1
    yield number


def since_1970_us(moment: datetime) -> int:
    return microseconds(moment) - _1970_US


def moment_of(us: int) -> datetime:
    """The moment of so many microseconds since 1970."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
