"""Boards: `GET /v1/boards/{name}` from the top to any depth, one member's standing, an actor among those it follows, several at once; and
how a member is shown."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Response, get, post, put
from litestar.di import NamedDependency, Provide
from litestar.params import QueryParameter

from milepost.boards.among import NAMED_MAX, read_friends, read_named
from milepost.boards.members import check_show
from milepost.boards.ranking import Ranking, find_ranking
from milepost.boards.read import BoardPage, members_of, read_page
from milepost.boards.snapshots import find_snapshot, nearest_snapshot
from milepost.boards.standing import AROUND_MAX, read_standing
from milepost.errors import FieldError, InvalidInput
from milepost.intake._verb_rows import explain
from milepost.postgres import Connection
from milepost.rollups.sight import require_sight
from milepost.storage.activities import rfc3339
from milepost.web import board_schemas
from milepost.web.answers import answer, page, tagged
from milepost.web.bodies import decode_object
from milepost.web.lane import change, named
from milepost.web.openapi import documented
from milepost.web.parameters import BoardGroup, Cursor, IdInPath, Limit, Window, moment
from milepost.web.problems import Unprocessable
from milepost.web.request import ApiRequest, unescape, views, writes
from milepost.web.viewing import View, viewing

__all__ = ["routes"]

QUESTIONS_MAX = 50


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Which ranking of a board is asked for, and whether with movement."""

    group: str | None
    window: str | None
    at: str | None
    snapshot: str | None
    against: str | None
    movement: bool


def asked(
    group: BoardGroup = None,
    window: Window = None,
    at: Annotated[
        str | None,
        QueryParameter(
            name="at",
            description="The window that holds this time (RFC 3339), in the group's own zone; of all time the snapshot that was taken "
            "nearest to it, which the answer names. Now, if absent.",
        ),
    ] = None,
    snapshot: Annotated[
        str | None, QueryParameter(name="snapshot", description="The board as this snapshot of the window kept it.")
    ] = None,
    against: Annotated[
        str | None,
        QueryParameter(
            name="against", description="`movement` is since this snapshot of the window, not since the window before."
        ),
    ] = None,
    movement: Annotated[
        bool,
        QueryParameter(
            name="movement", description="Whether ranks are compared with those of the window before: false is quicker."
        ),
    ] = True,
) -> Asked:
    return Asked(group=group, window=window, at=at, snapshot=snapshot, against=against, movement=movement)


ASKED = {"asked": Provide(asked, sync_to_thread=False)}


