"""Keys: what a request shows to say whose it is and what it may do.

A key is `mp_<tenant>_<32 characters>`, 160 random bits, shown once and stored as its SHA-256 (it is random, so a slow hash
would guard nothing). Its first characters, `key_id`, tell keys apart in lists and name the one to revoke. `Keys.verify`
remembers what it found for a second: so long may a revoked key still work, in each process.

How it fails: `Unauthorized` for a key that is missing a part, wrong or revoked, without saying which; `InvalidInput` for
scopes that are none; `NotFound` for a tenant or key that is not there. While PostgreSQL cannot be asked, a key that it verified
within the last hour goes on working, even one that has been revoked meanwhile, so that activities can still be taken; any other
gets `DatabaseUnavailable`. Nobody waits for the answer longer than `ASK_S`.
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

import structlog

from milepost.access._values import text_fault
from milepost.access.viewer import KEY_ITSELF, Viewer
from milepost.errors import DatabaseUnavailable, FieldError, InvalidInput, MilepostError, NotFound, Unauthorized
from milepost.postgres import Connection, Database, load_queries

__all__ = ["SCOPES", "Key", "Keys", "Principal", "create_key", "list_keys", "revoke_key"]

SCOPES = ("read", "write", "admin")

SECRET_BYTES = 20
KEY_ID_CHARS = 8  # of the 32; 120 secret bits remain
NAME_CHARS_MAX = 200
KEY = re.compile(r"mp_([1-9][0-9]{0,9})_[a-z2-7]{32}", re.ASCII)
TENANT_MAX = 2**31 - 1

REMEMBERED_S = 1.0
STALE_S = 3600.0  # how long a verified key is good for while PostgreSQL cannot be asked
ASK_S = 1.5  # how long a request waits for PostgreSQL's answer
ASK_AGAIN_S = 0.5  # how often PostgreSQL is asked about a key while it does not answer
REMEMBERED_MAX = 10_000

queries = load_queries(__package__, "keys.sql")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Whose request this is, and what it may do."""

    tenant_id: int
    tenant: str
    lane: int
    scopes: frozenset[str]
    key_id: str
    viewer: Viewer = KEY_ITSELF  # on whose behalf it reads


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
        self._known: dict[bytes, tuple[float, Principal]] = {}  # by hash, with when it was asked; the oldest first
        self._asked: dict[bytes, asyncio.Task[Principal | None]] = {}
        self._away_since: float | None = None  # PostgreSQL failed to answer, and has not answered since
        self._asked_at: dict[bytes, float] = {}  # meanwhile: when it was last asked about a key

    async def verify(self, key: str) -> Principal:
        """Whose key this is. Raises `Unauthorized`, or `DatabaseUnavailable` where nobody knows."""
        match = KEY.fullmatch(key)
        if match is None or int(match[1]) > TENANT_MAX:
            raise Unauthorized
        key_hash = _hash(key)
        asked_at, known = self._known.get(key_hash, (float("-inf"), None))
        age_s = self._clock() - asked_at
        if known is not None and age_s < REMEMBERED_S:
            return known
        if known is not None and age_s < STALE_S and self._away_since is not None:
            # Nobody waits again for an answer that did not come a moment ago; but whether it comes now is found out.
            if self._clock() - self._asked_at.get(key_hash, float("-inf")) >= ASK_AGAIN_S:
                self._asked_at[key_hash] = self._clock()
                self._ask_once(int(match[1]), key_hash)
            return known
        asked = self._ask_once(int(match[1]), key_hash)
        # Not cancelled: one request that is given up must not fail the others.
        answered, _ = await asyncio.wait({asked}, timeout=ASK_S)
        try:
            if not answered:
                self._away()
                raise DatabaseUnavailable(f"PostgreSQL did not say within {ASK_S:g} s whose key this is.")
            principal = asked.result()
        except MilepostError:
            if known is not None and age_s < STALE_S:
                return known
            raise
        if principal is None:
            raise Unauthorized
        return principal

    def _ask_once(self, tenant_id: int, key_hash: bytes) -> asyncio.Task[Principal | None]:
        asked = self._asked.get(key_hash)
        if asked is None:
            asked = asyncio.create_task(self._ask(tenant_id, key_hash))
            self._asked[key_hash] = asked
            asked.add_done_callback(partial(self._answered, key_hash))
        return asked

    def _answered(self, key_hash: bytes, asked: asyncio.Task[Principal | None]) -> None:
        self._asked.pop(key_hash, None)
        if asked.cancelled():
            return
        if asked.exception() is None:
            self._away_since = None
            self._asked_at.clear()
        else:
            self._away()  # those who wait raise it; where all have given up, nobody misses it

    def _away(self) -> None:
        if self._away_since is None:
            self._away_since = self._clock()
            _log.warning("keys cannot be looked up: those known stay good for a while", stale_s=STALE_S)

    async def _ask(self, tenant_id: int, key_hash: bytes) -> Principal | None:
        began = self._clock()
        async with self._db.transaction("point", wait_s=ASK_S) as conn:
            wanted = {"tenant_id": tenant_id, "key_hash": key_hash}
            row = await (await conn.execute(queries.verify_key, wanted)).fetchone()
        self._known.pop(key_hash, None)
        if row is None:
            return None  # not remembered: anyone can send any number of wrong keys
        tenant, lane, scopes, key_id = row
        principal = Principal(tenant_id=tenant_id, tenant=tenant, lane=lane, scopes=frozenset(scopes), key_id=key_id)
        while len(self._known) >= REMEMBERED_MAX:
            del self._known[next(iter(self._known))]
        self._known[key_hash] = (began, principal)
        return principal


def _hash(key: str) -> bytes:
    return sha256(key.encode()).digest()


def _key_id(tenant_id: int, secret: str) -> str:
    return f"mp_{tenant_id}_{secret[:KEY_ID_CHARS]}"
