"""The rows of a load, on their way from its payloads to COPY: names become numbers, and rows come into the order of their ids.

A row's beginning has a fixed form (`_rows.pack_head`), so what stands there is read and written of all rows at once, by NumPy; Python
touches each row only to cut it out. The tenant is written, too: whoever made the payload, its rows are of the tenant whose batch it is.

Raises `ValueError` for bytes that are not such rows: a payload may be an app's own (`milepost.intake.within`).
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from milepost.intake import _rows
from milepost.intake._named_files import named_in

__all__ = ["InOrder", "LoadRows", "joined"]

# Where the parts of a row's beginning stand: each is its length in four bytes and then itself.
COUNT, TENANT, ID, ACTOR, GROUP, MORE = slice(0, 2), slice(6, 10), slice(14, 30), slice(46, 54), slice(58, 66), slice(66, 70)
LENGTHS = ((2, 4), (10, 16), (30, 8), (42, 8))  # of tenant, id, occurred_at and actor
GROUP_LENGTH = slice(54, 58)
HEAD_BYTES = 70  # with the length of `more_groups`, where there is a group; no row is shorter
BEGINNING = ("tenant_id", "id", "occurred_at", "actor_id", "group_id", "more_groups", "audience", "verb")
ARRAY_HEAD_BYTES = 20  # of a bigint[]: dimensions, flags, type, length, lower bound

_length = struct.Struct(">i")
_element = struct.Struct(">iq")
_count = struct.Struct(">h").pack


class LoadRows:
    """The rows of payloads that have the same columns, in the order in which they came. actors, groups: the names they are of."""

    def __init__(self, payloads: Sequence[_rows.Payload]) -> None:
        first = payloads[0].header
        self.columns, self.delta = first.columns, first.delta
        self._payloads = payloads
        self._bytes = np.frombuffer(b"".join(one.rows for one in payloads), np.uint8).copy()
        lengths = np.concatenate([np.frombuffer(one.lengths, np.uint32) for one in payloads]).astype(np.int64)
        self.splits = np.concatenate([np.frombuffer(one.splits, np.uint32) for one in payloads]).astype(np.int64)
        self.ends = np.cumsum(lengths)
        self.starts = self.ends - lengths
        if not len(lengths) or self.splits.min() < HEAD_BYTES or (self.splits > lengths).any():
            raise ValueError("there are no rows, or some are shorter than any row can be")
        self._heads = self._bytes[self.starts[:, None] + np.arange(HEAD_BYTES)]
        self._check()
        every = np.arange(len(self))
        with_group = np.flatnonzero(self._part(GROUP_LENGTH, ">i4") == 8)
        several = with_group[self._part(MORE, ">i4")[with_group] >= 0]
        self._actor = _Names(payloads, [one.header.actors for one in payloads], every, self._part(ACTOR, ">i8"))
        self._group = _Names(
            payloads,
            [one.header.groups for one in payloads],
            with_group,
            self._part(GROUP, ">i8")[with_group],
            self._more(several),
        )
        self.actors, self.groups = self._actor.used, self._group.used

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def delta_columns(self) -> tuple[str, ...]:
        """Without the tenant."""
        return tuple(self.columns.split(", ")[1 : self.delta])

    def _check(self) -> None:
        columns = self.columns.count(",") + 1
        alike = (self._part(COUNT, ">i2") == columns).all() and all(
            (self._part(slice(at, at + 4), ">i4") == length).all() for at, length in LENGTHS
        )
        if not alike or not np.isin(self._part(GROUP_LENGTH, ">i4"), (8, -1)).all() or not 0 < self.delta < columns:
            raise ValueError("the rows do not begin as rows do")

    def _part(self, where: slice, type_: str) -> NDArray[np.int64]:
        return np.ascontiguousarray(self._heads[:, where]).view(type_)[:, 0].astype(np.int64)

    def _more(self, rows: NDArray[np.intp]) -> Iterator[tuple[int, int, int]]:
        """Of the rows that have several groups, which are few: row, where a number stands, and the number."""
        data = self._bytes.data
        for row in rows.tolist():
            at, end = int(self.starts[row]) + MORE.start, int(self.ends[row])
            (size,) = _length.unpack_from(data, at)
            at, stop = at + _length.size + ARRAY_HEAD_BYTES, at + _length.size + size
            if stop > end or (stop - at) % _element.size:
                raise ValueError("a row's groups are no array of numbers")
            while at < stop:
                length, place = _element.unpack_from(data, at)
                if length != 8:
                    raise ValueError("a row's groups are no array of numbers")
                yield row, at + _length.size, place
                at += _element.size

    def large(self) -> list[UUID]:
        """The ids of those whose content is in the row, and is to leave it soon."""
        found, before = [], 0
        for one in self._payloads:
            found += [self.id_of(before + row) for row in one.header.large if row < len(one.lengths)]
            before += len(one.lengths)
        return found

    def kept(self) -> dict[UUID, bytes]:
        """The ids of those whose content is in the object store, with its digest."""
        found: dict[UUID, bytes] = {}
        before = 0
        for one in self._payloads:
            found |= {self.id_of(before + row): digest for row, digest in one.kept.items()}
            before += len(one.lengths)
        return found

    def files(self) -> list[tuple[UUID, str, int, UUID]]:
        """Id, name, place and file, of those that name some."""
        return [
            (self.id_of(before + row), name, place, file)
            for before, one in _starting(self._payloads)
            if one.header.files
            for row, name, place, file in named_in(one.header.files)
            if 0 <= row < len(one.lengths)
        ]

    def verbs(self) -> set[str] | None:
        """Looked for row by row: of loads of few. None: it does not say where they stand."""
        if tuple(self.columns.split(", ")[: len(BEGINNING)]) != BEGINNING:
            return None
        data, found = self._bytes.data, set[str]()
        with_group = self._part(GROUP_LENGTH, ">i4") == 8
        for start, end, grouped in zip(self.starts.tolist(), self.ends.tolist(), with_group.tolist(), strict=True):
            first, last = 0, start + (MORE.start if grouped else GROUP.start)
            for _ in range(3):  # further groups, audience, verb
                first = last + _length.size
                if first > end:
                    raise ValueError("a row has no verb")
                last = first + max(0, _length.unpack_from(data, last)[0])
            found.add(bytes(data[first : min(last, end)]).decode())
        return found

    # ── ids ──

    def hashes(self) -> list[tuple[int, bytes]]:
        """The rows whose ids the ledger decides, with the hashes of their keys."""
        found, before = [], 0
        for one in self._payloads:
            found += [(before + row, bytes.fromhex(digest)) for row, digest in sorted(one.header.keys.items())]
            before += len(one.lengths)
        return found

    def id_of(self, row: int) -> UUID:
        return UUID(bytes=self._heads[row, ID].tobytes())

    def set_id(self, row: int, id: UUID) -> None:
        """Counts with the next `resolve`."""
        self._heads[row, ID] = np.frombuffer(id.bytes, np.uint8)

    def span(self) -> tuple[UUID, UUID]:
        """The smallest and the largest id."""
        ids = self.ids()
        order = np.lexsort((ids[:, 1], ids[:, 0]))
        return self.id_of(int(order[0])), self.id_of(int(order[-1]))

    def ids(self) -> NDArray[np.uint64]:
        """Each row's id as two halves."""
        return np.ascontiguousarray(self._heads[:, ID]).view(">u8").astype(np.uint64)

    # ── numbers ──

    def resolve(self, tenant_id: int, actors: Mapping[str, int], groups: Mapping[str, int]) -> None:
        """Write the tenant, the ids, and for each name its number, which `actors` and `groups` have. Once."""
        self._heads[:, TENANT] = np.frombuffer(tenant_id.to_bytes(4, "big"), np.uint8)
        self._heads[:, ACTOR] = self._actor.numbers(actors)
        self._heads[self._group.rows, GROUP] = self._group.numbers(groups)
        self._bytes[self.starts[:, None] + np.arange(HEAD_BYTES)] = self._heads
        for at, name in self._group.others:
            self._bytes[at : at + 8] = np.frombuffer(groups[name].to_bytes(8, "big"), np.uint8)

    # ── COPY ──

    def as_they_came(self) -> bytes:
        return self._bytes.tobytes()


