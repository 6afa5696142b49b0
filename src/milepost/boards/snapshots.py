"""Snapshots: boards as they once stood, and stay whatever is corrected since: ranks, scores and who had them.

    await put_snapshot(conn, tenant_id, model, command, now=now)      # a command of the tenant's lane: exact between two loads
    await keep_ended(owner, tenant_id, model, board, now=now)         # what the model wants kept at the ends of spans
    kept = await find_snapshot(conn, ranking, "kickoff")              # and `replace(ranking, snapshot=kept)` reads it

A snapshot holds the best `top` of a ranking, as the model says, and how many there were: it is written in one transaction, so it is
bounded. Who is not among them has no rank in it. A name is taken once in a window of a board; the ones that milepost gives have a
colon in them (`week:2026-03-02`, by the local day on which the span began), others may not. Raises `NotFound`, `InvalidInput`,
`Conflict`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from milepost.boards.ranking import THE_ONE_BUCKET, Ranking, Snapshot, ranking_of
from milepost.errors import Conflict, FieldError, InvalidInput, NotFound, unknown_fields
from milepost.model import Board, Model
from milepost.postgres import Connection, load_queries
from milepost.rollups.read import declared, put_words
from milepost.schema.compile import member_column, score_units
from milepost.storage.activities import rfc3339

__all__ = [
    "check_snapshot",
    "find_snapshot",
    "forget_expired",
    "keep_ended",
    "list_snapshots",
    "nearest_snapshot",
    "put_snapshot",
    "remove_snapshot",
]

_queries = load_queries(__package__, "snapshots.sql")

NAME_CHARS_MAX = 100
FIELDS = ("do", "board", "snapshot", "group", "window", "at", "expires_at")
KEPT_AT_ONCE = 200  # rankings in one transaction of `keep_ended`, of at most so many places together:
PLACES_MAX = 100_000
LATE = {"all": "1 day"}  # how long after the end of a span it is still kept; windows stay as they were:
LATE_WINDOWS = "7 days"


def check_snapshot(command: Mapping[str, Any], model: Model) -> None:
    """Whether a command is well formed."""
    declared(model.boards, command["board"], "board")
    faults = unknown_fields(command, FIELDS)
    faults += [FieldError(f"/{name}", "must be text") for name in FIELDS if not isinstance(command.get(name, ""), str | None)]
    name = command["snapshot"]
    if not 1 <= len(name) <= NAME_CHARS_MAX or ":" in name or not name.isprintable():
        faults.append(FieldError("/snapshot", f"is a name of 1 to {NAME_CHARS_MAX} printable characters without a colon"))
    if faults:
        raise InvalidInput(errors=tuple(faults))
    for field in ("at", "expires_at"):
        _moment(field, command.get(field))


async def put_snapshot(
    conn: Connection, tenant_id: int, model: Model, command: Mapping[str, Any], *, now: datetime
) -> dict[str, Any]:
    """Keep one ranking as it is now, or, of a window that has ended, as it has become. → as it is listed."""
    check_snapshot(command, model)
    expires_at = _moment("expires_at", command.get("expires_at"))
    if expires_at is not None and expires_at <= now:
        raise InvalidInput(errors=(FieldError("/expires_at", "must lie in the future"),))
    ranking = await _ranking(conn, tenant_id, model, command, now)
    given = {
        "group_id": ranking.group_id,
        "per": ranking.per,
        "bucket": ranking.bucket,
        "name": command["snapshot"],
        "expires_at": expires_at,
    }
    rows = await _take(conn, tenant_id, model, ranking.board, _queries.asked_for, given, now)
    if not rows:
        raise Conflict(
            f"There is a snapshot {command['snapshot']!r} of this window already: forget it first, or take another name."
        )
    return _shown(await find_snapshot(conn, ranking, command["snapshot"]))


async def remove_snapshot(conn: Connection, tenant_id: int, model: Model, command: Mapping[str, Any], *, now: datetime) -> None:
    ranking = await _ranking(conn, tenant_id, model, command, now)
    kept = await find_snapshot(conn, ranking, command["snapshot"])
    await conn.execute(_queries.forget, {"tenant_id": tenant_id, "numbers": [kept.number]})


async def find_snapshot(conn: Connection, ranking: Ranking, name: str) -> Snapshot:
    """The one of this name, of the ranking's window."""
    row = await (await conn.execute(_queries.by_name, {**ranking.parameters, "name": name})).fetchone()
    if row is None:
        raise NotFound(f"There is no snapshot {name!r} of this board's window {ranking.window}.")
    return _snapshot(row)


