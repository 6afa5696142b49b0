"""`/v1/admin/retention`: how long each rule of the model keeps this tenant's activities, what went, and legal holds."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Response, delete, get, post, put
from litestar.params import PathParameter, QueryParameter

from milepost.errors import FieldError, InvalidInput, unknown_fields
from milepost.jobs.retention import plan_retention
from milepost.storage.retention import DURATION, holds, lift_hold, log_page, place_hold, put_rule
from milepost.web import lifecycle_schemas
from milepost.web.answers import answer, page
from milepost.web.bodies import decode_object
from milepost.web.openapi import documented
from milepost.web.parameters import Cursor, Limit
from milepost.web.request import ApiRequest, admins, unescape

__all__ = ["routes"]

RuleName = Annotated[str, PathParameter(description="An entry of the model's `keep`.")]
Number = Annotated[int, PathParameter(description="The hold's number.")]
Lifted = Annotated[bool, QueryParameter(name="lifted", description="Those that were lifted, too.")]


HOLD_FIELDS = ("reason", "actor", "group", "verb")


@get(
    "/v1/admin/retention",
    guards=[admins],
    summary="What is over, and would go now",
    description="A dry run: for each rule of the model the activities that the next run removes, by verb.",
    opt=documented("Running it", lifecycle_schemas.RetentionPage),
)
async def plan(request: ApiRequest) -> Response[bytes]:
    found = await plan_retention(request.services.db, tenant=request.user.tenant)
    return page(request, [{name: value for name, value in one.items() if name != "tenant"} for one in found], None)


@put(
    "/v1/admin/retention/{name:str}",
    guards=[admins],
    summary="Have a rule delete sooner",
    description="No later than the model says, and never what it keeps for ever. `delete_after`: null takes it back.",
    opt=documented("Running it", lifecycle_schemas.RetentionRule, body=lifecycle_schemas.RetentionRule),
)
async def set_rule(request: ApiRequest, name: RuleName) -> Response[bytes]:
    delete_after = _duration(decode_object(await request.whole_body()))
    tenant_id, model = request.user.tenant_id, request.services.models.current.model
    by = f"key {request.user.key_id}"
    async with request.services.db.transaction("write", tenant_id=tenant_id) as conn:
        await put_rule(conn, tenant_id, model, unescape(name), delete_after=delete_after, by=by)
    return answer({"delete_after": delete_after})


@get(
    "/v1/admin/retention/log",
    guards=[admins],
    summary="What went, batch by batch",
    opt=documented("Running it", lifecycle_schemas.RetentionLog),
)
async def log(request: ApiRequest, limit: Limit = 50, cursor: Cursor = None) -> Response[bytes]:
    tenant_id, position = request.user.tenant_id, request.position(cursor)
    before = int.from_bytes(position, "big") if position else None
    async with request.services.db.transaction("point", tenant_id=tenant_id) as conn:
        found = await log_page(conn, tenant_id, before=before, limit=limit + 1)
    following = found[limit - 1]["id"].to_bytes(8, "big") if len(found) > limit else None
    return page(request, found[:limit], following)


@get(
    "/v1/admin/holds",
    guards=[admins],
    summary="Legal holds",
    opt=documented("Running it", lifecycle_schemas.HoldPage),
)
async def list_holds(request: ApiRequest, lifted: Lifted = False) -> Response[bytes]:
    tenant_id = request.user.tenant_id
    async with request.services.db.transaction("point", tenant_id=tenant_id) as conn:
        return page(request, await holds(conn, tenant_id, lifted=lifted), None)


@post(
    "/v1/admin/holds",
    guards=[admins],
    status_code=200,
    summary="Place a legal hold",
    description="What it covers is not removed until it is lifted. What is not named covers all.",
    opt=documented("Running it", lifecycle_schemas.HoldPlaced, body=lifecycle_schemas.HoldPlacing),
)
async def hold(request: ApiRequest) -> Response[bytes]:
    covered = _covered(decode_object(await request.whole_body()))
    reason = covered.pop("reason")
    tenant_id = request.user.tenant_id
    async with request.services.db.transaction("write", tenant_id=tenant_id) as conn:
        number = await place_hold(conn, tenant_id, covered, reason=reason, by=f"key {request.user.key_id}")
    return answer({"id": number})


@delete(
    "/v1/admin/holds/{number:int}",
    guards=[admins],
    status_code=200,
    summary="Lift a legal hold",
    description="It stays on record.",
    opt=documented("Running it"),
)
async def lift(request: ApiRequest, number: Number) -> Response[bytes]:
    tenant_id = request.user.tenant_id
    async with request.services.db.transaction("write", tenant_id=tenant_id) as conn:
        await lift_hold(conn, tenant_id, number, by=f"key {request.user.key_id}")
    return answer(None, status=204)


def _duration(body: dict[str, Any]) -> str | None:
    faults = unknown_fields(body, ("delete_after",))
    wanted = body.get("delete_after")
    if "delete_after" not in body:
        faults.append(FieldError("/delete_after", "is required: a duration, or null"))
    elif wanted is not None and not (isinstance(wanted, str) and DURATION.fullmatch(wanted)):
        faults.append(FieldError("/delete_after", "must be a duration, such as 6 months, or null"))
    if faults:
        raise InvalidInput(errors=tuple(faults))
    return wanted


def _covered(body: dict[str, Any]) -> dict[str, str]:
    faults = unknown_fields(body, HOLD_FIELDS)
    faults += [
        FieldError(f"/{name}", "must be text")
        for name in HOLD_FIELDS
        if name in body and (not isinstance(body[name], str) or not body[name] or "\0" in body[name])
    ]
    if "reason" not in body:
        faults.append(FieldError("/reason", "is required"))
    if faults:
        raise InvalidInput(errors=tuple(faults))
    return body


routes = [plan, set_rule, log, list_holds, hold, lift]
