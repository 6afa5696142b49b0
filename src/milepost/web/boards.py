"""Boards: `GET /v1/boards/{name}` from the top to any depth, and one member's standing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated

from litestar import Response, get
from litestar.params import QueryParameter

from milepost.access.viewer import reader_of
from milepost.boards.ranking import Ranking, find_ranking
from milepost.boards.read import read_page
from milepost.boards.standing import AROUND_MAX, read_standing
from milepost.postgres import Connection
from milepost.rollups.sight import require_sight
from milepost.web import board_schemas
from milepost.web.answers import page, tagged
from milepost.web.openapi import documented
from milepost.web.parameters import Cursor, IdInPath, Limit, moment
from milepost.web.request import ApiRequest, unescape, views

__all__ = ["routes"]

BoardGroup = Annotated[str | None, QueryParameter(name="group", description="Whose board. The one of everywhere, if absent.")]
Window = Annotated[
    str | None,
    QueryParameter(name="window", description="day, week, month, all, or a term: one of the board's; its first, if absent."),
]
WindowAt = Annotated[
    str | None,
    QueryParameter(
        name="at", description="The window that holds this time (RFC 3339), in the group's own zone. Now, if absent."
    ),
]
Movement = Annotated[
    bool,
    QueryParameter(
        name="movement", description="Whether ranks are compared with those of the window before: false is quicker."
    ),
]


@get(
    "/v1/boards/{name:str}",
    guards=[views],
    summary="A board, from the top to any depth",
    description="`rank` is exact at the moment of the answer; `movement` is by how many ranks a member has come up since the window "
    "before, null where it had none. 503 while the board is being filled from history.",
    opt=documented("Boards", board_schemas.BoardPage),
)
async def board(
    request: ApiRequest,
    name: IdInPath,
    group: BoardGroup = None,
    window: Window = None,
    at: WindowAt = None,
    movement: Movement = True,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response[bytes]:
    after = request.position(cursor)
    async with _ranking(request, name, group, window, at) as (conn, ranking):
        found = await read_page(conn, ranking, limit=limit, after=after, movement=movement)
    return page(request, found.items, found.next, members=found.members, window=ranking.window, begins=ranking.begins)


@get(
    "/v1/boards/{name:str}/standing",
    guards=[views],
    summary="Where one member stands",
    description="Its rank among all, with the neighbours on each side. `percentile` is 100 for the first and 0 for the last; `to_next` "
    "is what is missing to the score of who is next better. Who takes no rank there has `rank` null.",
    opt=documented("Boards", board_schemas.Standing),
)
async def standing(
    request: ApiRequest,
    name: IdInPath,
    member: Annotated[str, QueryParameter(name="member", description="An actor, or a group where the board ranks groups.")],
    group: BoardGroup = None,
    window: Window = None,
    at: WindowAt = None,
    movement: Movement = True,
    around: Annotated[int, QueryParameter(name="around", ge=0, le=AROUND_MAX, description="How many on each side.")] = 5,
) -> Response[bytes]:
    async with _ranking(request, name, group, window, at) as (conn, ranking):
        found = await read_standing(conn, ranking, member, around=around, movement=movement)
    return tagged(request, found)


@asynccontextmanager
async def _ranking(
    request: ApiRequest, name: str, group: str | None, window: str | None, at: str | None
) -> AsyncIterator[tuple[Connection, Ranking]]:
    """A snapshot in which one ranking is read, as the model declares it now."""
    tenant_id, model = request.user.tenant_id, request.services.models.current.model
    now = moment("at", at) or datetime.now(UTC)
    async with request.services.db.transaction("point", tenant_id=tenant_id, snapshot=True) as conn:
        reader = await reader_of(conn, tenant_id, request.viewer, model)
        if group is not None:  # everywhere is everybody's
            await require_sight(conn, tenant_id, reader, {"group": group})
        yield conn, await find_ranking(conn, tenant_id, model, unescape(name), group=group, window=window, now=now)


routes = [board, standing]
