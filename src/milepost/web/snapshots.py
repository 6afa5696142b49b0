"""`/v1/boards/{name}/snapshots`: boards as they once stood: taking one on purpose, listing, forgetting."""

from __future__ import annotations

from datetime import UTC, datetime

from litestar import Response, delete, get, put

from milepost.boards.ranking import find_ranking
from milepost.boards.snapshots import check_snapshot, list_snapshots
from milepost.errors import InvalidInput
from milepost.rollups.sight import require_sight
from milepost.web import board_schemas
from milepost.web.answers import page
from milepost.web.bodies import decode_object
from milepost.web.lane import change, named
from milepost.web.openapi import documented
from milepost.web.parameters import BoardGroup, Cursor, IdInPath, Limit, Window
from milepost.web.problems import Unprocessable
from milepost.web.request import ApiRequest, unescape, views, writes
from milepost.web.viewing import viewing

__all__ = ["routes"]


@put(
    "/v1/boards/{name:str}/snapshots/{snapshot:str}",
    guards=[writes],
    summary="Keep a board as it stands",
    description="The best of one window, as many as the model says (1,000 unless it does), as of this moment, under a name that is free. "
    "Nothing that comes or is corrected later changes it.",
    opt=documented("Boards", board_schemas.Snapshot, body=board_schemas.SnapshotIn, changes=True),
)
async def put_snapshot(request: ApiRequest, name: IdInPath, snapshot: IdInPath) -> Response[bytes]:
    raw = await request.whole_body()
    command = named("put_snapshot", decode_object(raw) if raw else {}, board=unescape(name), snapshot=unescape(snapshot))
    try:
        check_snapshot(command, request.services.models.current.model)
    except InvalidInput as error:
        raise Unprocessable(errors=error.errors) from error
    return await change(request, command)


@delete(
    "/v1/boards/{name:str}/snapshots/{snapshot:str}",
    guards=[writes],
    status_code=200,
    summary="Forget a snapshot",
    opt=documented("Boards", changes=True),
)
async def remove_snapshot(
    request: ApiRequest, name: IdInPath, snapshot: IdInPath, group: BoardGroup = None, window: Window = None
) -> Response[bytes]:
    given = {"group": group, "window": window}
    command = named("remove_snapshot", given, board=unescape(name), snapshot=unescape(snapshot))
    return await change(request, command, bare=True)


@get(
    "/v1/boards/{name:str}/snapshots",
    guards=[views],
    summary="The snapshots of a board's window",
    description="The newest first: those that were taken on purpose, and those that the model has taken at the ends of spans.",
    opt=documented("Boards", board_schemas.SnapshotPage),
)
async def snapshots(
    request: ApiRequest,
    name: IdInPath,
    group: BoardGroup = None,
    window: Window = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response[bytes]:
    after = request.position(cursor)
    async with viewing(request) as view:
        if group is not None:
            await require_sight(view.conn, view.tenant_id, view.reader, {"group": group})
        ranking = await find_ranking(
            view.conn, view.tenant_id, view.model, unescape(name), group=group, window=window, now=datetime.now(UTC)
        )
        found, following = await list_snapshots(view.conn, ranking, limit=limit, after=after)
    return page(request, found, following)


routes = [put_snapshot, remove_snapshot, snapshots]
