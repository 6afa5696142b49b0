"""Keys: what a request shows to say whose it is and what it may do.

A key is `mp_<tenant>_<32 characters>`, 160 random bits, shown once and stored as its SHA-256 (it is random, so a slow hash
would guard nothing). Its first characters, `key_id`, tell keys apart in lists and name the one to revoke. `Keys.verify`
remembers what it found for a second: so long may a revoked key still work, in each process.

How it fails: `Unauthorized` for a key that is missing a part, wrong or revoked, without saying which; `InvalidInput` for
scopes that are none; `NotFound` for a tenant or key that is not there.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from base64 import b32encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import sha256

from milepost.access._values import text_fault
from milepost.errors import FieldError, InvalidInput, NotFound, Unauthorized
from milepost.postgres import Connection, Database, load_queries

__all__ = ["SCOPES", "Key", "Keys", "Principal", "create_key", "list_keys", "revoke_key"]

SCOPES = ("read", "write", "admin")

SECRET_BYTES = 20
KEY_ID_CHARS = 8  # of the 32; 120 secret bits remain
NAME_CHARS_MAX = 200
KEY = re.compile(r"mp_([1-9][0-9]{0,9})_[a-z2-7]{32}", re.ASCII)
TENANT_MAX = 2**31 - 1

REMEMBERED_S = 1.0
REMEMBERED_MAX = 10_000

queries = load_queries(__package__, "keys.sql")


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Whose request this is, and what it may do."""

    tenant_id: int
    tenant: str
    lane: int
    scopes: frozenset[str]
    key_id: str


@dataclass(frozen=True, kw_only=True)
class Key:
    """What can be told of a key: everything but the key."""

    key_id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None


async def create_key(conn: Connection, tenant_id: int, scopes: Iterable[str], name: str = "") -> str:
    """A new key of the tenant, the only time it is seen. `scopes`: some of `read`, `write`, `admin`."""
    chosen = sorted(set(scopes))
    errors = [FieldError("/scopes", f"{scope!r} is not one of {', '.join(SCOPES)}") for scope in chosen if scope not in SCOPES]
    if not chosen:
        errors.append(FieldError("/scopes", f"must have at least one of {', '.join(SCOPES)}"))
    if name and (detail := text_fault(name, NAME_CHARS_MAX)):
        errors.append(FieldError("/name", detail))
    if errors:
        raise InvalidInput(errors=tuple(errors))
    secret = b32encode(secrets.token_bytes(SECRET_BYTES)).decode().lower()
    key = f"mp_{tenant_id}_{secret}"
    row = {"tenant_id": tenant_id, "key_hash": _hash(key), "key_id": _key_id(tenant_id, secret)}
    made = await conn.execute(queries.create_key, row | {"scopes": chosen, "name": name})
    if await made.fetchone() is None:
        raise NotFound(f"There is no tenant {tenant_id}.", tenant_id=tenant_id)
    return key


async def revoke_key(conn: Connection, tenant_id: int, key_id: str) -> None:
    """From a second later on, no request with this key is let in. Safe twice. Raises `NotFound`."""
    found = None
    if text_fault(key_id) is None:
        found = await (await conn.execute(queries.revoke_key, {"tenant_id": tenant_id, "key_id": key_id})).fetchone()
    if found is None:
        raise NotFound(f"There is no key {key_id!r}.", key_id=key_id)


async def list_keys(conn: Connection, tenant_id: int) -> list[Key]:
    """The tenant's keys, the oldest first, revoked ones too."""
    cursor = await conn.execute(queries.list_keys, {"tenant_id": tenant_id})
    return [
        Key(key_id=key_id, name=name, scopes=tuple(scopes), created_at=created_at, revoked_at=revoked_at)
        async for key_id, name, scopes, created_at, revoked_at in cursor
    ]


class Keys:
    """Verifies keys, and remembers each for a second: the one look-up of a busy key is shared by all who wait for it."""

    def __init__(self, db: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._clock = clock
        self._known: dict[bytes, tuple[float, Principal]] = {}  # by hash, the oldest first
        self._asked: dict[bytes, asyncio.Task[Principal | None]] = {}

    async def verify(self, key: str) -> Principal:
        """Whose key this is. Raises `Unauthorized`."""
        match = KEY.fullmatch(key)
        if match is None or int(match[1]) > TENANT_MAX:
            raise Unauthorized
        key_hash = _hash(key)
        known = self._known.get(key_hash)
        if known is not None and self._clock() < known[0]:
            return known[1]
        asked = self._asked.get(key_hash)
        if asked is None:
            asked = asyncio.create_task(self._ask(int(match[1]), key_hash))
            self._asked[key_hash] = asked
            asked.add_done_callback(partial(self._answered, key_hash))
        # Shielded: one request that is given up must not fail the others.
        principal = await asyncio.shield(asked)
        if principal is None:
            raise Unauthorized
        return principal

    def _answered(self, key_hash: bytes, asked: asyncio.Task[Principal | None]) -> None:
        self._asked.pop(key_hash, None)
        if not asked.cancelled():
            asked.exception()  # those who wait raise it; where all have given up, nobody misses it

    async def _ask(self, tenant_id: int, key_hash: bytes) -> Principal | None:
        began = self._clock()
        async with self._db.transaction("point") as conn:
            wanted = {"tenant_id": tenant_id, "key_hash": key_hash}
            row = await (await conn.execute(queries.verify_key, wanted)).fetchone()
        self._known.pop(key_hash, None)
        if row is None:
            return None  # not remembered: anyone can send any number of wrong keys
        tenant, lane, scopes, key_id = row
        principal = Principal(tenant_id=tenant_id, tenant=tenant, lane=lane, scopes=frozenset(scopes), key_id=key_id)
        while len(self._known) >= REMEMBERED_MAX:
            del self._known[next(iter(self._known))]
        self._known[key_hash] = (began + REMEMBERED_S, principal)
        return principal


def _hash(key: str) -> bytes:
    return sha256(key.encode()).digest()


def _key_id(tenant_id: int, secret: str) -> str:
    return f"mp_{tenant_id}_{secret[:KEY_ID_CHARS]}"