async def nearest_snapshot(conn: Connection, ranking: Ranking, at: datetime) -> Snapshot:
    """The one that was taken nearest to a moment."""
    row = await (await conn.execute(_queries.nearest, {**ranking.parameters, "at": at})).fetchone()
    if row is None:
        raise NotFound(
            f"The window {ranking.window} has no past of its own, and no snapshot of it was taken: leave `at` away to read it as it is."
        )
    return _snapshot(row)


async def list_snapshots(
    conn: Connection, ranking: Ranking, *, limit: int, after: bytes | None = None
) -> tuple[list[dict[str, Any]], bytes | None]:
    """Of the ranking's window, the newest first; and where the next page begins."""
    before_at, before = msgspec.json.decode(after) if after else (datetime.max.replace(tzinfo=UTC).isoformat(), 0)
    given = {**ranking.parameters, "before_at": before_at, "before": before, "limit": limit + 1}
    kept = [_snapshot(row) for row in await (await conn.execute(_queries.listed, given)).fetchall()]
    last = kept[limit - 1] if len(kept) > limit else None
    position = None if last is None else msgspec.json.encode([last.taken_at.isoformat(), last.number])
    return [_shown(one) for one in kept[:limit]], position


async def keep_ended(conn: Connection, tenant_id: int, model: Model, board: Board, *, now: datetime) -> int:
    """One bounded step of keeping what ended, as the board's model says. → how many were kept; 0: all that are to be."""
    most = max(1, min(KEPT_AT_ONCE, PLACES_MAX // board.snapshots.top))
    for span in board.snapshots.at_end_of:
        for per in (span, "all"):
            if per not in board.windows:
                continue
            late = LATE.get(per, LATE_WINDOWS)
            # Zones are at most 14 hours apart from UTC, and no span is longer than a month.
            since = THE_ONE_BUCKET if per == "all" else now.replace(tzinfo=None) - timedelta(days=7 + 31 + 2)
            given = {"span": span, "per": per, "late": late, "since": since, "zone": model.time_zone, "most": most}
            rows = await _take(conn, tenant_id, model, board, _queries.ended, {**given, "expires_at": None}, now)
            if rows:
                return len(rows)
    return 0


async def forget_expired(conn: Connection, tenant_id: int, *, now: datetime) -> int:
    """One bounded step. → how many snapshots are gone."""
    given = {"tenant_id": tenant_id, "now": now, "places_max": PLACES_MAX}
    numbers = [row[0] for row in await (await conn.execute(_queries.expired, given)).fetchall()]
    if numbers:
        await conn.execute(_queries.forget, {"tenant_id": tenant_id, "numbers": numbers})
    return len(numbers)


async def _take(
    conn: Connection, tenant_id: int, model: Model, board: Board, due: str, given: dict[str, Any], now: datetime
) -> list[Any]:
    tie = ", t.tie" if board.ties == "earliest" else ""
    statement = put_words(_queries.take, due=due, tie=tie, units=score_units(model, board))
    statement = put_words(statement, table=f"milepost.board_{board.name}", member=member_column(board))
    values = {"tenant_id": tenant_id, "board": board.name, "now": now, "keep": board.snapshots.keep, "top": board.snapshots.top}
    return await (await conn.execute(statement, values | given)).fetchall()


async def _ranking(conn: Connection, tenant_id: int, model: Model, command: Mapping[str, Any], now: datetime) -> Ranking:
    at = _moment("at", command.get("at")) or now
    return await ranking_of(
        conn, tenant_id, model, command["board"], group=command.get("group"), window=command.get("window"), now=at
    )


def _snapshot(row: tuple[Any, ...]) -> Snapshot:
    number, name, per, bucket, members, kept, taken_at, expires_at = row
    return Snapshot(
        number=number,
        name=name,
        per=per,
        bucket=bucket,
        members=members,
        kept=kept,
        taken_at=taken_at,
        expires_at=expires_at,
    )


def _moment(name: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.min
    if moment.tzinfo is None:
        raise InvalidInput(errors=(FieldError(f"/{name}", f"{text!r} is not an RFC 3339 time with a zone"),))
    return moment


def _shown(kept: Snapshot) -> dict[str, Any]:
    begins = None if kept.per == "all" else kept.bucket.date().isoformat()
    if kept.per.startswith("term:"):
        begins = kept.per.removeprefix("term:")
    return {
        "name": kept.name,
        "taken_at": rfc3339(kept.taken_at),
        "begins": begins,
        "members": kept.members,
        "kept": kept.kept,
        "expires_at": None if kept.expires_at is None else rfc3339(kept.expires_at),
    }
