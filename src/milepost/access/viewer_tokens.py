"""Viewer tokens: what an app hands to one of its users, so that the user's own program reads as that actor, and does nothing else.

A token is a JSON Web Token (RFC 7519), signed by HMAC-SHA-256 with a secret derived from the deployment's: tenant, actor, the
key that made it, and when it expires, at most a day later. It is only taken with the one header that is written here, so
no other algorithm can be talked into it. It ends with the key that made it: whoever revokes that key takes back all of its tokens,
within a second. A token for an actor that is not known yet is good: it sees what is public, and the actor's own from its
first activity on.

How it fails: `Unauthorized` for a token that is malformed, forged, expired, or whose key is revoked; `InvalidInput` for
what cannot be an actor or a duration; `NotFound` for a key that cannot make one; `DatabaseUnavailable` where nobody can be asked.
"""

from __future__ import annotations

import hmac
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Generic, TypeVar

import msgspec

from milepost.access._values import is_id, text_fault
from milepost.access.keys import Principal
from milepost.access.viewer import NOBODY, Viewer, queries
from milepost.errors import FieldError, InvalidInput, NotFound, SchemaMismatch, Unauthorized
from milepost.postgres import Connection, Database

__all__ = ["LIFE_S", "LIFE_S_MAX", "ViewerToken", "ViewerTokens", "Viewers", "is_viewer_token", "require_key"]

Asked = TypeVar("Asked")
Found = TypeVar("Found")

LIFE_S = 3600
LIFE_S_MAX = 86_400
REMEMBERED_S = 1.0  # as of a key
REMEMBERED_MAX = 10_000
TOKEN_CHARS_MAX = 4096


def _encoded(raw: bytes) -> bytes:
    return urlsafe_b64encode(raw).rstrip(b"=")


HEADER = _encoded(b'{"alg":"HS256","typ":"JWT"}')


class _Claims(msgspec.Struct, forbid_unknown_fields=True):
    tenant: int
    actor: str
    key: str  # the id of the key that made it
    iat: int
    exp: int


_decode = msgspec.json.Decoder(_Claims).decode


@dataclass(frozen=True, kw_only=True)
class ViewerToken:
    """token: what the user's program shows as `Authorization: Bearer …`."""

    token: str
    expires_at: datetime


class ViewerTokens:
    """Signs and opens viewer tokens with the deployment's secret."""

    def __init__(self, secret: bytes, *, clock: Callable[[], float] = time.time) -> None:
        self._secret = hmac.digest(secret, b"milepost viewer token", "sha256")
        self._clock = clock

    @classmethod
    async def of_deployment(cls, conn: Connection) -> ViewerTokens:
        """With the secret that every process of this deployment signs with. Raises `SchemaMismatch` where there is none."""
        row = await (await conn.execute(queries.secret)).fetchone()
        if row is None:
            raise SchemaMismatch("The database has no deployment row: run `milepost db migrate`.")
        return cls(bytes(row[0]))

    def sign(self, tenant_id: int, actor: str, key_id: str, life_s: int = LIFE_S) -> ViewerToken:
        """A new token. Raises `InvalidInput`."""
        faults = []
        if detail := text_fault(actor):
            faults.append(FieldError("/actor", detail))
        if not 1 <= life_s <= LIFE_S_MAX:
            faults.append(FieldError("/expires_in_s", f"must lie between 1 and {LIFE_S_MAX}"))
        if faults:
            raise InvalidInput(errors=tuple(faults))
        now = int(self._clock())
        claims = _Claims(tenant=tenant_id, actor=actor, key=key_id, iat=now, exp=now + life_s)
        signed = HEADER + b"." + _encoded(msgspec.json.encode(claims))
        token = signed + b"." + _encoded(self._signature(signed))
        return ViewerToken(token=token.decode(), expires_at=datetime.fromtimestamp(claims.exp, UTC))

    def open(self, token: str) -> _Claims:
        """What a token says, if it is ours and not over. Raises `Unauthorized`."""
        try:
            raw = token.encode("ascii") if len(token) <= TOKEN_CHARS_MAX else b""
            signed, _, signature = raw.rpartition(b".")
            header, _, body = signed.partition(b".")
            # Compared as text: of the ways to write one signature in base64, only ours is taken.
            if header != HEADER or not hmac.compare_digest(signature, _encoded(self._signature(signed))):
                raise Unauthorized("The viewer token is not one of this deployment's.")
            claims = _decode(urlsafe_b64decode(body + b"=" * (-len(body) % 4)))
        except (UnicodeEncodeError, NotBase64, msgspec.MsgspecError) as error:
            raise Unauthorized("The viewer token is not one of this deployment's.") from error
        if claims.exp <= self._clock():
            raise Unauthorized("The viewer token has expired.")
        return claims

    def _signature(self, signed: bytes) -> bytes:
        return hmac.digest(self._secret, signed, "sha256")


