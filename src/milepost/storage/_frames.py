"""A content as one object: JSON in frames of zstd that can be read one by one, behind an index of what is where.

The text is cut where the members of a large object or array end, so that a member is read without its neighbours; members that are
large themselves are cut in turn. The index stands in a frame that zstd's readers skip: the whole object is what `Content-Encoding:
zstd` means, for a browser or a CDN that knows nothing of us (RFC 8878, 3.1.2). Members of a large object come in the order of their
names.

Nothing is taken for what it is not: the caller has the index's digest from elsewhere, and the index has each frame's. What differs is
`ObjectDamaged`, for the caller to name.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate
from typing import Any

import msgspec
from backports import zstd

from milepost.errors import FieldError, InvalidInput, NotFound, ObjectDamaged
from milepost.storage.objects import digest_of

__all__ = ["Index", "Packed", "Place", "open_index", "pack", "part_of"]

FRAME_BYTES = 16 * 1024  # of text: what is read to read one small member
FRAME_BYTES_MAX = 64 * 1024  # of one long text
DEPTH_MAX = 8  # of members that are cut: each level reads the document once
LEVEL = 9
DIGEST_BYTES = 8
HEAD = struct.Struct("<II")  # of a skippable frame: magic, length
MAGIC = 0x184D2A50
NUMBER = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)


class Run(msgspec.Struct, array_like=True, frozen=True):
    """Neighbouring members, or a single large one, which `inner` cuts. key: the name or place of the first; start, end: in the text."""

    key: str | int
    start: int
    end: int
    inner: Cut | None = None


class Cut(msgspec.Struct, array_like=True, frozen=True):
    """A large object or array. start, end: in the text."""

    array: bool
    start: int
    end: int
    runs: list[Run]


class _Written(msgspec.Struct, array_like=True, frozen=True):
    """The index as it is written. Of each frame: bytes of text, bytes in the object, and a digest of those."""

    texts: list[int]
    sizes: list[int]
    digests: bytes
    root: Cut | None


@dataclass(frozen=True, kw_only=True)
class Packed:
    """digest: of the text. index_bytes: how many of the first bytes of `data` are the index; index_digest: of those."""

    digest: bytes
    data: bytes
    text_bytes: int
    index_bytes: int
    index_digest: bytes


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a value is in the text. rest: the steps to it from the container these members are of; empty: it is exactly these bytes."""

    pointer: str  # as it was asked for
    start: int
    end: int
    rest: tuple[str, ...] = ()
    members_of: str = ""  # "[" or "{": `start` to `end` are neighbouring members; "": they are a value
    first: int = 0  # of an array's members, the place of the first

    def value(self, text: bytes) -> bytes:
        """The value's JSON, from the bytes of the text. Raises `NotFound`."""
        if not self.rest:
            return text
        steps = self.rest
        if self.members_of == "[":
            text, steps = b"[%b]" % text, (str(int(steps[0]) - self.first), *steps[1:])
        elif self.members_of == "{":
            text = b"{%b}" % text
        return msgspec.json.encode(_at(msgspec.json.decode(text), steps, self.pointer))


class Index:
    """Of one object. begins, offsets: of each frame, in the text and in the object, and where the last one ends."""

    def __init__(self, written: _Written, index_bytes: int) -> None:
        self.begins = list(accumulate(written.texts, initial=0))
        self.offsets = list(accumulate(written.sizes, initial=index_bytes))
        self._digests = written.digests
        self._root = written.root

    @property
    def text_bytes(self) -> int:
        return self.begins[-1]

    def find(self, pointer: str) -> Place:
        """Raises `InvalidInput` for what is no JSON pointer (RFC 6901), `NotFound` where nothing is."""
        steps = _steps(pointer)
        cut, start, end = self._root, 0, self.text_bytes
        for number, step in enumerate(steps):
            if cut is None:
                return Place(pointer=pointer, start=start, end=end, rest=steps[number:])
            if cut.array and not NUMBER.fullmatch(step):
                raise NotFound(f"The content has no part {pointer!r}.")
            key = int(step) if cut.array else step
            found = bisect_right(cut.runs, key, key=lambda run: run.key) - 1
            if found < 0:
                raise NotFound(f"The content has no part {pointer!r}.")
            run = cut.runs[found]
            if run.inner is None:
                first = run.key if isinstance(run.key, int) else 0
                members_of = "[" if cut.array else "{"
                return Place(
                    pointer=pointer, start=run.start, end=run.end, rest=steps[number:], members_of=members_of, first=first
                )
            if run.key != key:
                raise NotFound(f"The content has no part {pointer!r}.")
            cut, start, end = run.inner, run.inner.start, run.inner.end
        return Place(pointer=pointer, start=start, end=end)

    def frames(self, start: int, end: int) -> range:
        """The frames that hold these bytes of the text."""
        return range(bisect_right(self.begins, start) - 1, bisect_right(self.begins, end - 1)) if start < end else range(0)

    def text(self, frame: int, data: bytes) -> bytes:
        """A frame's text. Raises `ObjectDamaged`."""
        if _digest(data) != self._digests[DIGEST_BYTES * frame : DIGEST_BYTES * (frame + 1)]:
            raise ObjectDamaged
        return bytes(zstd.decompress(data))


