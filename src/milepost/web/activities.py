"""`/v1/activities/{id}`: one activity: read, corrected (JSON Merge Patch), retracted; its content, whole or by part.

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
from milepost.web import schemas
from milepost.web.answers import answer, tagged
from milepost.web.bodies import decode_object
from milepost.web.lane import change
from milepost.web.openapi import documented
from milepost.web.parameters import IdInPath
from milepost.web.request import ApiRequest, views, writes

__all__ = ["routes"]

ENTITY_TAG = re.compile(r'"([0-9]{1,9})"', re.ASCII)
PREFER = (
    "Prefer",
    "`respond-async`: where the activity is not there yet, the change waits for it (202, `parked`), for some hours. Without it: 404.",
)
IF_MATCH = ("If-Match", 'The version it must have, such as "3": else 412, which tells the current one.')

Part = Annotated[
    str | None, QueryParameter(name="part", description="A JSON pointer (RFC 6901) into the content. All of it, if absent.")
]


@get(
    "/v1/activities/{activity:str}",
    guards=[views],
    summary="One activity",
    description="Its content has a route of its own. The ETag is its version.",
    opt=documented("Activities", schemas.Activity),
)
async def read_activity(request: ApiRequest, activity: IdInPath) -> Response[bytes]:
    shown, _ = await _find(request, activity)
    return tagged(request, shown, tag=str(shown["version"]))


@get(
    "/v1/activities/{activity:str}/content",
    guards=[views],
    summary="An activity's content, or a part of it",
    description="Any JSON. 404 where it has no content, or no such part.",
    opt=documented("Activities"),
)
async def read_content(request: ApiRequest, activity: IdInPath, part: Part = None) -> Response[bytes]:
    _, content = await _find(request, activity, content=True)
    if content is None:
        raise NotFound("The activity has no content.")
    return tagged(request, content if part is None else part_of(content, part))


@patch(
    "/v1/activities/{activity:str}",
    guards=[writes],
    summary="Correct an activity",
    description="JSON Merge Patch (RFC 7396). Everything derived from it follows in the same transaction. `key` and `source` "
    "cannot be changed: they are its identity.",
    opt=documented(
        "Activities",
        schemas.Activity,
        body=schemas.ActivityIn,
        body_media_type="application/merge-patch+json",
        changes=True,
        headers=(IF_MATCH, PREFER),
    ),
)
async def correct_activity(request: ApiRequest, activity: IdInPath) -> Response[bytes]:
    body = await request.whole_body()
    decode_object(body)
    command = {"do": "correct", "id": str(_id(activity)), "patch": msgspec.Raw(body)}
    answered = await change(request, command | _expected(request) | _parking(request))
    if answered.status_code != 200:
        return answered
    # As a GET shows it, which is not how the lane tells it.
    shown, _ = await _find(request, activity)
    return answer(shown, headers={"etag": f'"{shown["version"]}"'})


@delete(
    "/v1/activities/{activity:str}",
    guards=[writes],
    status_code=200,
    summary="Retract an activity",
    description="It is taken out of everything, and stays so: sent again, it is not counted.",
    opt=documented("Activities", changes=True, headers=(IF_MATCH, PREFER)),
)
async def retract_activity(request: ApiRequest, activity: IdInPath) -> Response[bytes]:
    return await change(request, {"do": "retract", "id": str(_id(activity))} | _expected(request) | _parking(request))


async def _find(request: ApiRequest, activity: str, *, content: bool = False) -> tuple[dict[str, Any], Any]:
    asked, tenant_id = _id(activity), request.user.tenant_id
    served = request.services.models.current
    async with request.services.db.transaction("point", tenant_id=tenant_id, snapshot=True) as conn:
        reader = await reader_of(conn, tenant_id, request.viewer, served.model)
        await plan_by_index(conn, sorts=True)
        found = (await by_ids(conn, tenant_id, [asked], served.presenter, content=content, reader=reader)).get(asked)
    if found is None:
        raise NotFound("There is no such activity.")
    return found[1], found[2]


def _id(text: str) -> UUID:
    """An activity's id. What is none is as little there as one that nobody has."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("There is no such activity.") from None


def _expected(request: ApiRequest) -> dict[str, int]:
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


def part_of(content: Any, pointer: str) -> Any:
    """What a JSON pointer points to. Raises `InvalidInput` for what is none, `NotFound` where nothing is."""
    if pointer and not pointer.startswith("/"):
        raise InvalidInput(errors=(FieldError("/part", "must be a JSON pointer, such as /questions/3"),))
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(content, dict) and name in content:
            content = content[name]
        elif isinstance(content, list) and re.fullmatch(r"0|[1-9][0-9]{0,8}", name) and int(name) < len(content):
            content = content[int(name)]
        else:
            raise NotFound(f"The content has no part {pointer!r}.")
    return content


routes = [read_activity, read_content, correct_activity, retract_activity]
