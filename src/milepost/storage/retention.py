"""Retention: which activities are over, and what is on record about those that went.

A rule is an entry of the model's `keep` with `then = "delete"`: its activities go at the age `archive` says, or `hot` where there is no
archive. Each activity falls under one (`milepost.storage.policies`); what falls under none stays for ever. An administrator may have a rule delete sooner than the model says (`put_rule`), never later, and of what the model
keeps for ever, nothing. A legal hold keeps what it covers, whatever the rules say, until it is lifted.

`look` goes through a tenant's activities by id, a bounded window at a time, `look_cold` through those in the archive; asking is a dry run. Removing is a command of the lane
(`milepost.intake.removal`), because it changes what is derived.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

import msgspec

from milepost.activity import SMALLEST_ID, id_from
from milepost.errors import FieldError, InvalidInput, NotFound
from milepost.model import Model
from milepost.postgres import Connection, Jsonb, JsonText, load_queries, translated
from milepost.storage.cold import Cold
from milepost.storage.policies import HELD, Selection, selections

__all__ = [
    "DURATION",
    "Rule",
    "Window",
    "holds",
    "lift_hold",
    "log_page",
    "look",
    "look_cold",
    "place_hold",
    "put_rule",
    "rules",
    "write_log",
]

WINDOW_ROWS = 5_000
DURATION = re.compile("[0-9]{1,4} (day|week|month|year)s?")  # of an administrator's rule

queries = load_queries(__package__, "retention.sql")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """delete_after: a duration as the model writes it, the administrator's where there is one. None: kept for ever. before: what
    is older is over."""

    name: str
    selection: Selection
    by_change: bool
    model_says: str | None
    delete_after: str | None
    before: datetime | None


@dataclass(frozen=True, kw_only=True)
class Window:
    """ids: that are over, of the rows looked at. next: where the next window begins; None: this was the last."""

    ids: list[UUID]
    verbs: dict[str, int]
    first_at: datetime | None
    last_at: datetime | None
    next: UUID | None


NOTHING = Window(ids=[], verbs={}, first_at=None, last_at=None, next=None)


async def rules(conn: Connection, tenant_id: int, model: Model, now: datetime) -> list[Rule]:
    """Every entry of the model's `keep`, also those that delete nothing."""
    own: dict[str, str | None] = dict(await (await conn.execute(queries.rules, {"tenant_id": tenant_id})).fetchall())
    keeps = list(model.keep.values())
    says = [(keep.archive or keep.hot) if keep.then == "delete" else None for keep in keeps]
    ages = [own.get(keep.name) or age if age is not None else None for keep, age in zip(keeps, says, strict=True)]
    moments = [row[0] for row in await (await conn.execute(queries.before, {"now": now, "ages": ages})).fetchall()]
    selected = selections(model)
    return [
        Rule(
            name=keep.name,
            selection=selected[keep.name],
            by_change=keep.age == "last change",
            model_says=said,
            delete_after=age,
            before=before,
        )
        for keep, said, age, before in zip(keeps, says, ages, moments, strict=True)
    ]


async def look(
    conn: Connection, cold: Cold, tenant_id: int, rule: Rule, low: UUID = SMALLEST_ID, rows: int = WINDOW_ROWS
) -> Window:
    """What is over by a rule among the next `rows` activities in PostgreSQL from the id `low` on."""
    if rule.before is None:
        return NOTHING
    before, given = id_from(rule.before), {"low": low, "rows": rows}
    busy: list[str] = []
    if rule.by_change:
        query = queries.hot_objects.format(rows=queries.hot_rows)
        objects = await (await conn.execute(query, {"tenant_id": tenant_id, "before": before, **given})).fetchall()
        busy = await cold.busy(conn, tenant_id, objects, before)
    found = await _over(conn, tenant_id, rule, queries.hot_rows, {**given, "busy": busy})
    following = UUID(int=found.last.int + 1) if found.last is not None and found.looked == rows else None
    return _window([found], following)


async def look_cold(
    conn: Connection, cold: Cold, tenant_id: int, rule: Rule, low: UUID = SMALLEST_ID, rows: int = WINDOW_ROWS
) -> Window:
    """The same among those in the archive."""
    if rule.before is None:
        return NOTHING
    before = id_from(rule.before)
    end, pieces = await cold.stretch(conn, tenant_id, low, before, rows)
    busy = await cold.busy(conn, tenant_id, _objects(pieces), before) if rule.by_change else []
    found = [await _over(conn, tenant_id, rule, queries.cold_rows, {"cold_rows": one, "busy": busy}) for one in pieces]
    return _window(found, end if end < before else None)


@dataclass(frozen=True, kw_only=True)
class _Over:
    """Of one look: looked, last: how many rows it looked at, and the last of them."""

    ids: list[UUID]
    looked: int
    last: UUID | None
    verbs: dict[str, int]
    first_at: datetime | None
    last_at: datetime | None


