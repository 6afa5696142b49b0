"""One ranking of a board: that of one group or of everywhere, in one window. What a reader's words lead to, and what rows say of it.

    ranking = await find_ranking(conn, tenant_id, model, "distance", group="team-3", window="week", now=now)

A window is the one that holds `now` in the local time of the board's group (everywhere: of the model): its day, its week from
Monday, its month; a term is the same at any time, and so is `all`. Raises `NotFound` for a board or group that is not there,
`InvalidInput` for a window or group that the board does not have and for a window at the ends of time, `BeingFilled` while history is
being counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, LiteralString
from zoneinfo import ZoneInfo

from milepost.access.viewer import EVERYTHING, Reader
from milepost.errors import FieldError, InvalidInput, NotFound
from milepost.model import Board, Model
from milepost.postgres import Connection, load_queries
from milepost.rollups.filling import require_filled
from milepost.rollups.read import declared, put_words
from milepost.schema.compile import EVERYWHERE, member_column, score_units
from milepost.storage.by_index import plan_by_index

__all__ = ["Place", "Ranking", "Snapshot", "find_ranking", "ranking_of", "ranks_of"]

_queries = load_queries(__package__, "boards.sql")

THE_ONE_BUCKET = datetime(1, 1, 1)
SHARED_TIE = "(-9223372036854775808)"  # before every tie: who has the same score has the same rank


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """bucket: the local beginning of the window, as rows have it. previous: that of the window before; None: there is none."""

    board: Board
    tenant_id: int
    group_id: int
    window: str
    per: str
    bucket: datetime
    previous: datetime | None
    units: str
    reader: Reader  # whom it is shown to
    snapshot: Snapshot | None = None  # it is read as it was kept then; None: as it is
    against: Snapshot | None = None  # what movement is since; None: the window before

    @property
    def parameters(self) -> dict[str, Any]:
        return {
            **self.reader.parameters,
            "board": self.board.name,
            "tenant_id": self.tenant_id,
            "group_id": self.group_id,
            "per": self.per,
            "bucket": self.bucket,
            "previous": self.previous,
            "snapshot_id": self.snapshot and self.snapshot.number,
            "against_id": self.against and self.against.number,
        }

    @property
    def begins(self) -> str | None:
        """How the window is shown: its first date; a term by its name; None for all time."""
        if self.per == "all":
            return None
        return self.window if self.per.startswith("term:") else self.bucket.date().isoformat()

    def statement(self, template: LiteralString, **words: str) -> LiteralString:
        """A query of boards.sql about this board's tables."""
        actors = self.board.rank == "actor"
        masked = _queries.unmasked_actor if actors else _queries.unmasked_group
        template = put_words(template, shown="a.external_id" if self.reader.sees_all else masked, **words)
        for name in ("friends", "followed", "named", "ordinal", "better", "moved", "since", "before"):
            template = template.replace("{" + name + "}", _queries[name])
        template = put_words(
            template,
            table=f"milepost.board_{self.board.name}",
            member=member_column(self.board),
            units=self.units,
            names="milepost.actor" if actors else "milepost.groups",
            number="actor_id" if actors else "group_id",
        )
        for alias in ("f", "me", "p", "w"):
            template = template.replace("{tie " + alias + "}", f"{alias}.tie" if self.board.ties == "earliest" else SHARED_TIE)
        return template


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A ranking as it stood at a moment: the best `kept` of its `members`."""

    number: int
    name: str
    per: str
    bucket: datetime
    members: int
    kept: int
    taken_at: datetime
    expires_at: datetime | None  # None: it is kept until it is forgotten on purpose


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one stands: the key of the score index, and who it is. before: how many stood better in the window before; None: it had
    no rank there."""

    place: int
    tie: int
    member: int
    name: str | None  # None: masked
    score: Decimal
    before: int | None

    @property
    def key(self) -> tuple[int, int, int]:
        return self.place, self.tie, self.member