class _Names:
    """Which rows name what: rows, each with a place in its payload's list; others: bytes where a further name stands, with it."""

    def __init__(
        self,
        payloads: Sequence[_rows.Payload],
        lists: Sequence[Sequence[str]],
        rows: NDArray[np.intp],
        places: NDArray[np.int64],
        others: Iterable[tuple[int, int, int]] = (),
    ) -> None:
        self.rows = rows
        every = list(chain.from_iterable(lists))
        sizes = np.fromiter(map(len, lists), np.int64, len(lists))
        before = np.cumsum(sizes) - sizes
        payload_of = np.repeat(np.arange(len(payloads)), [len(one.lengths) for one in payloads])
        mine = payload_of[rows]
        if (places < 0).any() or (places >= sizes[mine]).any():
            raise ValueError("a row names what is not in its payload's list of names")
        self._places = before[mine] + places
        self.others: list[tuple[int, str]] = []
        for row, at, place in others:
            names = lists[payload_of[row]]
            if not 0 <= place < len(names):
                raise ValueError("a row names what is not in its payload's list of names")
            self.others.append((at, names[place]))
        present = np.zeros(len(every), np.bool_)
        present[self._places] = True
        self._present = np.flatnonzero(present)
        self._names = [every[place] for place in self._present.tolist()]
        self.used = list(dict.fromkeys(chain(self._names, (name for _, name in self.others))))

    def numbers(self, known: Mapping[str, int]) -> NDArray[np.uint8]:
        """Of each row, as its eight bytes."""
        by_place = np.zeros(int(self._present[-1]) + 1 if len(self._present) else 0, ">i8")
        by_place[self._present] = [known[name] for name in self._names]
        octets: NDArray[np.uint8] = by_place[self._places].view(np.uint8).reshape(-1, 8)
        return octets


