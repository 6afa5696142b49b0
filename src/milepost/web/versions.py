"""`/v1/activities/{id}/versions`: what corrections made of an activity: who, when, why; read, compared, restored, and blamed.

Of verbs whose content has `versions = true`, from the first correction on. They are closed to viewers: an earlier version may be from
before the activity could be seen.
"""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Response, get, post
from litestar.params import PathParameter, QueryParameter

from milepost.storage.versions import Made, blame, difference, made_versions, read_version
from milepost.web import activity_schemas, version_schemas
from milepost.web.activities import IF_MATCH, Why, expected, find, id_of, said, shown_anew
from milepost.web.answers import page, tagged
from milepost.web.openapi import documented
from milepost.web.parameters import Cursor, IdInPath, Limit
from milepost.web.request import ApiRequest, reads, writes

__all__ = ["routes"]

Number = Annotated[int, PathParameter(name="version", description="The version's number, from 1.", ge=1, le=2**31 - 1)]
To = Annotated[int, QueryParameter(name="to", description="The version to compare with.", ge=1, le=2**31 - 1)]
Part = Annotated[
    str, QueryParameter(name="part", description="A JSON pointer (RFC 6901) into the activity, such as /content/questions/3.")
]


@get(
    "/v1/activities/{activity:str}/versions",
    guards=[reads],
    summary="An activity's versions",
    description="The newest first, the current one among them; none before the first correction, or where the verb keeps none.",
    opt=documented("Activities", version_schemas.VersionPage),
)
async def list_versions(request: ApiRequest, activity: IdInPath, limit: Limit = 50, cursor: Cursor = None) -> Response[bytes]:
    position = request.position(cursor)
    id_, conn_of = await _public(request, activity)
    async with conn_of as conn:
        below = None if position is None else int(position)
        found = await made_versions(conn, request.user.tenant_id, id_, below=below, limit=limit + 1)
    more = str(found[limit - 1].version).encode() if len(found) > limit else None
    return page(request, [_made(one) for one in found[:limit]], more)


@get(
    "/v1/activities/{activity:str}/versions/{version:int}",
    guards=[reads],
    summary="A version of an activity",
    description="All that a correction can change, as it was, with its content.",
    opt=documented("Activities", version_schemas.VersionShown),
)
async def show_version(request: ApiRequest, activity: IdInPath, version: Number) -> Response[bytes]:
    id_, conn_of = await _public(request, activity)
    async with conn_of as conn:
        found = await read_version(conn, request.user.tenant_id, id_, version)
    return tagged(request, {**_made(found.made), "activity": found.activity})


@get(
    "/v1/activities/{activity:str}/versions/{version:int}/diff",
    guards=[reads],
    summary="What leads from one version to another",
    description="JSON Patch (RFC 6902).",
    opt=documented("Activities", version_schemas.VersionDifference),
)
async def compare_versions(request: ApiRequest, activity: IdInPath, version: Number, to: To) -> Response[bytes]:
    id_, conn_of = await _public(request, activity)
    async with conn_of as conn:
        patch = await difference(conn, request.user.tenant_id, id_, version, to)
    return tagged(request, {"from": version, "to": to, "patch": patch})


@get(
    "/v1/activities/{activity:str}/blame",
    guards=[reads],
    summary="Which version last changed what",
    description="Of what `part` points to, and of each of its members: the version that made it what it is. Of the last 500 versions.",
    opt=documented("Activities", version_schemas.Blamed),
)
async def blame_part(request: ApiRequest, activity: IdInPath, part: Part = "/content") -> Response[bytes]:
    id_, conn_of = await _public(request, activity)
    async with conn_of as conn:
        found = await blame(conn, request.user.tenant_id, id_, part)
    return tagged(request, {"items": [{"part": pointer, **_made(made)} for pointer, made in found]})


@post(
    "/v1/activities/{activity:str}/versions/{version:int}/restore",
    guards=[writes],
    status_code=200,
    summary="Restore a version",
    description="It becomes the newest version; those between stay.",
    opt=documented("Activities", activity_schemas.Activity, changes=True, headers=(IF_MATCH,)),
)
async def restore_version(request: ApiRequest, activity: IdInPath, version: Number, why: Why = None) -> Response[bytes]:
    command = {"do": "restore", "id": str(id_of(activity)), "version": version} | said(request, why)
    return await shown_anew(request, activity, command | expected(request))


async def _public(request: ApiRequest, activity: str) -> tuple[UUID, Any]:
    """The activity's public id, and a transaction to ask in. Raises `NotFound`."""
    shown, _, _ = await find(request, activity)
    return UUID(shown["id"]), request.services.db.transaction("point", tenant_id=request.user.tenant_id)


def _made(made: Made) -> dict[str, Any]:
    return {"version": made.version, "at": made.at, "by": made.by, "why": made.why}


routes = [list_versions, show_version, compare_versions, blame_part, restore_version]