def pack(content: bytes) -> Packed:
    """content: JSON."""
    packer = _Packer()
    root = packer.put(msgspec.json.format(content, indent=-1), DEPTH_MAX)
    text = b"".join(packer.pieces)
    ends = [*packer.cuts[1:], len(text)]
    texts = [end - begin for begin, end in zip(packer.cuts, ends, strict=True)]
    frames = [zstd.compress(text[begin:end], level=LEVEL) for begin, end in zip(packer.cuts, ends, strict=True)]
    written = _Written(texts, [len(one) for one in frames], b"".join(map(_digest, frames)), root)
    body = zstd.compress(msgspec.msgpack.encode(written), level=LEVEL)
    index = HEAD.pack(MAGIC, len(body)) + body
    return Packed(
        digest=digest_of(text),
        data=b"".join((index, *frames)),
        text_bytes=len(text),
        index_bytes=len(index),
        index_digest=_digest(index),
    )


def open_index(index: bytes, digest: bytes) -> Index:
    """From an object's first bytes. Raises `ObjectDamaged`."""
    if _digest(index) != digest:
        raise ObjectDamaged
    return Index(msgspec.msgpack.decode(zstd.decompress(index[HEAD.size :]), type=_Written), len(index))


def part_of(content: Any, pointer: str) -> Any:
    """What a JSON pointer points to in a decoded content. Raises `InvalidInput` for what is none, `NotFound` where nothing is."""
    return _at(content, _steps(pointer), pointer)


class _Packer:
    """Writes the text in pieces. cuts: where a frame begins."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.cuts = [0]
        self._at = 0

    def put(self, raw: bytes, depth: int) -> Cut | None:
        """A value. → how it is cut, where it is large."""
        if len(raw) <= FRAME_BYTES or not depth or raw[:1] not in (b"{", b"["):
            for begin in range(0, len(raw), FRAME_BYTES_MAX):
                if begin:
                    self._cut()
                self._write(raw[begin : begin + FRAME_BYTES_MAX])
            return None
        array = raw[:1] == b"["
        members: list[tuple[Any, bytes, bytes]]
        if array:
            members = [(place, b"", bytes(one)) for place, one in enumerate(msgspec.json.decode(raw, type=list[msgspec.Raw]))]
        else:
            named = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
            members = [(name, msgspec.json.encode(name) + b":", bytes(named[name])) for name in sorted(named)]
        start, runs = self._at, list[Run]()
        key: Any = None  # of the run that is open
        begin = end = 0
        self._write(raw[:1])
        for number, (name, prefix, value) in enumerate(members):
            large = len(value) > FRAME_BYTES
            if key is not None and (large or self._at - begin + len(value) > FRAME_BYTES):
                runs.append(Run(key, begin, end))
                key = None
            if number:
                self._write(b",")
            if key is None:
                self._cut()
                key, begin = name, self._at
            self._write(prefix)
            inner = self.put(value, depth - 1)
            end = self._at
            if inner is not None:
                runs.append(Run(key, begin, end, inner))
                key = None
            elif large:
                runs.append(Run(key, begin, end))
                key = None
        if key is not None:
            runs.append(Run(key, begin, end))
        self._write(raw[-1:])
        return Cut(array, start, self._at, runs)

    def _write(self, piece: bytes) -> None:
        self.pieces.append(piece)
        self._at += len(piece)

    def _cut(self) -> None:
        if self._at > self.cuts[-1]:
            self.cuts.append(self._at)


def _steps(pointer: str) -> tuple[str, ...]:
    if pointer and not pointer.startswith("/"):
        raise InvalidInput(errors=(FieldError("/part", "must be a JSON pointer, such as /questions/3"),))
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])


def _at(content: Any, steps: tuple[str, ...], pointer: str) -> Any:
    """pointer: the whole of it, of which the steps may be the rest."""
    for step in steps:
        if isinstance(content, dict) and step in content:
            content = content[step]
        elif isinstance(content, list) and NUMBER.fullmatch(step) and int(step) < len(content):
            content = content[int(step)]
        else:
            raise NotFound(f"The content has no part {pointer!r}.")
    return content


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=DIGEST_BYTES).digest()
