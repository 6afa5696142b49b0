"""Request bodies: read as they come, never more than allowed, whatever they claim to be.

A body may hold `BODY_BYTES_MAX` bytes, as sent and after decompression; decompression stops there, so that a bomb
costs no more than its limit. All bodies under way in this process together may hold `UNFINISHED_BYTES_MAX`, shared among
the tenants that send: who comes on top is told to come again (429).

Raises `TooLarge`, `Overfull`, `UnsupportedEncoding`, `InvalidInput` (what is not gzip or zstd, or ends too early),
and `ClientGone` where there is nobody left to answer.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec
from backports import zstd
from litestar.types import Receive

from milepost.errors import FieldError, InvalidInput, MilepostError, TooLarge
from milepost.intake._storable import check_storable, may_be_unstorable
from milepost.intake.pressure.refusal import Overfull
from milepost.limits import BODY_BYTES_MAX
from milepost.web.problems import Unprocessable, UnsupportedEncoding

__all__ = ["Bodies", "ClientGone", "Held", "decode_object", "decompress", "drain", "require_storable"]

UNFINISHED_BYTES_MAX = 256 * 1024 * 1024
DRAINED_BYTES_MAX = 64 * 1024 * 1024  # read and dropped, so that a client that sends too much gets to read why
PIECE_BYTES = 1024 * 1024


class ClientGone(Exception):
    """The client hung up before its request was whole."""


class Bodies:
    """Counts the bytes of requests that are not answered yet, by tenant.

    A tenant may hold as many as are still free, never more: alone that is half of all, two that flood get a third each, and who comes
    new always finds room. (The dynamic threshold of Choudhury and Hahne, 1998, by which switches share a buffer among ports.)
    """

    def __init__(self, unfinished_max: int = UNFINISHED_BYTES_MAX) -> None:
        self._unfinished_max = unfinished_max
        self._of: dict[int, int] = {}
        self.unfinished = 0

    @contextmanager
    def held(self, tenant_id: int) -> Iterator[Held]:
        """What one request holds, until the block ends."""
        held = Held(self, tenant_id)
        try:
            yield held
        finally:
            self.take(tenant_id, -held.size)

    def take(self, tenant_id: int, size: int) -> None:
        """size: negative gives back. Raises `Overfull`, and then nothing is taken."""
        own = self._of.get(tenant_id, 0) + size
        if size > 0 and own > self._unfinished_max - self.unfinished:
            raise Overfull(
                "The server holds as many unfinished bytes of this tenant as it may: nothing of this request was taken.",
                reason="bytes",
                retry_after_s=1,
            )
        self.unfinished += size
        if own:
            self._of[tenant_id] = own
        else:
            self._of.pop(tenant_id, None)


class Held:
    """The bytes that one request holds: its body, from its first piece on, and what is made of it."""

    def __init__(self, bodies: Bodies, tenant_id: int) -> None:
        self._bodies = bodies
        self._tenant_id = tenant_id
        self.size = 0

    def grow(self, size: int) -> None:
        """Raises `Overfull`."""
        self._bodies.take(self._tenant_id, size)
        self.size += size

    async def read(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        """The whole body as sent."""
        claimed = headers.get(b"content-length", b"")
        if claimed.isdigit() and int(claimed) > BODY_BYTES_MAX:
            await drain(receive, int(claimed))
            raise _too_large()
        pieces: list[bytes] = []
        size = 0
        while True:
            message: Any = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            piece: bytes = message.get("body", b"")
            more = message.get("more_body", False)
            size += len(piece)
            try:
                if size > BODY_BYTES_MAX:
                    raise _too_large()
                self.grow(len(piece))
            except MilepostError:
                pieces.clear()
                if more:
                    await drain(receive)
                raise
            if not more:
                return b"".join((*pieces, piece)) if pieces else piece
            pieces.append(piece)


def decompress(body: bytes, encoding: bytes) -> bytes:
    """encoding: the header Content-Encoding."""
    match encoding.strip().lower():
        case b"" | b"identity":
            return body
        case b"gzip" | b"x-gzip":
            return _inflate(body, "gzip", lambda: zlib.decompressobj(wbits=31))
        case b"zstd":
            return _inflate(body, "zstd", zstd.ZstdDecompressor)
        case other:
            raise UnsupportedEncoding(f"The body's Content-Encoding is {other.decode('latin-1')!r}: send gzip, zstd or none.")


def _inflate(body: bytes, name: str, decompressor: Any) -> bytes:
    """All members of a gzip, or frames of a zstd body, up to the limit and not a byte further."""
    made: list[bytes] = []
    left = BODY_BYTES_MAX + 1
    try:
        while body:
            one = decompressor()
            piece = one.decompress(body, min(left, PIECE_BYTES))
            while True:
                made.append(piece)
                left -= len(piece)
                if left <= 0:
                    raise _too_large()
                if one.eof:
                    break
                before = len(piece)
                piece = _more(one, min(left, PIECE_BYTES))
                if not piece and not before:
                    raise EOFError
            body = one.unused_data
    except (zlib.error, zstd.ZstdError, EOFError) as error:
        detail = f"is not {name}" if not isinstance(error, EOFError) else f"ends in the middle of its {name}"
        raise InvalidInput(
            f"The body's Content-Encoding is {name}, but it {detail}.", errors=(FieldError("", detail),)
        ) from error
    return b"".join(made)


def _more(decompressor: Any, bytes_max: int) -> bytes:
    """What comes after a piece that reached its bound. (zlib hands back the input it has not used, zstd keeps it.)"""
    tail = getattr(decompressor, "unconsumed_tail", None)
    if tail is None:
        return b"" if decompressor.needs_input else bytes(decompressor.decompress(b"", bytes_max))
    return bytes(decompressor.decompress(tail, bytes_max))


def decode_object(body: bytes, *, each_alone: bool = False) -> dict[str, Any]:
    """A body that must be one JSON object. each_alone: what lies in it is looked at singly, so that one message that cannot be stored does
    not take the others with it. Raises `InvalidInput`, `Unprocessable` for what cannot be stored."""
    try:
        decoded = msgspec.json.decode(body)
        if not each_alone:
            require_storable(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput("The body is not JSON.", errors=(FieldError("", str(error)),)) from error
    except RecursionError as error:
        raise InvalidInput("The body is nested too deeply.", errors=(FieldError("", "nested too deeply"),)) from error
    if not isinstance(decoded, dict):
        raise InvalidInput("The body is not a JSON object.", errors=(FieldError("", "expected an object"),))
    return decoded


def require_storable(body: bytes) -> None:
    """body: JSON that msgspec has read. Raises `Unprocessable` with the pointer of what PostgreSQL would refuse, such as NUL in a text."""
    if may_be_unstorable(body):
        try:
            check_storable(body)
        except InvalidInput as error:
            raise Unprocessable(errors=error.errors) from error


async def drain(receive: Receive, bytes_max: int = DRAINED_BYTES_MAX) -> None:
    """Read what the client still sends, and drop it: one that is cut off in the middle would not see the answer."""
    left = min(bytes_max, DRAINED_BYTES_MAX)
    while left > 0:
        message: Any = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        if not message.get("more_body", False):
            return
        left -= len(message.get("body", b""))


def _too_large() -> TooLarge:
    return TooLarge(f"The body is larger than {BODY_BYTES_MAX // (1024 * 1024)} MiB.", limit=BODY_BYTES_MAX)
