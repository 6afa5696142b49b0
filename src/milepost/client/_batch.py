"""A batch: lines of JSON on their way, compressed once, whether they go over the network or to disk.

Its body is newline-delimited JSON in gzip. Bodies can be put one after the other (a gzip may have several members), so that what
was written to disk in small pieces goes out in large ones without being unpacked.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

__all__ = ["Batch"]

LEVEL = 1  # a third of the time of 6, for a tenth more bytes


class Batch:
    """seqs: the places in line of what it is made of, growing. rows: how many activities. size: their bytes of JSON."""

    __slots__ = ("_body", "_lines", "_parts", "rows", "seqs", "size")

    def __init__(
        self,
        seqs: tuple[int, ...],
        rows: int,
        size: int,
        *,
        lines: list[bytes] | None = None,
        body: bytes = b"",
        parts: Sequence[Batch] = (),
    ) -> None:
        self.seqs = seqs
        self.rows = rows
        self.size = size
        self._lines = lines
        self._body = body
        self._parts = parts

    @classmethod
    def of(cls, seq: int, lines: list[bytes]) -> Batch:
        return cls((seq,), len(lines), sum(map(len, lines)), lines=lines)

    @classmethod
    def joined(cls, batches: Sequence[Batch]) -> Batch:
        """One of several, in their order."""
        if len(batches) == 1:
            return batches[0]
        return cls(
            tuple(seq for batch in batches for seq in batch.seqs),
            sum(batch.rows for batch in batches),
            sum(batch.size for batch in batches),
            parts=tuple(batches),
        )

    def body(self) -> bytes:
        """Compressed at first use. (Two threads at once do it twice, with one result.)"""
        lines = self._lines
        if lines is not None:
            packer = zlib.compressobj(LEVEL, wbits=31)
            self._body = packer.compress(b"".join(lines)) + packer.flush()
            self._lines = None
        elif self._parts:
            self._body = b"".join(part.body() for part in self._parts)
            self._parts = ()
        return self._body

    def lines(self) -> list[bytes]:
        """The lines with their ends. Raises `zlib.error` where the body is damaged."""
        lines = self._lines
        if lines is not None:
            return lines
        plain, rest = b"", self.body()
        while rest:
            one = zlib.decompressobj(wbits=31)
            plain += one.decompress(rest) + one.flush()
            if not one.eof:
                raise zlib.error("the body ends too early")
            rest = one.unused_data
        return plain.splitlines(keepends=True)

    def without(self, lines_done: int) -> Batch:
        """What is left of it, in the place of its first part."""
        return Batch.of(self.seqs[0], self.lines()[lines_done:])
