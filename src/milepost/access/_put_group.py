"""put_group: a group's parent and zone from a time on, and what else is said of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from milepost.access._commands import ALWAYS, PutGroup, typed_attributes
from milepost.access._known import (
    Change,
    KnownGroup,
    as_answer,
    as_moment,
    find_groups,
    intern,
    moment_of,
    name_and_attributes,
    queries,
    text_or_none,
)
from milepost.access.groups import get_group
from milepost.errors import Conflict, DatabaseError, FieldError, InvalidInput
from milepost.model import Model
from milepost.postgres import Connection, translated

LEVELS_MAX = 16  # of groups above each other, the lowest included

# Groups that have no number yet, while what is to become of them is checked.
NOBODY, NOBODY_ABOVE = KnownGroup(group_id=-1), KnownGroup(group_id=-2)


async def prepare_group(conn: Connection, tenant_id: int, command: PutGroup, now: datetime, model: Model) -> Change:
    parent = command.parent if isinstance(command.parent, str) else None
    names = [command.id] if parent is None else [command.id, parent]
    known = await find_groups(conn, tenant_id, names)
    group, above = known.get(command.id), known.get(parent or "")
    if group and group.kind and command.kind and command.kind != group.kind:
        detail = f"the group is of kind {group.kind}, and a group's kind stays"
        message = f"Group {command.id!r} is of kind {group.kind}; a group's kind stays."
        raise Conflict(message, errors=(FieldError("/kind", detail),))
    kind = command.kind or (group.kind if group else None)
    since = command.since or (now.isoformat() if group and group.declared else ALWAYS)

    faults = _kind_faults(command, kind, above, model)
    if group and group.is_parent and command.kind and not group.kind:
        faults += await _below_faults(conn, tenant_id, group, command.kind, model)
    if parent is not None:
        faults += await _line_faults(conn, tenant_id, group or NOBODY, above or NOBODY_ABOVE, since)
    if isinstance(command.time_zone, str) and not await _is_zone_here(conn, command.time_zone):
        faults.append(FieldError("/time_zone", f"{command.time_zone!r} is not known to this PostgreSQL"))
    if faults:
        raise InvalidInput(errors=tuple(faults))

    ids = {name: one.group_id for name, one in known.items()}
    ids |= await intern(conn, tenant_id, queries.intern_groups, [name for name in names if name not in ids])
    group_id = ids[command.id]
    if group and group.declared:
        timeline = _timeline(tenant_id, command, group_id, ids.get(parent or ""), since)
        return Change(groups=(group_id,), since=await moment_of(conn, queries.group_differs_from, timeline))
    # Not declared yet: no parent and the model's zone, always.
    differs = parent is not None or isinstance(command.time_zone, str)
    return Change(groups=(group_id,), since=as_moment(since) if differs else None)


async def apply_group(conn: Connection, tenant_id: int, command: PutGroup, change: Change, now: datetime) -> dict[str, Any]:
    parent = command.parent if isinstance(command.parent, str) else None
    known = await find_groups(conn, tenant_id, [command.id] if parent is None else [command.id, parent])
    group = known[command.id]
    if change.since is not None or not group.declared:
        since = command.since or (now.isoformat() if group.declared else ALWAYS)
        parent_id = known[parent].group_id if parent is not None else None
        timeline = _timeline(tenant_id, command, group.group_id, parent_id, since)
        await conn.execute(queries.put_spans, timeline)
    if change.since is not None:
        whose = {"tenant_id": tenant_id, "group_id": group.group_id, "levels": LEVELS_MAX}
        await conn.execute(queries.put_reach, whose)
    said = {"tenant_id": tenant_id, "group_id": group.group_id, "now": now}
    said |= {"kind": command.kind, "status": command.status} | name_and_attributes(command)
    await conn.execute(queries.put_group, said)
    return as_answer(await get_group(conn, tenant_id, command.id, at=now))


def _kind_faults(command: PutGroup, kind_name: str | None, above: KnownGroup | None, model: Model) -> list[FieldError]:
    """What a group's kind forbids. A group of no kind may have any parent and any attributes."""
    kind = model.groups.get(kind_name or "")
    if kind is None:
        return []
    faults = []
    if isinstance(command.parent, str):
        if kind.parent is None:
            faults.append(FieldError("/parent", f"a group of kind {kind.name} has no parent in this model"))
        elif above and above.kind and above.kind != kind.parent:
            detail = f"the parent must be of kind {kind.parent}, as for all of kind {kind.name}; {command.parent!r} is of kind {above.kind}"
            faults.append(FieldError("/parent", detail))
    if isinstance(command.attributes, dict):
        faults += typed_attributes(command.attributes, kind)
    return faults


async def _below_faults(conn: Connection, tenant_id: int, group: KnownGroup, kind: str, model: Model) -> list[FieldError]:
    """A group that was a parent before it was declared must be what those below it need."""
    rows = await conn.execute(queries.kinds_below, {"tenant_id": tenant_id, "group_id": group.group_id})
    below = sorted(row[0] for row in await rows.fetchall() if row[0] in model.groups)
    return [
        FieldError("/kind", f"it is the parent of a group of kind {one}, so it must be of kind {model.groups[one].parent}")
        for one in below
        if model.groups[one].parent != kind
    ]


async def _line_faults(conn: Connection, tenant_id: int, group: KnownGroup, above: KnownGroup, since: str) -> list[FieldError]:
    given = {
        "tenant_id": tenant_id,
        "group_id": group.group_id,
        "is_parent": group.is_parent,
        "parent_id": above.group_id,
        "since": since,
        "levels": LEVELS_MAX,
    }
    row = await (await conn.execute(queries.line_of_parent, given)).fetchone()
    assert row is not None
    circle, too_long = row
    if circle:
        return [FieldError("/parent", "the group would be above itself, at least for some time")]
    if too_long:
        return [FieldError("/parent", f"there would be more than {LEVELS_MAX} levels of groups")]
    return []


async def _is_zone_here(conn: Connection, time_zone: str) -> bool:
    """Whether PostgreSQL knows the zone: its data may be older than Python's, and a fold must not fail on it later."""
    try:
        with translated(conn):
            async with conn.transaction():
                await conn.execute("SELECT now() AT TIME ZONE %(time_zone)s", {"time_zone": time_zone})
    except DatabaseError as error:
        if error.facts.get("sqlstate") != "22023":  # invalid_parameter_value
            raise
        return False
    return True


def _timeline(tenant_id: int, command: PutGroup, group_id: int, parent_id: int | None, since: str) -> dict[str, Any]:
    return {
        "tenant_id": tenant_id,
        "group_id": group_id,
        "since": since,
        "set_parent": command.parent is not msgspec.UNSET,
        "parent_id": parent_id,
        "set_time_zone": command.time_zone is not msgspec.UNSET,
        "time_zone": text_or_none(command.time_zone),
    }
