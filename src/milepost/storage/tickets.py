"""Signed words about files: that an activity may name one, and that whoever holds a URL may write or read one for a while.

A ticket is what a client gets once its file was looked at, and what an activity names it by: tenant, verb and name are in the signature, so
intake tells a right one from all others without asking PostgreSQL. A grant stands in a URL of milepost's own, where the object store cannot
sign. Both are signed with the deployment's secret, and end.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal
from uuid import UUID

__all__ = ["TICKET_CHARACTERS", "Granted", "Tickets", "file_of", "ticket_of"]

SIGNATURE_BYTES = 16
TIME_BYTES = 4  # seconds since 1970, until 2106
TICKET_CHARACTERS = (16 + TIME_BYTES + SIGNATURE_BYTES) // 3 * 4


@dataclass(frozen=True, kw_only=True)
class Granted:
    tenant_id: int
    until: int  # seconds since 1970


class Tickets:
    """Signs and opens both."""

    def __init__(self, secret: bytes) -> None:
        self._secret = hmac.digest(secret, b"milepost files", "sha256")

    def ticket(self, tenant_id: int, verb: str, name: str, file_id: UUID, until: float) -> str:
        """until: seconds since 1970."""
        head = file_id.bytes + int(until).to_bytes(TIME_BYTES, "big")
        return urlsafe_b64encode(head + self._signature(f"ticket/{tenant_id}/{verb}/{name}", head)).decode()

    def refusal(self, tenant_id: int, verb: str, name: str, ticket: bytes, now: float) -> str | None:
        """Why an activity may not name this (`ticket_of`); None: it may."""
        head = ticket[:-SIGNATURE_BYTES]
        if not hmac.compare_digest(ticket[-SIGNATURE_BYTES:], self._signature(f"ticket/{tenant_id}/{verb}/{name}", head)):
            return f"is not the ticket of a complete file for {verb}.{name}: POST /v1/files/ID/complete answers it"
        if int.from_bytes(head[-TIME_BYTES:], "big") < now:
            return "the ticket has ended: POST /v1/files/ID/complete answers another one, as long as the file is there"
        return None

    def grant(self, method: Literal["GET", "PUT"], tenant_id: int, file_id: UUID, until: float) -> str:
        head = tenant_id.to_bytes(4, "big") + int(until).to_bytes(TIME_BYTES, "big")
        return urlsafe_b64encode(head + self._signature(f"{method}/{file_id}", head)).decode()

    def granted(self, method: Literal["GET", "PUT"], file_id: UUID, grant: str) -> Granted | None:
        """None: nobody here wrote that. Whether it has ended is the caller's to ask."""
        raw = _raw(grant)
        head = raw[: 4 + TIME_BYTES]
        if not hmac.compare_digest(raw[4 + TIME_BYTES :], self._signature(f"{method}/{file_id}", head)):
            return None
        return Granted(tenant_id=int.from_bytes(head[:4], "big"), until=int.from_bytes(head[4:], "big"))

    def _signature(self, what: str, head: bytes) -> bytes:
        # Keyed BLAKE2b (RFC 7693) takes less than half of what an HMAC does, and each file that an activity names costs one.
        return blake2b(head + what.encode(), key=self._secret, digest_size=SIGNATURE_BYTES).digest()


def ticket_of(text: str) -> bytes:
    """Empty where it cannot be one."""
    return _raw(text) if len(text) == TICKET_CHARACTERS else b""


def file_of(text: str, ticket: bytes) -> str | None:
    """The file that a ticket is of, or else that an id names, as hexadecimal digits. None: it is neither."""
    if ticket:
        return ticket[:16].hex()
    try:
        return UUID(text).hex
    except ValueError:
        return None


def _raw(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text.encode("ascii"))
    except (NotBase64, UnicodeEncodeError):
        return b""
