"""Request bodies: read as they come, never more than allowed, whatever they claim to be.

A body may hold `BODY_BYTES_MAX` bytes, as sent and after decompression; decompression stops there, so that a bomb
costs no more than its limit. All bodies under way in this process together may hold `UNFINISHED_BYTES_MAX`: who comes
on top is told to come again (429).

Raises `TooLarge`, `Overloaded`, `UnsupportedEncoding`, `InvalidInput` (what is not gzip or zstd, or ends too early),
and `ClientGone` where there is nobody left to answer.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import msgspec
from backports import zstd
from litestar.types import Receive

from milepost.errors import FieldError, InvalidInput, TooLarge
from milepost.limits import BODY_BYTES_MAX
from milepost.web.problems import Overloaded, UnsupportedEncoding

__all__ = ["Bodies", "ClientGone", "decode_object", "decompress"]

UNFINISHED_BYTES_MAX = 256 * 1024 * 1024
DRAINED_BYTES_MAX = 64 * 1024 * 1024  # read and dropped, so that a client that sends too much gets to read why
PIECE_BYTES = 1024 * 1024


class ClientGone(Exception):
    """The client hung up before its request was whole."""


class Bodies:
    """Reads bodies, and counts the bytes of those that are not answered yet. `done` gives a body's bytes back."""

    def __init__(self, unfinished_max: int = UNFINISHED_BYTES_MAX) -> None:
        self._unfinished_max = unfinished_max
        self.unfinished = 0

    async def read(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        """The whole body as sent. The caller calls `done` with its length when the request is answered."""
        claimed = headers.get(b"content-length", b"")
        if claimed.isdigit() and int(claimed) > BODY_BYTES_MAX:
            await _drain(receive, int(claimed))
            raise _too_large()
        message: Any = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body: bytes = message.get("body", b"")
        if not message.get("more_body", False):
            return self._taken(body)
        pieces, size = [body], len(body)
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            piece = message.get("body", b"")
            pieces.append(piece)
            size += len(piece)
            if size > BODY_BYTES_MAX or self.unfinished + size > self._unfinished_max:
                pieces.clear()
                if message.get("more_body", False):
                    await _drain(receive, DRAINED_BYTES_MAX)
                raise _too_large() if size > BODY_BYTES_MAX else Overloaded()
            if not message.get("more_body", False):
                return self._taken(b"".join(pieces))

    def done(self, body: bytes) -> None:
        self.unfinished -= len(body)

    def _taken(self, body: bytes) -> bytes:
        if len(body) > BODY_BYTES_MAX:
            raise _too_large()
        if self.unfinished + len(body) > self._unfinished_max:
            raise Overloaded
        self.unfinished += len(body)
        return body


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


def decode_object(body: bytes) -> dict[str, Any]:
    """A body that must be one JSON object. Raises `InvalidInput`."""
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput("The body is not JSON.", errors=(FieldError("", str(error)),)) from error
    except RecursionError as error:
        raise InvalidInput("The body is nested too deeply.", errors=(FieldError("", "nested too deeply"),)) from error
    if not isinstance(decoded, dict):
        raise InvalidInput("The body is not a JSON object.", errors=(FieldError("", "expected an object"),))
    return decoded


async def _drain(receive: Receive, bytes_max: int) -> None:
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