@get(
    "/v1/boards/{name:str}",
    guards=[views],
    dependencies=ASKED,
    summary="A board, from the top to any depth",
    description="`rank` is exact at the moment of the answer; `movement` is by how many ranks a member has come up since the window "
    "before, null where it had none. 503 while the board is being filled from history.",
    opt=documented("Boards", board_schemas.BoardPage),
)
async def board(
    request: ApiRequest,
    name: IdInPath,
    asked: NamedDependency[Asked],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response[bytes]:
    after = request.position(cursor)
    async with _ranking(request, name, asked) as (conn, ranking):
        found = await read_page(conn, ranking, limit=limit, after=after, movement=asked.movement)
    return _page(request, ranking, found)


@get(
    "/v1/boards/{name:str}/standing",
    guards=[views],
    dependencies=ASKED,
    summary="Where one member stands",
    description="Its rank among all, with the neighbours on each side. `percentile` is 100 for the first and 0 for the last; `to_next` "
    "is what is missing to the score of who is next better. Who takes no rank there has `rank` null.",
    opt=documented("Boards", board_schemas.Standing),
)
async def standing(
    request: ApiRequest,
    name: IdInPath,
    member: Annotated[str, QueryParameter(name="member", description="An actor, or a group where the board ranks groups.")],
    asked: NamedDependency[Asked],
    around: Annotated[int, QueryParameter(name="around", ge=0, le=AROUND_MAX, description="How many on each side.")] = 5,
) -> Response[bytes]:
    async with _ranking(request, name, asked) as (conn, ranking):
        found = await read_standing(conn, ranking, member, around=around, movement=asked.movement)
    return tagged(request, {**asdict(found), **_which(ranking)})


@get(
    "/v1/boards/{name:str}/friends",
    guards=[views],
    dependencies=ASKED,
    summary="An actor among those it follows",
    description="The actor itself and whom it follows, or, where the board ranks groups, the groups it follows: those that have a rank, with "
    "their ranks on the whole board. A viewer asks for its own.",
    opt=documented("Boards", board_schemas.BoardPage),
)
async def friends(
    request: ApiRequest,
    name: IdInPath,
    actor: Annotated[str, QueryParameter(name="actor", description="Whose follows.")],
    asked: NamedDependency[Asked],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response[bytes]:
    after = request.position(cursor)
    async with _ranking(request, name, asked) as (conn, ranking):
        found = await read_friends(conn, ranking, actor, limit=limit, after=after, movement=asked.movement)
    return _page(request, ranking, found)


@post(
    "/v1/standings",
    guards=[views],
    status_code=200,
    summary="Several boards and members at once",
    description=f"At most {QUESTIONS_MAX} questions, of one moment. Of each the members that have a rank, best first, with their ranks on the "
    "whole board.",
    opt=documented("Boards", board_schemas.Standings, body=board_schemas.StandingsAsked),
)
async def standings(request: ApiRequest) -> Response[bytes]:
    questions = _questions(decode_object(await request.whole_body()))
    answers = []
    async with viewing(request) as view:
        for index, one in enumerate(questions):
            asked = Asked(**{name: getattr(one, name) for name in Asked.__dataclass_fields__})
            try:
                ranking = await _ranking_in(view, one.board, asked)
            except InvalidInput as error:
                faults = tuple(FieldError(f"/standings/{index}{fault.pointer}", fault.detail) for fault in error.errors)
                raise InvalidInput(errors=faults) from error
            items = await read_named(view.conn, ranking, one.members, movement=one.movement)
            members = await members_of(view.conn, ranking)
            answers.append({"board": one.board, "group": one.group, **_which(ranking), "members": members, "items": items})
    return answer({"items": answers})


@put(
    "/v1/boards/{name:str}/members/{member:str}",
    guards=[writes],
    summary="How a member is shown on a board",
    description="`hidden`: it takes no rank, and those below come up. `masked`: it keeps its rank, which is the same for everyone, and viewers "
    "who may not read a group that it is in are not told who it is. `all`: as others are.",
    opt=documented("Boards", board_schemas.MemberShown, body=board_schemas.MemberShownIn, changes=True),
)
async def show_member(request: ApiRequest, name: IdInPath, member: IdInPath) -> Response[bytes]:
    body = decode_object(await request.whole_body())
    command = named("show_member", body, board=unescape(name), member=unescape(member))
    try:
        check_show(command, request.services.models.current.model)
    except InvalidInput as error:
        raise Unprocessable(errors=error.errors) from error
    return await change(request, command)


def _questions(body: dict[str, Any]) -> list[board_schemas.StandingAsked]:
    """The questions of a body. Raises `Unprocessable`."""
    try:
        asked = msgspec.convert(body, board_schemas.StandingsAsked).standings
    except msgspec.ValidationError as error:
        raise Unprocessable(errors=(FieldError(*explain(str(error), unknown="is not known here")),)) from error
    if len(asked) > QUESTIONS_MAX:
        raise Unprocessable(errors=(FieldError("/standings", f"are more than {QUESTIONS_MAX}"),))
    for index, one in enumerate(asked):
        if not 1 <= len(one.members) <= NAMED_MAX:
            raise Unprocessable(errors=(FieldError(f"/standings/{index}/members", f"are 1 to {NAMED_MAX}"),))
    return asked


@asynccontextmanager
async def _ranking(request: ApiRequest, name: str, asked: Asked) -> AsyncIterator[tuple[Connection, Ranking]]:
    """A snapshot in which one ranking is read."""
    async with viewing(request) as view:
        yield view.conn, await _ranking_in(view, unescape(name), asked)


async def _ranking_in(view: View, board: str, asked: Asked) -> Ranking:
    """Raises `NotFound` for the board of a group that the viewer may not read; that of everywhere is everybody's."""
    if asked.group is not None:
        await require_sight(view.conn, view.tenant_id, view.reader, {"group": asked.group})
    now = datetime.now(UTC)
    at = moment("at", asked.at) or now
    ranking = await find_ranking(
        view.conn,
        view.tenant_id,
        view.model,
        board,
        group=asked.group,
        window=asked.window,
        now=at,
        reader=view.reader,
    )
    kept = None
    if asked.snapshot is not None:
        kept = await find_snapshot(view.conn, ranking, asked.snapshot)
    elif ranking.per == "all" and at < now:
        kept = await nearest_snapshot(view.conn, ranking, at)
    against = None if asked.against is None else await find_snapshot(view.conn, ranking, asked.against)
    return replace(ranking, snapshot=kept, against=against, bucket=ranking.bucket if kept is None else kept.bucket)


def _page(request: ApiRequest, ranking: Ranking, found: BoardPage) -> Response[bytes]:
    return page(request, found.items, found.next, members=found.members, **_which(ranking))


def _which(ranking: Ranking) -> dict[str, Any]:
    """Which ranking an answer is of."""
    kept = ranking.snapshot
    snapshot = None if kept is None else {"name": kept.name, "taken_at": rfc3339(kept.taken_at), "kept": kept.kept}
    return {"window": ranking.window, "begins": ranking.begins, "snapshot": snapshot}


routes = [board, standing, friends, standings, show_member]