class Viewers:
    """Who reads: of a viewer token, or of a key that reads on somebody's behalf. What PostgreSQL said is remembered for a second."""

    def __init__(self, db: Database, tokens: ViewerTokens, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.tokens = tokens
        self._db = db
        self._clock = clock
        self._principals: _Remembered[tuple[int, str, str], Principal] = _Remembered(clock)
        self._numbers: _Remembered[tuple[int, str], int] = _Remembered(clock)

    async def verify(self, token: str) -> Principal:
        """Whose token this is: a principal that may read as its viewer. Raises `Unauthorized`."""
        claims = self.tokens.open(token)
        asked = (claims.tenant, claims.key, claims.actor)
        found = self._principals.get(asked)
        if found is not None:
            return found
        began = self._clock()
        async with self._db.transaction("point", tenant_id=claims.tenant) as conn:
            given = {"tenant_id": claims.tenant, "key_id": claims.key, "actor": claims.actor}
            row = await (await conn.execute(queries.token_of, given)).fetchone()
        if row is None:
            raise Unauthorized("The key that made the viewer token is revoked.")
        tenant, lane, actor_id = row
        principal = Principal(
            tenant_id=claims.tenant,
            tenant=tenant,
            lane=lane,
            scopes=frozenset({"read"}),
            key_id=claims.key,
            viewer=Viewer(actor_id=NOBODY if actor_id is None else actor_id, actor=claims.actor),
        )
        self._principals.put(asked, began, principal)
        return principal

    async def on_behalf(self, principal: Principal, actor: str, *, said_in: str = "/Milepost-Viewer") -> Principal:
        """The same key, reading as an actor. said_in: the pointer of who said which. Raises `InvalidInput` for what cannot be one."""
        if not is_id(actor):
            raise InvalidInput(errors=(FieldError(said_in, f"{text_fault(actor)}"),))
        asked = (principal.tenant_id, actor)
        number = self._numbers.get(asked)
        if number is None:
            began = self._clock()
            async with self._db.transaction("point", tenant_id=principal.tenant_id) as conn:
                given = {"tenant_id": principal.tenant_id, "actor": actor}
                row = await (await conn.execute(queries.find_actor, given)).fetchone()
            number = NOBODY if row is None else int(row[0])
            self._numbers.put(asked, began, number)
        return replace(principal, viewer=Viewer(actor_id=number, actor=actor))


def is_viewer_token(credential: str) -> bool:
    """Whether it was meant as one: keys have no dots."""
    return "." in credential


async def require_key(conn: Connection, tenant_id: int, key_id: str) -> None:
    """That a token can be made with this key: it is not revoked, and has the scope `write` or `admin`. Raises `NotFound`."""
    row = None
    if is_id(key_id):
        row = await (await conn.execute(queries.key_to_sign, {"tenant_id": tenant_id, "key_id": key_id})).fetchone()
    if row is None:
        raise NotFound(f"There is no key {key_id!r} with the scope write or admin.", key_id=key_id)


class _Remembered(Generic[Asked, Found]):
    """What was found a moment ago."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._found: dict[Asked, tuple[float, Found]] = {}  # the oldest first

    def get(self, asked: Asked) -> Found | None:
        began, found = self._found.get(asked, (float("-inf"), None))
        return found if self.clock() - began < REMEMBERED_S else None

    def put(self, asked: Asked, began: float, found: Found) -> None:
        """began: when it was asked."""
        self._found.pop(asked, None)
        while len(self._found) >= REMEMBERED_MAX:
            del self._found[next(iter(self._found))]
        self._found[asked] = (began, found)
