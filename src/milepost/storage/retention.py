"""Retention: which activities are over, and what is on record about those that went.

A rule is an entry of the model's `keep` with `then = "delete"`: its activities go at the age `archive` says, or `hot` where there is no
archive. Each verb has one rule: the one that names it, else `default`; a verb without any stays for ever, and so do milestones, as long as
they are reached. An administrator may have a rule delete sooner than the model says (`put_rule`), never later, and of what the model
keeps for ever, nothing. A legal hold keeps what it covers, whatever the rules say, until it is lifted.

`look` goes through a tenant's activities by id, a bounded window at a time; asking is a dry run. Removing is a command of the lane
(`milepost.intake.removal`), because it changes what is derived.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from milepost.activity import SMALLEST_ID, id_from
from milepost.errors import FieldError, InvalidInput, NotFound
from milepost.model import Model
from milepost.postgres import Connection, Jsonb, load_queries, translated

__all__ = ["Rule", "Window", "holds", "lift_hold", "log_page", "look", "place_hold", "put_rule", "rules", "write_log"]

WINDOW_ROWS = 5_000

queries = load_queries(__package__, "retention.sql")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """delete_after: a duration as the model writes it, the administrator's where there is one. None: kept for ever. before: what
    is older is over."""

    name: str
    verbs: tuple[str, ...]  # of `default`, those that other rules name
    by_change: bool
    model_says: str | None
    delete_after: str | None
    before: datetime | None

    @property
    def named(self) -> bool:
        return self.name != "default"


@dataclass(frozen=True, kw_only=True)
class Window:
    """ids: that are over, of the rows looked at. next: where the next window begins; None: this was the last."""

    ids: list[UUID]
    verbs: dict[str, int]
    first_at: datetime | None
    last_at: datetime | None
    next: UUID | None


async def rules(conn: Connection, tenant_id: int, model: Model, now: datetime) -> list[Rule]:
    """Every entry of the model's `keep`, also those that delete nothing."""
    own: dict[str, str | None] = dict(await (await conn.execute(queries.rules, {"tenant_id": tenant_id})).fetchall())
    keeps = list(model.keep.values())
    says = [(keep.archive or keep.hot) if keep.then == "delete" else None for keep in keeps]
    ages = [own.get(keep.name) or age if age is not None else None for keep, age in zip(keeps, says, strict=True)]
    moments = [row[0] for row in await (await conn.execute(queries.before, {"now": now, "ages": ages})).fetchall()]
    others = tuple(verb for keep in keeps for verb in keep.of)
    return [
        Rule(
            name=keep.name,
            verbs=keep.of if keep.name != "default" else others,
            by_change=keep.age == "last change",
            model_says=said,
            delete_after=age,
            before=before,
        )
        for keep, said, age, before in zip(keeps, says, ages, moments, strict=True)
    ]


async def look(conn: Connection, tenant_id: int, rule: Rule, low: UUID = SMALLEST_ID, rows: int = WINDOW_ROWS) -> Window:
    """What is over by a rule among the next `rows` activities from the id `low` on."""
    if rule.before is None:
        return Window(ids=[], verbs={}, first_at=None, last_at=None, next=None)
    before = id_from(rule.before)
    values: dict[str, Any] = {"tenant_id": tenant_id, "low": low, "before": before, "before_at": rule.before, "rows": rows}
    values |= {"verbs": list(rule.verbs), "named": rule.named, "by_change": rule.by_change}
    row = await (await conn.execute(queries.window, values)).fetchone()
    assert row is not None
    ids, looked, last, verbs, first_at, last_at = row
    following = UUID(int=last.int + 1) if looked == rows else None
    return Window(ids=ids, verbs=verbs, first_at=first_at, last_at=last_at, next=following)


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
