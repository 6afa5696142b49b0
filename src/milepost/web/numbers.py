"""Numbers that the model declares: rollups, goals, latest tables and pairs, each under the name it has there.

A viewer is told those of a group that it may read, and its own (`rollups/sight.py`).
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from milepost.rollups.goals import read_goal
from milepost.rollups.latest import read_latest
from milepost.rollups.pairs import read_pairs
from milepost.rollups.read import Question, read_rollup
from milepost.web import number_schemas
from milepost.web.answers import page, tagged
from milepost.web.openapi import documented
from milepost.web.parameters import (
    NARROWED,
    Cursor,
    IdInPath,
    Limit,
    Narrowed,
    OneActor,
    OneGroup,
    OneObject,
    local_moment,
)
from milepost.web.request import ApiRequest, unescape, views
from milepost.web.viewing import viewing

__all__ = ["routes"]

Bucket = Annotated[
    str,
    QueryParameter(name="bucket", description="hour, day, week, month, all, or a term: what the rollup keeps; days always."),
]
FirstBucket = Annotated[
    str | None,
    QueryParameter(
        name="from",
        description="Buckets that begin at this local date or time, or later. A zone may be written, and is not looked at.",
    ),
]
LastBucket = Annotated[str | None, QueryParameter(name="to", description="Buckets that begin before this local date or time.")]


@get(
    "/v1/rollups/{name:str}",
    guards=[views],
    dependencies=NARROWED,
    summary="Rows of a rollup, the newest bucket first",
    description="Filtered by the rollup's keys; `data.NAME=value` where it is kept by a data field. Buckets are the "
    "group's local time: a day, week or month by its first date, an hour as 2026-03-01T13:00, a term by its name, `all` "
    "as null. 503 while the rollup is being filled from history.",
    opt=documented("Numbers", number_schemas.RollupPage, data_filters=True),
)
async def rollup(
    request: ApiRequest,
    name: IdInPath,
    narrowed: NamedDependency[Narrowed],
    since: FirstBucket = None,
    until: LastBucket = None,
    bucket: Bucket = "day",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response[bytes]:
    question = Question(
        keys=_keys(request, **asdict(narrowed)),
        per=bucket,
        since=local_moment("from", since),
        until=local_moment("to", until),
    )
    after = request.position(cursor)
    async with viewing(request, about=question.keys) as view:
        found = await read_rollup(view.conn, view.tenant_id, view.model, unescape(name), question, limit=limit, after=after)
    return page(request, found.items, found.next)


@get(
    "/v1/goals/{name:str}",
    guards=[views],
    summary="How far a goal is",
    description="Of the group, or of the actor, whichever its rollup is kept by.",
    opt=documented("Numbers", number_schemas.Goal),
)
async def goal(request: ApiRequest, name: IdInPath, group: OneGroup = None, actor: OneActor = None) -> Response[bytes]:
    asked, now = _keys(request, group=group, actor=actor), datetime.now(UTC)
    async with viewing(request, about=asked) as view:
        return tagged(request, await read_goal(view.conn, view.tenant_id, view.model, unescape(name), asked, now=now))


@get(
    "/v1/latest/{name:str}",
    guards=[views],
    summary="The newest activity of each key",
    description="Such as each student's newest grade of each assessment.",
    opt=documented("Numbers", number_schemas.LatestPage),
)
async def latest(
    request: ApiRequest,
    name: IdInPath,
    group: OneGroup = None,
    actor: OneActor = None,
    object: OneObject = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response[bytes]:
    after, asked = request.position(cursor), _keys(request, group=group, actor=actor, object=object)
    async with viewing(request, about=asked) as view:
        found = await read_latest(view.conn, view.tenant_id, view.model, unescape(name), asked, limit=limit, after=after)
    return page(request, found.items, found.next)


@get(
    "/v1/pairs/{name:str}",
    guards=[views],
    summary="What was opened, and what closed it",
    description="Of an object, the newest opened first; or of a group, the open ones first, then the latest closed.",
    opt=documented("Numbers", number_schemas.PairPage),
)
async def pairs(
    request: ApiRequest,
    name: IdInPath,
    object: OneObject = None,
    group: OneGroup = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response[bytes]:
    after = request.position(cursor)
    async with viewing(request, about=_keys(request, group=group)) as view:
        found = await read_pairs(
            view.conn, view.tenant_id, view.model, unescape(name), object=object, group=group, limit=limit, after=after
        )
    return page(request, found.items, found.next)


def _keys(request: ApiRequest, **asked: str | None) -> dict[str, str]:
    """The keys that were asked for, data fields included."""
    data = {name: value for name, value in request.query_params.items() if name.startswith("data.")}
    return {name: value for name, value in asked.items() if value is not None} | data


routes = [rollup, goal, latest, pairs]
