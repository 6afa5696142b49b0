"""Cursors: where a list goes on, as a text that its reader can neither read nor make.

A cursor holds a position (bytes that the list understands) and a signature over the position and the question:
tenant, route and filters. So a cursor opens only what it was made for, and a position needs no checking of its own. A
cursor that is malformed, of another question or of another deployment is an `InvalidInput` with the pointer
`/cursor`.

They do not expire: a position is a place in an order, not a snapshot.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64

from milepost.errors import FieldError, InvalidInput

__all__ = ["Cursors"]

SIGNATURE_BYTES = 16
VERSION = b"\x01"  # of the positions' form: a later one refuses earlier cursors instead of misreading them


class Cursors:
    """Signs and opens cursors with the deployment's secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, question: str, position: bytes) -> str:
        """question: all that the list depends on, as one text; `open` must be given the same."""
        return urlsafe_b64encode(self._signature(question, position) + position).rstrip(b"=").decode()

    def open(self, question: str, cursor: str) -> bytes:
        """The position. Raises `InvalidInput`."""
        try:
            raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        except (NotBase64, UnicodeEncodeError) as error:
            raise _wrong() from error
        position = raw[SIGNATURE_BYTES:]
        if not hmac.compare_digest(raw[:SIGNATURE_BYTES], self._signature(question, position)):
            raise _wrong()
        return position

    def _signature(self, question: str, position: bytes) -> bytes:
        signed = b"cursor" + VERSION + len(position).to_bytes(4, "big") + position + question.encode()
        return hmac.digest(self._secret, signed, "sha256")[:SIGNATURE_BYTES]


def _wrong() -> InvalidInput:
    detail = "is not a cursor of this list: cursors belong to one key's tenant, one route and its filters"
    return InvalidInput(errors=(FieldError("/cursor", detail),))
