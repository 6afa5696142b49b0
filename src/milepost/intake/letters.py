"""Letters: dead letters as they are shown: by the page, one with what lies in it, and what people did about them.

All read inside a transaction of the tenant, whose letters alone are seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from milepost.errors import NotFound
from milepost.intake import _rows
from milepost.intake._cut import piece
from milepost.intake.as_sent import activities_of
from milepost.intake.dead_letters import KIND_NAMES, LetterKind
from milepost.intake.fault import storable
from milepost.model import parse_model
from milepost.postgres import Connection, load_queries
from milepost.schema.models import model_columns

__all__ = ["Letter", "LogEntry", "Selection", "contents", "find", "log_page", "page", "scales_for"]

_queries = load_queries(__package__, "dead_letters.sql")


@dataclass(frozen=True, kw_only=True)
class Letter:
    """What is known of one. batch_id: None where it never was in the queue. payload: empty where it was not asked for."""

    tenant_id: int
    letter_id: int
    batch_id: int | None
    kind: LetterKind
    first_row: int
    rows: int
    batch_rows: int | None
    model: int
    via: str | None
    received_at: datetime
    tries: int
    first_failed_at: datetime
    failed_at: datetime
    error_class: str
    error: str
    facts: dict[str, Any]
    payload: bytes = b""

    @classmethod
    def of(cls, tenant_id: int, row: Sequence[Any]) -> Letter:
        names = (
            "letter_id", "batch_id", "kind", "first_row", "rows", "batch_rows", "model", "via", "received_at", "tries",
            "first_failed_at", "failed_at", "error_class", "error", "facts", "payload",
        )  # fmt: skip
        values = dict(zip(names, row, strict=False))
        values["kind"] = LetterKind(values["kind"])
        return cls(tenant_id=tenant_id, **values)

    def shown(self) -> dict[str, Any]:
        """As the API and `--json` show it."""
        return {
            "id": self.letter_id,
            "batch_id": self.batch_id,
            "kind": KIND_NAMES[self.kind],
            "first_row": self.first_row,
            "rows": self.rows,
            "batch_rows": self.batch_rows if self.batch_rows is not None else self.rows,
            "model": self.model,
            "via": self.via,
            "received_at": self.received_at,
            "tries": self.tries,
            "first_failed_at": self.first_failed_at,
            "failed_at": self.failed_at,
            "error_class": self.error_class,
            "error": self.error,
            "facts": self.facts,
        }

    def part(self, first: int, rows: int) -> bytes:
        """Some of its rows, as a payload of their own."""
        if rows == self.rows:
            return self.payload
        return piece(_rows.open_payload(self.payload), first, first + rows)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which of a tenant's letters: those that are all of what is said here. Nothing said: all."""

    ids: tuple[int, ...] | None = None
    error_class: str | None = None
    kind: LetterKind | None = None
    since: datetime | None = None  # failed from this time on
    until: datetime | None = None  # failed before this time

    def values(self, tenant_id: int) -> dict[str, Any]:
        return {
            "tenant_id": tenant_id,
            "ids": None if self.ids is None else list(self.ids),
            "error_class": self.error_class,
            "kind": None if self.kind is None else int(self.kind),
            "since": self.since,
            "until": self.until,
        }


@dataclass(frozen=True, kw_only=True)
class LogEntry:
    """What somebody did: replayed or discarded so many letters of so many rows. errors: rows by class of error."""

    id: int
    at: datetime
    done: str
    by: str
    reason: str | None
    letters: int
    rows: int
    errors: dict[str, int]
    batches: list[int]


async def page(conn: Connection, tenant_id: int, selection: Selection, *, after: int = 0, limit: int) -> list[Letter]:
    """Up to `limit` letters whose number is larger than `after`, oldest first, without their payloads."""
    values = {**selection.values(tenant_id), "after": after, "limit": limit}
    rows = await (await conn.execute(_queries.page, values)).fetchall()
    return [Letter.of(tenant_id, row) for row in rows]


async def find(conn: Connection, tenant_id: int, letter_id: int) -> Letter:
    """One letter with its payload. Raises `NotFound`."""
    values = {"tenant_id": tenant_id, "letter_id": letter_id}
    row = await (await conn.execute(_queries.one, values, binary=True)).fetchone()
    if row is None:
        raise NotFound("There is no such dead letter.")
    return Letter.of(tenant_id, row)


async def log_page(conn: Connection, tenant_id: int, *, before: int | None = None, limit: int) -> list[LogEntry]:
    """What was replayed and discarded, newest first."""
    values = {"tenant_id": tenant_id, "before": before, "limit": limit}
    rows = await (await conn.execute(_queries.log_page, values)).fetchall()
    names = ("id", "at", "done", "by", "reason", "letters", "rows", "errors", "batches")
    return [LogEntry(**dict(zip(names, row, strict=True))) for row in rows]


async def contents(conn: Connection, letter: Letter, *, first: int = 0, rows: int) -> list[dict[str, Any]]:
    """What lies in a letter, from its row `first` on: activities as they would be sent, commands, or the raw input.

    What cannot be read is told in place of it, as `unreadable`.
    """
    try:
        match letter.kind:
            case LetterKind.ACTIVITIES:
                found = activities_of(letter.payload, await scales_for(conn, letter), first, first + rows)
                return [
                    {
                        "row": letter.first_row + first + index,
                        "id": str(one.id),
                        "received_at": one.received_at,
                        "activity": one.activity,
                    }
                    for index, one in enumerate(found)
                ]
            case LetterKind.COMMAND:
                decoded = msgspec.json.decode(letter.payload)
                listed = decoded if isinstance(decoded, list) else [decoded]
                return [
                    {"row": letter.first_row + first + index, "command": one}
                    for index, one in enumerate(listed[first : first + rows])
                ]
            case LetterKind.RAW:
                return [{"row": letter.first_row, "raw": msgspec.json.decode(letter.payload)}][first : first + rows]
    except (ValueError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        return [{"row": letter.first_row, "unreadable": storable(str(error))}] if first == 0 else []


async def scales_for(conn: Connection, letter: Letter) -> dict[str, int]:
    """Decimal places by measure, of the columns there are; of one that is gone, as the letter's model had it."""
    scales = {name[2:]: column.scale for name, column in (await model_columns(conn)).items() if name.startswith("m_")}
    row = await (await conn.execute(_queries.model_of, {"version": letter.model})).fetchone()
    before = {name: measure.scale for name, measure in parse_model(row[0]).measures().items()} if row else {}
    return before | scales
