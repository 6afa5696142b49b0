"""From the rows of one step to batches: what is read, mapped and encoded, bounded in rows and in bytes.

Runs in a thread beside the event loop, one batch ahead of what is being sent. Memory is that of two batches,
whatever the file's size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final

import msgspec

from milepost.limits import ACTIVITIES_PER_REQUEST_MAX, BODY_BYTES_MAX
from milepost.mapping.paths import Row, Unfit

from ._types import Map, Tables
from .plan import Step
from .reading import Bad, FileDamaged, Source, fingerprint_of, open_source
from .sections import Build, compile_section

__all__ = ["Batch", "Reject", "encode", "read_batches"]

BATCH_BYTES: Final = 4 << 20  # a request may have 20 MiB; small bodies keep the pipeline even
ROWS_PER_BATCH_MAX: Final = 200_000  # of rows that become nothing, so that progress is saved even then

ITEM_BYTES_MAX: Final = BODY_BYTES_MAX - 64  # what stands around it in a request
DETAIL_CHARACTERS_MAX: Final = 200

encode: Final = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True, kw_only=True)
class Reject:
    """A row, or what was to become of it, that goes no further."""

    file: str
    line: int
    section: str
    pointer: str
    reason: str
    detail: str = ""  # the value at fault
    row: Any = None


@dataclass(kw_only=True)
class Batch:
    """items: activities or commands as JSON, each with where it came from. done: of the file, in
    `Source.done`'s measure.
    """

    rows: int  # of the step, with those of all batches before
    first: int = 0  # rows of the batches before
    items: list[bytes] = field(default_factory=list)
    origins: list[tuple[int, str, Row]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    skipped: int = 0
    bytes: int = 0
    done: int = 0
    total: int = 0


def read_batches(step: Step, whole: Map, tables: Tables, *, skip: int, batch_rows: int) -> Iterator[Batch]:
    """skip: rows that an earlier run has sent. A damaged file raises after its last whole row."""
    source = None
    if step.path is not None:
        source = open_source(step.path, whole.read)
    try:
        yield from _batches(_Rows(step, whole, tables, source), source, skip, min(batch_rows, ACTIVITIES_PER_REQUEST_MAX))
    finally:
        if source is not None:
            source.close()


def _batches(rows: _Rows, source: Source | None, skip: int, batch_rows: int) -> Iterator[Batch]:
    batch = Batch(rows=skip, first=skip)
    damaged: FileDamaged | None = None
    number = 0
    while True:
        try:
            line, row = next(rows.rows)
        except StopIteration:
            break
        except FileDamaged as error:
            damaged = error
            break
        number += 1
        if number <= skip:
            continue
        made = rows.make(row, line, number)
        size = sum(len(item) for _, item in made.items)
        full = len(batch.items) + len(made.items) > batch_rows or batch.bytes + size > BATCH_BYTES
        if (batch.items and full) or batch.rows - batch.first >= ROWS_PER_BATCH_MAX:
            yield _finished(batch, source)
            batch = Batch(rows=batch.rows, first=batch.rows)
        for section, item in made.items:
            batch.items.append(item)
            batch.origins.append((line, section, row if isinstance(row, dict) else {}))
        batch.rejects += made.rejects
        batch.skipped += made.skipped
        batch.bytes += size
        batch.rows = number
    yield _finished(batch, source)
    if damaged is not None:
        raise damaged


def _finished(batch: Batch, source: Source | None) -> Batch:
    if source is not None:
        batch.done, batch.total = source.done(), source.total
    return batch


@dataclass(kw_only=True)
class _Made:
    """What one row came to. items: each with the section that made it."""

    items: list[tuple[str, bytes]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    skipped: bool = False


class _Rows:
    """The rows of one step, and what each becomes."""

    def __init__(self, step: Step, whole: Map, tables: Tables, source: Source | None) -> None:
        self.step = step
        self.file = step.path.name if step.path else whole.name
        self.lookups = frozenset(whole.lookups)
        self.said = None if step.kind == "activities" else _Said()
        fingerprint = fingerprint_of(step.path) if step.path else whole.fingerprint
        columns = frozenset(source.columns) if source is not None and source.columns is not None else None
        self.builds: list[tuple[str, Build]] = [
            (section.name, compile_section(section, whole, columns=columns, tables=tables, fingerprint=fingerprint))
            for section in step.sections
        ]
        self.rows: Iterator[tuple[int, Row | Bad]] = (
            iter(source) if source is not None else ((0, dict(row)) for row in step.sections[0].rows or ())
        )

    def make(self, row: Row | Bad, line: int, number: int) -> _Made:
        made = _Made()
        if isinstance(row, Bad):
            if self.step.last:
                made.rejects.append(self._reject(line, "", "", row.reason, row=row.raw))
            return made
        chosen = False
        for section, build in self.builds:
            try:
                found = build(row, number)
            except Unfit as unfit:
                chosen = True
                detail = "" if unfit.value is None else str(unfit.value)[:DETAIL_CHARACTERS_MAX]
                own = own_columns(row, self.lookups)
                made.rejects.append(self._reject(line, section, unfit.pointer, unfit.rule, detail=detail, row=own))
                continue
            chosen = chosen or bool(found)
            for one in found:
                if self.said is not None and not self.said.is_news(one):
                    continue
                item = encode(one)
                if len(item) > ITEM_BYTES_MAX:
                    made.rejects.append(self._reject(line, section, "", f"is larger than {BODY_BYTES_MAX >> 20} MiB"))
                    continue
                made.items.append((section, item))
        made.skipped = not chosen
        return made

    def _reject(self, line: int, section: str, pointer: str, reason: str, *, detail: str = "", row: Any = None) -> Reject:
        return Reject(file=self.file, line=line, section=section, pointer=pointer, reason=reason, detail=detail, row=row)


class _Said:
    """What was last said of each group, actor and member: an entity is sent again only where there is news of it.

    22,000 statements have 1,452 actors. A member said to have the same role again is news only if for longer
    than was said.
    """

    def __init__(self) -> None:
        self.entities: dict[str, bytes] = {}
        self.members: dict[tuple[str, str], tuple[bytes, float]] = {}

    def is_news(self, command: Row) -> bool:
        if command["do"] in ("put_group", "put_actor"):
            said = encode(command)
            news = self.entities.get(command["id"]) != said
            self.entities[command["id"]] = said
            return news
        who = (command["group"], command["actor"])
        if command["do"] == "remove_member":
            self.members.pop(who, None)
            return True
        since = command["since"]
        start = -inf if since == "always" else since.timestamp()
        said = encode({name: value for name, value in command.items() if name not in ("since", "added_by")})
        before = self.members.get(who)
        if before is not None and before[0] == said and before[1] <= start:
            return False
        self.members[who] = (said, start)
        return True


def own_columns(row: Row, lookups: frozenset[str]) -> Mapping[str, Any]:
    """The row without what was joined to it."""
    return {name: value for name, value in row.items() if name not in lookups}