class InOrder:
    """Rows in the order of their ids. repeated: an id is there twice."""

    def __init__(self, rows: LoadRows) -> None:
        ids = rows.ids()
        order = np.lexsort((ids[:, 1], ids[:, 0]))
        ids = ids[order]
        self.repeated = bool((ids[1:] == ids[:-1]).all(axis=1).any())
        data = rows.as_they_came()
        starts, ends = rows.starts[order], rows.ends[order]
        self._rows = [data[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        begin = (starts + len(_count(0))).tolist()
        self._delta = [data[start:end] for start, end in zip(begin, (starts + rows.splits[order]).tolist(), strict=True)]
        self._delta_head = _count(rows.delta)

    def __len__(self) -> int:
        return len(self._rows)

    def place(self, id: UUID) -> int:
        """How many rows have a smaller id."""
        return bisect_left(self._rows, id.bytes, key=lambda row: row[ID])

    def id_at(self, place: int) -> UUID:
        return UUID(bytes=self._rows[place][ID])

    def rows(self, first: int, last: int) -> bytes:
        return b"".join((_rows.COPY_HEADER, *self._rows[first:last], _rows.COPY_TRAILER))

    def delta(self) -> bytes:
        return self._delta_head.join((_rows.COPY_HEADER, *self._delta)) + _rows.COPY_TRAILER


def joined(payloads: Sequence[_rows.Payload], tenant_id: int) -> _rows.Payload:
    """All rows as one payload, with one list of names."""
    rows = LoadRows(payloads)
    rows.resolve(tenant_id, _places(rows.actors), _places(rows.groups))
    lengths, splits = (array("I", many.tolist()) for many in (rows.ends - rows.starts, rows.splits))
    header = _rows.Header(
        columns=rows.columns,
        delta=rows.delta,
        actors=rows.actors,
        groups=rows.groups,
        keys={row: digest.hex() for row, digest in rows.hashes()},
        large=_large(payloads),
        files={start + row: named for start, one in _starting(payloads) for row, named in one.header.files.items()},
    )
    return _rows.Payload(header=header, lengths=lengths, splits=splits, rows=rows.as_they_came())


def _large(payloads: Sequence[_rows.Payload]) -> list[int]:
    return [start + row for start, one in _starting(payloads) for row in one.header.large]


def _starting(payloads: Sequence[_rows.Payload]) -> Iterator[tuple[int, _rows.Payload]]:
    """Each with how many rows are before it."""
    return zip(accumulate((len(one.lengths) for one in payloads), initial=0), payloads, strict=False)


def _places(names: Sequence[str]) -> dict[str, int]:
    return {name: place for place, name in enumerate(names)}
