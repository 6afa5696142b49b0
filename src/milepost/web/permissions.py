"""`POST /v1/check` and `GET /v1/groups/{group}/permitted`: who may do what."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Response, get, post
from litestar.params import QueryParameter

from milepost.access.groups import group_ids
from milepost.access.permissions import CHECKS_MAX, Check, allowed, permitted
from milepost.access.viewer import Viewer
from milepost.errors import FieldError, Forbidden, InvalidInput, NotFound, unknown_fields
from milepost.storage.by_index import plan_by_index
from milepost.web import access_schemas
from milepost.web.answers import answer, page
from milepost.web.bodies import decode_object
from milepost.web.openapi import documented
from milepost.web.parameters import At, Cursor, IdInPath, Limit, moment
from milepost.web.request import ApiRequest, reads, unescape, views

__all__ = ["routes"]

FIELDS = ("actor", "action", "group", "activity")

Action = Annotated[str, QueryParameter(name="action", description="What they may do, such as `correct`.")]


@post(
    "/v1/check",
    guards=[views],
    status_code=200,
    summary="May an actor do this?",
    description=f"In a group, or on an activity; one question, or up to {CHECKS_MAX} as `checks`, answered in their order from one moment. "
    "Who or what is not known may do nothing. A viewer asks for itself: its `actor` may be left out.",
    opt=documented("Access", access_schemas.Checked, body=access_schemas.CheckIn),
)
async def check(request: ApiRequest) -> Response[bytes]:
    body = decode_object(await request.whole_body(), each_alone=True)  # what cannot be may do nothing
    many = body.get("checks")
    if "checks" not in body:
        checks = [_check("", body, request.viewer)]
    elif len(body) > 1:
        raise InvalidInput(
            errors=tuple(FieldError(f"/{name}", "cannot stand beside `checks`") for name in body if name != "checks")
        )
    elif isinstance(many, list) and len(many) <= CHECKS_MAX:
        checks = [_check(f"/checks/{number}", one, request.viewer) for number, one in enumerate(many)]
    else:
        raise InvalidInput(errors=(FieldError("/checks", f"must be a list of at most {CHECKS_MAX} questions"),))
    tenant_id = request.user.tenant_id
    async with request.services.db.transaction("point", tenant_id=tenant_id, snapshot=True) as conn:
        await plan_by_index(
            conn, sorts=True
        )  # one question would be planned anew each time: four times what it takes to answer
        served = request.services.models.current
        archived = served.presenter.cold.of_ids if served.presenter.cold is not None else None
        found = await allowed(conn, tenant_id, served.model, checks, archived=archived)
        answers = [{"allowed": one} for one in found]
    return answer({"checks": answers} if "checks" in body else answers[0])


@get(
    "/v1/groups/{group:str}/permitted",
    guards=[reads],  # who is above a group is more than who may read it may know
    summary="Who may do something in a group",
    description="Its members and those of the groups above it, each once, with a membership that gives the right to it.",
    opt=documented("Access", access_schemas.PermittedPage),
)
async def who_may(
    request: ApiRequest, group: IdInPath, action: Action, at: At = None, limit: Limit = 50, cursor: Cursor = None
) -> Response[bytes]:
    tenant_id, named, position = request.user.tenant_id, unescape(group), request.position(cursor)
    when, model = moment("at", at), request.services.models.current.model
    async with request.services.db.transaction("point", tenant_id=tenant_id, snapshot=True) as conn:
        group_id = (await group_ids(conn, tenant_id, [named])).get(named)
        if group_id is None:
            raise NotFound(f"There is no group {named!r}.")
        await plan_by_index(conn, sorts=True)
        after = int.from_bytes(position or b"", "big")
        found = await permitted(conn, tenant_id, model, action, group_id, at=when, after=after, limit=limit + 1)
    shown = [
        {"actor": one.actor, "group": one.group, "role": one.role, "permissions": one.permissions} for one in found[:limit]
    ]
    return page(request, shown, found[limit - 1].actor_id.to_bytes(8, "big") if len(found) > limit else None)


def _check(at: str, asked: Any, viewer: Viewer) -> Check:
    """One question. at: its place in the body, as a JSON pointer. Raises `InvalidInput`, or `Forbidden` for another's viewer."""
    if not isinstance(asked, dict):
        raise InvalidInput(errors=(FieldError(at, "must be an object"),))
    faults = unknown_fields(asked, FIELDS, at)
    faults += [FieldError(f"{at}/{name}", "must be text") for name in FIELDS if not isinstance(asked.get(name, ""), str)]
    actor = asked.get("actor", viewer.actor)
    if actor is None:
        faults.append(FieldError(f"{at}/actor", "is required"))
    if "action" not in asked:
        faults.append(FieldError(f"{at}/action", "is required"))
    if ("group" in asked) == ("activity" in asked):
        faults.append(FieldError(f"{at}/group", "either a group or an activity is required"))
    if faults or actor is None:
        raise InvalidInput(errors=tuple(faults))
    if not viewer.sees_all and actor != viewer.actor:
        raise Forbidden("A viewer may ask what it may do itself, and nobody else.")
    return Check(actor=actor, action=asked["action"], group=asked.get("group"), activity=asked.get("activity"))


routes = [check, who_may]