async def find_ranking(
    conn: Connection,
    tenant_id: int,
    model: Model,
    name: str,
    *,
    group: str | None,
    window: str | None,
    now: datetime,
    reader: Reader = EVERYTHING,
) -> Ranking:
    """window: one of the board's; None: its first. For the rest of the transaction plans go by index."""
    await plan_by_index(conn, sorts=True)
    return await ranking_of(conn, tenant_id, model, name, group=group, window=window, now=now, reader=reader)


async def ranking_of(
    conn: Connection,
    tenant_id: int,
    model: Model,
    name: str,
    *,
    group: str | None,
    window: str | None,
    now: datetime,
    reader: Reader = EVERYTHING,
) -> Ranking:
    """As `find_ranking`, and leaves the transaction's plans alone."""
    board = declared(model.boards, name, "board")
    await require_filled(conn, tenant_id, f"board_{name}")
    asked = window or board.windows[0]
    if asked not in board.windows:
        raise InvalidInput(errors=(FieldError("/window", f"{asked!r} is not kept here: {', '.join(board.windows)} are"),))
    if group is None and "everywhere" not in board.within:
        raise InvalidInput(errors=(FieldError("/group", f"is required: each group has a {name} of its own"),))
    if group is not None and "group" not in board.within:
        raise InvalidInput(errors=(FieldError("/group", f"{name} ranks everywhere, and has no board for a group"),))
    group_id, zone = EVERYWHERE, model.time_zone
    if group is not None:
        given = {"tenant_id": tenant_id, "group": group, "now": now}
        row = await (await conn.execute(_queries.group_here, given)).fetchone()
        if row is None:
            raise NotFound(f"There is no group {group!r}.", group=group)
        group_id, zone = row[0], row[1] or zone
    try:
        per, bucket, previous = _span(model, asked, now.astimezone(ZoneInfo(zone)).replace(tzinfo=None))
    except OverflowError:
        detail = f"its window in {zone}, or the one before, is not within the years 1 to 9999"
        raise InvalidInput(errors=(FieldError("/at", detail),)) from None
    return Ranking(
        board=board,
        tenant_id=tenant_id,
        group_id=group_id,
        window=asked,
        per=per,
        bucket=bucket,
        previous=previous,
        units=score_units(model, board),
        reader=reader,
    )


def ranks_of(ranking: Ranking, places: Sequence[Place], before: int, better: int) -> list[int]:
    """The ranks of neighbours in the order of the board. before: how many stand before the first of them; better: how many have a
    better rank than it, which is fewer where it shares its rank with some before it."""
    ranks: list[int] = []
    for number, place in enumerate(places):
        if number == 0:
            ranks.append(better + 1)
        elif _same_rank(ranking, places[number - 1], place):
            ranks.append(ranks[-1])
        else:
            ranks.append(before + number + 1)
    return ranks


def _same_rank(ranking: Ranking, one: Place, other: Place) -> bool:
    return one.place == other.place and (ranking.board.ties == "shared" or one.tie == other.tie)


def _span(model: Model, window: str, local: datetime) -> tuple[str, datetime, datetime | None]:
    """How rows have the window that holds a local time, and the beginning of the one before."""
    today = local.replace(hour=0, minute=0, second=0, microsecond=0)
    match window:
        case "all":
            return "all", THE_ONE_BUCKET, None
        case "hour":
            hour = local.replace(minute=0, second=0, microsecond=0)
            return "hour", hour, hour - timedelta(hours=1)
        case "day":
            return "day", today, today - timedelta(days=1)
        case "week":
            monday = today - timedelta(days=today.weekday())
            return "week", monday, monday - timedelta(days=7)
        case "month":
            first = today.replace(day=1)
            return "month", first, (first - timedelta(days=1)).replace(day=1)
        case name:
            return f"term:{name}", datetime.combine(model.terms[name].first, datetime.min.time()), None
