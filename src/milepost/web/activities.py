"""`/v1/activities/{id}`: one activity: read, corrected (JSON Merge Patch), retracted.

Sending activities is `milepost.web.intake`, listing them `milepost.web.feeds`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, delete, get, patch
from litestar.params import QueryParameter

from milepost.access.viewer import reader_of
from milepost.errors import FieldError, InvalidInput, NotFound
from milepost.storage.activities import by_ids
from milepost.storage.by_index import plan_by_index
from milepost.storage.content import Kept, kept_of
from milepost.web import activity_schemas
from milepost.web.answers import answer, tagged
from milepost.web.bodies import decode_object
from milepost.web.lane import change
from milepost.web.openapi import documented
from milepost.web.parameters import IdInPath
from milepost.web.request import ApiRequest, views, writes

__all__ = ["IF_MATCH", "Why", "expected", "find", "id_of", "routes", "said", "shown_anew"]

ENTITY_TAG = re.compile(r'"([0-9]{1,9})"', re.ASCII)
WHY_CHARACTERS_MAX = 500
PREFER = (
    "Prefer",
    "`respond-async`: where the activity is not there yet, the change waits for it (202, `parked`), for some hours. Without it: 404.",
)
IF_MATCH = ("If-Match", 'The version it must have, such as "3": else 412, which tells the current one.')

Why = Annotated[
    str | None,
    QueryParameter(name="why", description="The reason, kept with the version.", max_length=WHY_CHARACTERS_MAX),
]


@get(
    "/v1/activities/{activity:str}",
    guards=[views],
    summary="One activity",
    description="Its content has a route of its own. The ETag is its version.",
    opt=documented("Activities", activity_schemas.Activity),
)
async def read_activity(request: ApiRequest, activity: IdInPath) -> Response[bytes]:
    shown, _, _ = await find(request, activity)
    return tagged(request, shown, tag=str(shown["version"]))


@patch(
    "/v1/activities/{activity:str}",
    guards=[writes],
    summary="Correct an activity",
    description="JSON Merge Patch (RFC 7396). Everything derived from it follows in the same transaction. `key` and `source` "
    "cannot be changed: they are its identity.",
    opt=documented(
        "Activities",
        activity_schemas.Activity,
        body=activity_schemas.ActivityIn,
        body_media_type="application/merge-patch+json",
        changes=True,
        headers=(IF_MATCH, PREFER),
    ),
)
async def correct_activity(request: ApiRequest, activity: IdInPath, why: Why = None) -> Response[bytes]:
    body = await request.whole_body()
    decode_object(body)
    command = {"do": "correct", "id": str(id_of(activity)), "patch": msgspec.Raw(body)} | said(request, why)
    return await shown_anew(request, activity, command | expected(request) | _parking(request))


async def shown_anew(request: ApiRequest, activity: str, command: dict[str, Any]) -> Response[bytes]:
    """The change, and then the activity as a GET shows it, which is not how the lane tells it."""
    answered = await change(request, command)
    if answered.status_code != 200:
        return answered
    shown, _, _ = await find(request, activity)
    return answer(shown, headers={"etag": f'"{shown["version"]}"'})


def said(request: ApiRequest, why: str | None) -> dict[str, str]:
    """Who makes a version, and why."""
    return {"by": request.user.key_id} | ({"why": why} if why else {})


@delete(
    "/v1/activities/{activity:str}",
    guards=[writes],
    status_code=200,
    summary="Retract an activity",
    description="It is taken out of everything, and stays so: sent again, it is not counted.",
    opt=documented("Activities", changes=True, headers=(IF_MATCH, PREFER)),
)
async def retract_activity(request: ApiRequest, activity: IdInPath) -> Response[bytes]:
    return await change(request, {"do": "retract", "id": str(id_of(activity))} | expected(request) | _parking(request))


async def find(request: ApiRequest, activity: str, *, content: bool = False) -> tuple[dict[str, Any], Any, Kept | None]:
    """The activity, the content in its row, and where its content is otherwise. Raises `NotFound`."""
    asked, tenant_id = id_of(activity), request.user.tenant_id
    kept = None
    served = request.services.models.current
    async with request.services.db.transaction("point", tenant_id=tenant_id, snapshot=True) as conn:
        reader = await reader_of(conn, tenant_id, request.viewer, served.model)
        await plan_by_index(conn, sorts=True)
        found = (await by_ids(conn, tenant_id, [asked], served.presenter, content=content, reader=reader)).get(asked)
        if found is not None and content and found[2] is None:
            kept = (await kept_of(conn, tenant_id, [found[0]])).get(found[0])
    if found is None:
        raise NotFound("There is no such activity.")
    return found[1], found[2], kept


def id_of(text: str) -> UUID:
    """An activity's id. What is none is as little there as one that nobody has."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("There is no such activity.") from None


def expected(request: ApiRequest) -> dict[str, int]:
    """The version that If-Match names."""
    header = request.headers.get("if-match")
    if header is None or header.strip() == "*":
        return {}
    match = ENTITY_TAG.fullmatch(header.strip())
    if match is None:
        detail = 'must be one version in quotes, such as "3", as the ETag gives it'
        raise InvalidInput(errors=(FieldError("/If-Match", detail),))
    return {"if_match": int(match[1])}


def _parking(request: ApiRequest) -> dict[str, bool]:
    """Whether the change may wait for an activity that is not there yet."""
    asked = (one.strip().lower() for one in request.headers.get("prefer", "").split(","))
    return {"park": True} if "respond-async" in asked else {}


routes = [read_activity, correct_activity, retract_activity]