async def _over(conn: Connection, tenant_id: int, rule: Rule, rows: LiteralString, given: Mapping[str, Any]) -> _Over:
    assert rule.before is not None
    values: dict[str, Any] = {"tenant_id": tenant_id, "before": id_from(rule.before), "before_at": rule.before}
    values |= {"by_change": rule.by_change, **rule.selection.parameters, **given}
    query = queries.window.format(selected=rule.selection.condition, held=HELD, rows=rows)
    row = await (await conn.execute(query, values)).fetchone()
    assert row is not None
    return _Over(ids=row[0], looked=row[1], last=row[2], verbs=row[3], first_at=row[4], last_at=row[5])


def _window(found: Sequence[_Over], following: UUID | None) -> Window:
    verbs: Counter[str] = Counter()
    for one in found:
        verbs.update(one.verbs)
    return Window(
        ids=[id for one in found for id in one.ids],
        verbs=dict(verbs),
        first_at=min((one.first_at for one in found if one.first_at is not None), default=None),
        last_at=max((one.last_at for one in found if one.last_at is not None), default=None),
        next=following,
    )


def _objects(pieces: Sequence[JsonText]) -> set[tuple[str | None, str | None]]:
    """What these cold rows happened to."""
    rows = [row for piece in pieces for row in msgspec.json.decode(piece.data, type=list[_OfObject])]
    return {(row.object_kind, row.object_id) for row in rows if row.object_id is not None}


class _OfObject(msgspec.Struct):
    object_kind: str | None = None
    object_id: str | None = None


async def write_log(conn: Connection, tenant_id: int, rule: Rule, window: Window) -> None:
    values = {"tenant_id": tenant_id, "rule": rule.name, "removed": len(window.ids), "verbs": Jsonb(window.verbs)}
    await conn.execute(queries.log, {**values, "first_at": window.first_at, "last_at": window.last_at})


async def log_page(conn: Connection, tenant_id: int, *, before: int | None = None, limit: int) -> list[dict[str, Any]]:
    """What went, batch by batch, the newest first."""
    rows = await (await conn.execute(queries.log_page, {"tenant_id": tenant_id, "before": before, "limit": limit})).fetchall()
    return [dict(zip(("id", "at", "rule", "removed", "verbs", "first_at", "last_at"), row, strict=True)) for row in rows]


async def put_rule(conn: Connection, tenant_id: int, model: Model, name: str, *, delete_after: str | None, by: str) -> None:
    """Have a rule delete sooner; None: when the model says. Raises `NotFound`, and `InvalidInput` beyond the model's bounds."""
    keep = model.keep.get(name)
    if keep is None:
        raise NotFound(f"The model has no keep.{name}.")
    if delete_after is not None and not DURATION.fullmatch(delete_after):
        raise InvalidInput(errors=(FieldError("/delete_after", "must be a duration, such as 6 months"),))
    if delete_after is None:
        await conn.execute(queries.drop_rule, {"tenant_id": tenant_id, "name": name})
        return
    most = (keep.archive or keep.hot) if keep.then == "delete" else None
    if most is None:
        raise InvalidInput(errors=(FieldError("/delete_after", f"the model keeps what keep.{name} is for, for ever"),))
    row = await (await conn.execute(queries.shorter, {"wanted": delete_after, "most": most})).fetchone()
    if row is None or not all(row):
        raise InvalidInput(
            errors=(FieldError("/delete_after", f"is more than nothing and at most what the model says, {most}"),)
        )
    await conn.execute(queries.put_rule, {"tenant_id": tenant_id, "name": name, "delete_after": delete_after, "by": by})


async def place_hold(conn: Connection, tenant_id: int, given: Mapping[str, str | None], *, reason: str, by: str) -> int:
    """given: `actor`, `group`, `verb`; what is absent covers all. → its number."""
    values = {"tenant_id": tenant_id, "actor": given.get("actor"), "group": given.get("group"), "verb": given.get("verb")}
    with translated(conn):
        row = await (await conn.execute(queries.place_hold, {**values, "reason": reason, "by": by})).fetchone()
    assert row is not None
    return int(row[0])


async def lift_hold(conn: Connection, tenant_id: int, hold_id: int, *, by: str) -> None:
    """Raises `NotFound` where none of that number holds."""
    if not (await conn.execute(queries.lift_hold, {"tenant_id": tenant_id, "hold_id": hold_id, "by": by})).rowcount:
        raise NotFound(f"There is no hold {hold_id} that holds.")


async def holds(conn: Connection, tenant_id: int, *, lifted: bool = False) -> list[dict[str, Any]]:
    """The newest first. lifted: those too."""
    rows = await (await conn.execute(queries.holds, {"tenant_id": tenant_id, "lifted": lifted})).fetchall()
    names = ("id", "actor", "group", "verb", "reason", "placed_at", "placed_by", "lifted_at", "lifted_by")
    return [dict(zip(names, row, strict=True)) for row in rows]
